"""Costing: what a million predictions cost, by hand and by property."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurements import PRICES
from onnxlet.toolchain.fit import costing
from onnxlet.toolchain.fit.limits import MOST_MEMORY

MEMORY = st.integers(128, MOST_MEMORY)


SECONDS = st.floats(0, 900)


def test_a_million_predictions_cost_what_a_calculator_says() -> None:
    usual = {"tmp": 512, "artifacts": 1, "prices": PRICES, "architecture": "x86_64"}
    # 0.20 + 1.00 requests, (0.99 x 0.1 + 0.01 x 1.1) s x 1 GB, 30,000 reads, 1 GB of logs
    expected = 1.2 + 110_000 * 0.0000166667 + 30 * 0.0004 + 0.5
    assert costing.per_million(1024, warm=0.1, cold=1.1, **usual) == pytest.approx(expected)  # type: ignore[arg-type]
    batches = costing.per_million(1024, warm=0.1, cold=1.1, rows=32, **usual)  # type: ignore[arg-type]
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
