"""Latency: of two engines side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nets
from models import tiny
from onnxlet.serving.engine import load_engine
from onnxlet.toolchain.optimize.latency import Latency, measure_latency

pytest.importorskip("sklearn")  # its metrics
pytestmark = pytest.mark.toolchain


def test_the_latency_of_a_graph_beside_itself_is_the_same(tmp_path: Path) -> None:
    path = tiny.save(nets.gemm(), tmp_path)["model.onnx"]
    one, other = (load_engine(path, threads=1, optimized=False, run_deadline=10) for _ in range(2))

    latency = measure_latency(one, other, {"input": np.ones((1, 64), dtype=np.float32)})

    assert 0.75 < latency.after / latency.before < 4 / 3


def test_what_takes_longer_is_found_to_be_slower(tmp_path: Path) -> None:
    wide, narrow = (
        load_engine(
            tiny.save(nets.dense(width), tmp_path / str(width))["model.onnx"],
            threads=1,
            optimized=False,
            run_deadline=10,
        )
        for width in (1024, 256)
    )
    row = {"x": nets.rows(1)}

    assert measure_latency(wide, narrow, row, decisive=True).slower
    assert not measure_latency(narrow, wide, row, decisive=True).slower


def test_near_the_limit_a_latency_is_undecided() -> None:
    assert Latency(before=10e-3, after=10.9e-3).undecided
    assert Latency(before=10e-3, after=11.5e-3).undecided
    assert not Latency(before=10e-3, after=10e-3).undecided
    assert not Latency(before=10e-3, after=25e-3).undecided
    assert not Latency(before=10e-6, after=11e-6).undecided


def test_microseconds_do_not_make_a_graph_slower() -> None:
    assert not Latency(before=10e-6, after=19e-6).slower
    assert not Latency(before=10e-3, after=10.5e-3).slower
    assert Latency(before=10e-3, after=12e-3).slower


def test_a_latency_that_is_the_same_in_whole_microseconds_is_described_as_such() -> None:
    assert str(Latency(before=10e-6, after=20e-6)) == "one row takes 20 instead of 10 us"
    assert str(Latency(before=56.4e-6, after=55.6e-6)) == "one row takes 56 us, as before"
