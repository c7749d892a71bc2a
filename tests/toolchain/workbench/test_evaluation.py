"""Evaluation: graphs run on many rows, patiently."""

from __future__ import annotations

from pathlib import Path

import pytest

import nets
from models import tiny
from onnxlet.settings import Settings
from onnxlet.steps import Steps, Tabular
from onnxlet.toolchain.workbench.evaluation import COLUMN_BATCH, run_graph
from onnxlet.toolchain.workbench.evaluation_data import RUN_DEADLINE, open_graph


@pytest.mark.parametrize(
    ("steps", "sizes"),
    [(Steps(), [64, 64, 22]), (Steps((Tabular(columns=()),)), [150])],
)
def test_tensors_are_answered_some_rows_at_a_time_and_columns_many(
    tmp_path: Path, steps: Steps, sizes: list[int]
) -> None:
    engine = open_graph(tiny.save(nets.counting(), tmp_path)["model.onnx"])

    answers = run_graph(engine, steps, {"x": nets.rows(150)})["prediction"]

    assert answers.tolist() == [float(size) for size in sizes for _ in range(size)]


def test_no_table_is_answered_all_at_once(tmp_path: Path) -> None:
    engine = open_graph(tiny.save(nets.counting(), tmp_path)["model.onnx"])

    answers = run_graph(engine, Steps((Tabular(columns=()),)), {"x": nets.rows(COLUMN_BATCH + 1)})["prediction"]

    assert answers.tolist() == [COLUMN_BATCH] * COLUMN_BATCH + [1]


def test_measuring_waits_far_longer_than_serving() -> None:
    assert 20 * Settings(store="file:///tmp").run_deadline <= RUN_DEADLINE
