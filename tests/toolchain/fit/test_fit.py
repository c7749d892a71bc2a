"""Fit's arithmetic, by hand and by property: packages, memory, times, money, and the sentence that sums them up."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.fit import costing, sizing
from onnxlet.toolchain.fit.fitting import compute, obstacles
from onnxlet.toolchain.fit.limits import MOST_MEMORY, SENSIBLE_MEMORY
from onnxlet.toolchain.fit.package import PARTS, Weight, built_bytes, recorded_weights
from onnxlet.toolchain.fit.prices import SHIPPED, read_prices, write_prices
from onnxlet.toolchain.fit.probe_messages import RunTimes
from onnxlet.toolchain.fit.report import Arithmetic, AtThreads, Machine, Measured, Report, money, seconds, summary

MB = 2**20
DAY = dt.date(2026, 11, 1)
PRICES = read_prices()
MEMORY = st.integers(128, MOST_MEMORY)
SECONDS = st.floats(0, 900)


def at(threads: int, *, run: float | None = 0.099, batch: float = 0.399) -> AtThreads:
    timed = () if run is None else (RunTimes(1, 9, run, run), RunTimes(32, 9, batch, batch))
    return AtThreads(threads, 3, 0.1, 0.01, 0.2, 0.04, 60 * MB, 90 * MB, 100 * MB, timed)


def measured(*threads: AtThreads, peak: int = 100 * MB, artifact_bytes: int = 60_000_000) -> Measured:
    ats = tuple(msgspec.structs.replace(one, peak_bytes=peak) for one in threads or (at(1), at(2, run=0.059)))
    return Measured(DAY, Machine("a processor", "x86_64", 2, "3.13", "1.32"), artifact_bytes, 2, 0.5, ats, None, True)


def report(found: Measured, computed: Arithmetic) -> Report:
    against = obstacles(computed)
    return Report("diagnosis", 1, not against, against, (), found, computed, ())


def test_memory_is_the_peak_with_headroom_and_the_runtime() -> None:
    assert sizing.needed_mb(100 * MB) == 225
    assert sizing.recommended_mb(225) == 512
    assert sizing.recommended_mb(513) == 1024
    assert sizing.recommended_mb(MOST_MEMORY + 1) is None


@given(st.integers(0, 20 * 2**30))
def test_the_recommended_size_is_the_least_sensible_one_that_holds(peak: int) -> None:
    needed = sizing.needed_mb(peak)
    chosen = sizing.recommended_mb(needed)
    assert needed * MB >= peak
    assert chosen == min((size for size in SENSIBLE_MEMORY if size >= needed), default=None)


def test_below_one_processor_everything_takes_its_share_longer() -> None:
    threads = (at(1), at(2, run=0.059))
    assert sizing.warm_seconds(1769, threads) == pytest.approx(0.1)
    assert sizing.warm_seconds(512, threads) == pytest.approx(0.1 * 1769 / 512)
    assert sizing.warm_seconds(3537, threads) == pytest.approx(0.1)


def test_from_two_processors_on_runs_are_those_of_two_threads() -> None:
    threads = (at(1), at(2, run=0.059))
    assert sizing.warm_seconds(3538, threads) == pytest.approx(0.06)
    assert sizing.warm_seconds(10240, threads) == pytest.approx(0.06)
    assert sizing.warm_seconds(1769, threads, rows=32) == pytest.approx(0.4)


def test_a_cold_start_is_init_imports_fetch_load_and_the_request() -> None:
    threads = (at(1), at(2))
    fetch = 4 * 0.03 + 60e6 / 60e6
    cold = sizing.cold_seconds(1769, threads, artifact_bytes=60_000_000, artifacts=2)
    assert cold == pytest.approx(0.085 + 0.1 + fetch + (0.01 + 0.2 + 0.04) + 0.1)
    image = sizing.cold_seconds(1769, threads, artifact_bytes=60_000_000, artifacts=2, image=True)
    assert image == pytest.approx((cold or 0) + 0.075)
    slow = sizing.cold_seconds(512, threads, artifact_bytes=60_000_000, artifacts=2)
    assert slow == pytest.approx(0.085 + 0.1 + fetch + (0.25 + 0.1) * 1769 / 512)


@given(MEMORY, MEMORY)
def test_more_memory_is_never_estimated_to_be_slower_if_two_threads_are_not(one: int, other: int) -> None:
    threads = (at(1), at(2, run=0.059))
    small, large = sorted((one, other))
    assert (sizing.warm_seconds(large, threads) or 0) <= (sizing.warm_seconds(small, threads) or 0)


def test_what_was_not_timed_is_not_estimated() -> None:
    threads = (at(1, run=None), at(2, run=None))
    assert sizing.warm_seconds(1769, threads) is None
    assert sizing.cold_seconds(1769, threads, artifact_bytes=1, artifacts=1) is None
    computed = compute(measured(*threads), PRICES)
    assert {(size.warm, size.cold, size.per_million) for size in computed.sizes} == {(None, None, None)}
    assert summary(report(measured(*threads), computed)) == "fits: zip, 512 MB (peak 100 MB)"


def test_storage_holds_two_versions() -> None:
    assert sizing.tmp_mb(10 * MB) == 512
    assert sizing.tmp_mb(1000 * MB) == 2560


def test_a_package_is_a_zip_then_an_image_then_none() -> None:
    kinds = [sizing.packaging(Weight(size * MB, 1), "").kind for size in (250, 251, 10240, 10241)]
    assert kinds == ["zip", "image", "image", "none"]


def test_a_million_predictions_cost_what_a_calculator_says() -> None:
    told = {"tmp": 512, "artifacts": 1, "prices": PRICES, "architecture": "x86_64"}
    # 0.20 + 1.00 requests, (0.99 x 0.1 + 0.01 x 1.1) s x 1 GB, 30,000 reads, 1 GB of logs
    expected = 1.2 + 110_000 * 0.0000166667 + 30 * 0.0004 + 0.5
    assert costing.per_million(1024, warm=0.1, cold=1.1, **told) == pytest.approx(expected)  # type: ignore[arg-type]
    batches = costing.per_million(1024, warm=0.1, cold=1.1, rows=32, **told)  # type: ignore[arg-type]
    assert batches == pytest.approx(expected / 32)


def test_storage_beyond_what_is_free_costs_by_the_second() -> None:
    free = costing.gb_second_price(1024, 512, PRICES, "arm64")
    assert free == pytest.approx(0.0000133334)
    assert costing.gb_second_price(1024, 1536, PRICES, "arm64") == pytest.approx(free + 0.0000000309)


def test_lambda_bills_whole_milliseconds() -> None:
    assert costing.billed(0.0101) == pytest.approx(0.011)
    assert costing.billed(0.003) == pytest.approx(0.003)


@given(MEMORY, SECONDS, SECONDS)
def test_what_takes_longer_never_costs_less(memory: int, one: float, other: float) -> None:
    short, long = sorted((one, other))

    def cost(warm: float) -> float:
        return costing.per_million(
            memory, warm=warm, cold=900, tmp=512, artifacts=2, prices=PRICES, architecture="x86_64"
        )

    assert 1.2 <= cost(short) <= cost(long)


def test_the_recommended_size_is_always_among_those_estimated_for() -> None:
    computed = compute(measured(), PRICES, memory=(128, 4000))
    assert [(size.memory, size.enough) for size in computed.sizes] == [(128, False), (512, True), (4000, True)]
    assert computed.sizes[0].per_million is None
    assert computed.recommended == computed.sizes[1]


def test_a_version_that_no_memory_size_holds_does_not_fit() -> None:
    found = measured(peak=9000 * MB)
    computed = compute(found, PRICES)
    assert computed.recommended_mb is None
    assert summary(report(found, computed)) == (
        "does not fit: it needs 11350 MB of memory, and a function has at most 10240 MB"
    )


def test_the_summary_says_what_was_estimated_and_by_whose_prices() -> None:
    found = measured()
    assert summary(report(found, compute(found, PRICES, architecture="arm64"))) == (
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


def test_seconds_and_money_are_told_to_what_estimates_know() -> None:
    assert [seconds(value) for value in (0.0032, 0.5, 1.25)] == ["3.2 ms", "500 ms", "1.2 s"]
    assert [money(value) for value in (0.0581, 0.5, 3.456, 12.345, 1234.5)] == ["0.058", "0.5", "3.46", "12.3", "1230"]


def test_prices_are_unverified_until_their_reader_says_otherwise(tmp_path: Path) -> None:
    assert not PRICES.verified
    path = tmp_path / "prices.json"
    write_prices(path)
    path.write_text(path.read_text().replace('"verified": false', '"verified": true'))
    assert str(read_prices(path).tag) == f"us-east-1, {PRICES.date}, verified"
    with pytest.raises(InvalidInputError, match="exists already"):
        write_prices(path)
    with pytest.raises(InvalidInputError, match="cannot be written"):
        write_prices(tmp_path / "nowhere" / "prices.json")


def test_prices_that_a_full_disk_does_not_take_leave_nothing(tmp_path: Path) -> None:
    program = f"""
import resource
from pathlib import Path
from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.fit.prices import write_prices

resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    write_prices(Path({str(tmp_path / "prices.json")!r}))
except InvalidInputError as error:
    print(error.detail)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "cannot be written: File too large" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"region": None}, "missing required field 'region'"),
        ({"region": ""}, r"length >= 1 - at '\$.region'"),
        ({"date": "yesterday"}, r"at '\$.date'"),
        ({"million_requests": -0.2}, r">= 0.* - at '\$.million_requests'"),
        ({"gb_second": {"x86_64": 0.1}}, "missing required field 'arm64'"),
        ({"milion_requests": 0.2}, "unknown field 'milion_requests'"),
        ({"verified": "yes"}, r"at '\$.verified'"),
    ],
)
def test_a_bad_price_list_is_refused_by_what_is_wrong_with_it(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    document = json.loads(SHIPPED.read_bytes()) | change
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({name: value for name, value in document.items() if value is not None}))
    with pytest.raises(InvalidInputError, match=f"is no price list: .*{said}"):
        read_prices(path)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff"])
def test_what_is_no_price_list_at_all_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "prices.json"
    path.write_bytes(data)
    with pytest.raises(InvalidInputError, match="--write-prices"):
        read_prices(path)
    with pytest.raises(InvalidInputError, match="cannot be read"):
        read_prices(tmp_path)


def test_layers_are_weighed_where_they_were_built_for_the_same_processor(tmp_path: Path) -> None:
    assert built_bytes(tmp_path, "x86_64") is None
    build = tmp_path / ".aws-sam" / "build"
    for part, name in zip(
        PARTS,
        ("app.py", "python/onnxlet/errors.py", "python/numpy/_core/core.cpython-313-aarch64-linux-gnu.so"),
        strict=True,
    ):
        file = build / part / name
        file.parent.mkdir(parents=True)
        file.write_bytes(b"12345")
    assert built_bytes(tmp_path, "x86_64") is None
    assert built_bytes(tmp_path, "arm64") == {"Predict": 5, "CoreLayer": 5, "EngineLayer": 5}


def test_what_was_recorded_of_the_layers_fits_and_is_dated() -> None:
    recorded = recorded_weights()
    for architecture in ("x86_64", "arm64"):
        weight = recorded.weight(architecture)
        assert sizing.packaging(weight, "").kind == "zip"
        assert weight.zipped < weight.unzipped
    assert str(recorded.recorded) in compute(measured(), PRICES).packaging.source
