"""Sizing: memory, times and storage by memory size, by hand and by property."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurements import MB, PRICES, at, measured, report
from onnxlet.toolchain.fit import sizing
from onnxlet.toolchain.fit.fitting import compute
from onnxlet.toolchain.fit.limits import MOST_MEMORY, SENSIBLE_MEMORY
from onnxlet.toolchain.fit.package import Weight
from onnxlet.toolchain.fit.report import summary

MEMORY = st.integers(128, MOST_MEMORY)


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
