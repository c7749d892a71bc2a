"""Fit's arithmetic, by hand and by property: packages, memory, times, money, and the sentence that sums them up."""

from __future__ import annotations

import json

import msgspec

from measurements import MB, PRICES, measured, report
from onnxlet.toolchain.fit.fitting import compute
from onnxlet.toolchain.fit.report import money, seconds, summary


def test_the_recommended_size_is_always_among_those_estimated_for() -> None:
    computed = compute(measured(), PRICES, memory=(128, 4000))
    assert [(size.memory, size.enough) for size in computed.sizes] == [(128, False), (512, True), (4000, True)]
    assert computed.sizes[0].per_million is None
    assert computed.recommended == computed.sizes[1]


def test_a_version_that_no_memory_size_holds_does_not_fit() -> None:
    version_measured = measured(peak=9000 * MB)
    computed = compute(version_measured, PRICES)
    assert computed.recommended_mb is None
    assert summary(report(version_measured, computed)) == (
        "does not fit: it needs 11350 MB of memory, and a function has at most 10240 MB"
    )


def test_the_summary_says_what_was_estimated_and_by_whose_prices() -> None:
    version_measured = measured()
    assert summary(report(version_measured, compute(version_measured, PRICES, architecture="arm64"))) == (
        "fits: zip, 512 MB (peak 100 MB); estimated warm 346 ms, cold 2.5 s; "
        f"4.17 USD per million (us-east-1, {PRICES.date}, unverified)"
    )


def test_every_cost_stands_beside_its_price_tag_in_json() -> None:
    document = json.loads(msgspec.json.encode(report(measured(), compute(measured(), PRICES))))
    assert document["arithmetic"]["prices"] == {
        "region": "us-east-1",
        "currency": "USD",
        "date": str(PRICES.date),
        "source": PRICES.source,
        "verified": False,
    }
    assert set(document) >= {"measured", "arithmetic", "assumptions"}
    assert "per_million" not in json.dumps(document["measured"])


def test_seconds_and_money_have_no_more_digits_than_estimates_know() -> None:
    assert [seconds(value) for value in (0.0032, 0.5, 1.25)] == ["3.2 ms", "500 ms", "1.2 s"]
    assert [money(value) for value in (0.0581, 0.5, 3.456, 12.345, 1234.5)] == ["0.058", "0.5", "3.46", "12.3", "1230"]
