"""Tasks: what a model does, by its steps and answers."""

from __future__ import annotations

import numpy as np

from onnxlet.steps import Classification, Steps
from onnxlet.toolchain.workbench.task import Task, task_of

REGRESSION = Task("regression")


def test_a_task_follows_from_steps_and_answers() -> None:
    classification = Classification("label", "probabilities", (), (0, 1))
    numbers = {"prediction": np.zeros((4, 1))}

    assert task_of(Steps((classification,)), {}, None).targets[0].names == ("0", "1")
    assert task_of(Steps(), numbers, None) == REGRESSION
    assert task_of(Steps(), {"prediction": np.zeros((4, 3))}, None).kind == "tensors"
    assert task_of(Steps(), {"prediction": np.zeros((4, 3))}, np.zeros((4, 3))) == REGRESSION
    assert task_of(Steps(), {"a": np.zeros((4, 3, 64)), "b": np.zeros((4, 64))}, None).kind == "embedding"
