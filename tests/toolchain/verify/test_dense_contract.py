"""The contract of answers at positions: what moves labels is seen, whatever the angle of image rows says."""

from __future__ import annotations

import numpy as np
import pytest

from onnxlet.steps import Steps
from onnxlet.toolchain.verify.contract import judge
from onnxlet.toolchain.workbench.slices import make_slicing
from onnxlet.toolchain.workbench.task import Task, task_of
from onnxlet.values.contract import Contract, Finding
from onnxlet.values.manifest import OutputMeaning
from onnxlet.values.tensors import Tensor

CHANNELS = np.array([1, 2, 3], dtype=np.float32)[:, None, None]


def logits(seed: int = 0) -> Tensor:
    """[40, 3, 32, 32]: each of three classes is the most probable one in a part of the image."""
    random = np.random.default_rng(seed)
    coarse = random.normal(size=(40, 3, 8, 8))
    return (np.kron(coarse, np.ones((1, 1, 4, 4))) + 1).astype(np.float32)


def segmentation(are: str = "logits", axis: int = 1) -> Task:
    meaning = OutputMeaning(are=are, task="segmentation", output="prediction", class_axis=axis)  # type: ignore[arg-type]
    return task_of(Steps(), {"prediction": logits()}, None, meaning)


def found(contract: Contract, name: str) -> Finding:
    return next(finding for finding in contract.findings if finding.name == name)


@pytest.mark.parametrize("known", [True, False], ids=["truth", "no truth"])
def test_channels_that_are_scaled_apart_break_it(known: bool) -> None:
    scores = logits()
    truth = scores.argmax(axis=1) if known else None

    contract = judge({"prediction": scores}, {"prediction": scores * CHANNELS}, truth, segmentation())

    assert not contract.holds
    assert {finding.name for finding in contract.findings if not finding.ok} >= {
        "label_change",
        "dice_loss",
        "iou_loss",
        "mean_dice_loss",
    }
    assert contract.metric == "dice"
    assert contract.stages[0].metrics["dice"].value == 1
    assert contract.stages[1].metrics["dice"].value < 0.8
    assert {f"{metric}_{name}" for metric in ("dice", "iou") for name in "012"} <= contract.stages[1].metrics.keys()


def test_a_model_holds_it_with_itself_and_with_noise_that_moves_no_label() -> None:
    scores = logits()
    noisy = scores + np.random.default_rng(1).normal(0, 1e-3, scores.shape).astype(np.float32)

    for candidate in (scores, noisy):
        contract = judge({"prediction": scores}, {"prediction": candidate}, None, segmentation())
        assert contract.holds
        assert contract.task == "segmentation"


def test_a_small_class_that_vanishes_is_not_hidden_by_the_others() -> None:
    scores = logits()
    scores[:, 2] = -9
    scores[:, 2, 3:5, 3:5] = 9
    candidate = scores.copy()
    candidate[:, 2] = -9

    contract = judge({"prediction": scores}, {"prediction": candidate}, None, segmentation())

    assert found(contract, "label_change").ok
    assert found(contract, "distance").ok
    assert found(contract, "dice_loss").about == "2"
    assert found(contract, "dice_loss").value == 1


def test_what_a_net_gives_beside_its_masks_is_held_too() -> None:
    scores, volume = logits(), np.random.default_rng(2).normal(size=(40, 1)).astype(np.float32)
    answers = {"prediction": scores, "volume": volume}

    assert judge(answers, answers, None, segmentation()).holds
    contract = judge(answers, {"prediction": scores, "volume": volume * 2}, None, segmentation())

    assert [str(finding) for finding in contract.findings if not finding.ok] == [contract.breaches]
    assert contract.breaches.startswith("distance of volume")


def test_a_slice_whose_masks_suffer_is_named() -> None:
    scores = logits()
    scanner = ["b" if index % 5 == 0 else "a" for index in range(40)]
    candidate = scores.copy()
    candidate[::5] = candidate[::5, ::-1]

    contract = judge(
        {"prediction": scores},
        {"prediction": candidate},
        scores.argmax(axis=1),
        segmentation(),
        slicings=[make_slicing("scanner", scanner, None)],
    )

    assert contract.worst_slice == "scanner = b"
    assert found(contract, "slice_loss").about == "scanner = b"


def test_probabilities_channels_last_are_judged_as_they_are() -> None:
    powers = np.exp(logits())
    shares = np.moveaxis(powers / powers.sum(axis=1, keepdims=True), 1, -1)
    task = segmentation("probabilities", axis=3)

    assert judge({"prediction": shares}, {"prediction": shares}, None, task).holds
    assert not judge({"prediction": shares}, {"prediction": shares[..., ::-1]}, None, task).holds


def test_numbers_of_several_steps_are_held_to_the_scale_of_each() -> None:
    random = np.random.default_rng(0)
    forecast = random.normal(size=(60, 24)) * np.geomspace(0.01, 1000, 24)
    moved = forecast.copy()
    moved[:, 0] *= 2

    guess = task_of(Steps(), {"prediction": forecast}, None)
    said = task_of(Steps(), {"prediction": forecast}, None, OutputMeaning(task="regression", said_by="user"))

    assert judge({"prediction": forecast}, {"prediction": moved}, None, guess).holds
    assert "--task regression" in " ".join(judge({"prediction": forecast}, {"prediction": moved}, None, guess).notes)
    assert not judge({"prediction": forecast}, {"prediction": moved}, None, said).holds
    assert not judge({"prediction": forecast}, {"prediction": forecast * 1.5}, None, said).holds
