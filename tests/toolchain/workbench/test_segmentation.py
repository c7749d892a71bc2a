"""Segmentation: positions judged along the axis of classes, by the same overlaps as scikit-learn measures."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, jaccard_score

from onnxlet.errors import InvalidInputError
from onnxlet.steps import Steps
from onnxlet.toolchain.workbench import segmentation
from onnxlet.toolchain.workbench.metrics import point_estimates
from onnxlet.toolchain.workbench.output_meaning import Hints, class_axis_of, default_task
from onnxlet.toolchain.workbench.segmentation import Segmentation
from onnxlet.toolchain.workbench.task import task_of
from onnxlet.values.manifest import OutputMeaning
from onnxlet.values.tensors import Tensor

RANDOM = np.random.default_rng(5)
LOGITS = RANDOM.normal(size=(6, 3, 9, 7)).astype(np.float32)
TRUTH = RANDOM.integers(0, 3, (6, 9, 7))
IMAGES = Segmentation("y", 1, "logits", ("back", "organ", "lesion"))


@pytest.mark.parametrize("at_once", [1, 400, 2**24])
def test_overlaps_are_those_of_scikit_learn(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(segmentation, "AT_ONCE", at_once)
    label, truth = LOGITS.argmax(axis=1).ravel(), TRUTH.ravel()

    measured = point_estimates(IMAGES.measures({"y": LOGITS}, TRUTH, {"y": LOGITS}), 6)

    assert measured["accuracy"] == pytest.approx(accuracy_score(truth, label))
    for metric, witness in (("dice", f1_score), ("iou", jaccard_score)):
        by_class = witness(truth, label, average=None)
        assert [measured[f"{metric}_{name}"] for name in IMAGES.labels] == pytest.approx(by_class.tolist())
        assert measured[metric] == pytest.approx(by_class.mean())


def test_weights_count_rows_as_often_as_a_resample_has_them() -> None:
    measures = IMAGES.measures({"y": LOGITS}, TRUTH, {"y": LOGITS})
    drawn = np.array([0, 0, 3, 5, 5, 5])

    weights = np.bincount(drawn, minlength=6).astype(np.float64)[:, None]

    label = LOGITS.argmax(axis=1)[drawn].ravel()
    assert measures(weights)["iou"][0] == pytest.approx(jaccard_score(TRUTH[drawn].ravel(), label, average="macro"))


def test_channels_may_be_last_and_truth_one_hot() -> None:
    last = np.moveaxis(LOGITS, 1, -1)
    one_hot = np.eye(3)[TRUTH]

    first = point_estimates(IMAGES.measures({"y": LOGITS}, TRUTH, {"y": LOGITS}), 6)
    again = point_estimates(
        Segmentation("y", 3, "logits", IMAGES.labels).measures({"y": last}, one_hot, {"y": last}), 6
    )

    assert first == again


@pytest.mark.parametrize("are", ["probabilities", "logits"])
def test_one_channel_marks_the_second_of_two_classes(are: str) -> None:
    logits = LOGITS[:, :1]
    scores = logits if are == "logits" else 1 / (1 + np.exp(-logits))
    truth = TRUTH > 0

    task = Segmentation("y", 1, are, ("back", "lesion"))  # type: ignore[arg-type]
    measured = point_estimates(task.measures({"y": scores}, truth, {"y": scores}), 6)

    assert measured["dice"] == pytest.approx(f1_score(truth.ravel(), logits.ravel() > 0))
    assert measured["iou"] == pytest.approx(jaccard_score(truth.ravel(), logits.ravel() > 0))


def test_channels_by_themselves_may_mark_a_position_several_times() -> None:
    marks = RANDOM.integers(0, 2, LOGITS.shape)

    task = Segmentation("y", 1, "independent-logits")
    measured = point_estimates(task.measures({"y": LOGITS}, marks, {"y": LOGITS}), 6)

    for channel in range(3):
        expected = jaccard_score(marks[:, channel].ravel(), LOGITS[:, channel].ravel() > 0)
        assert measured[f"iou_{channel}"] == pytest.approx(expected)


def test_positions_that_nobody_labelled_do_not_count() -> None:
    truth = TRUTH.copy()
    truth[:, :4] = 255
    known = truth.ravel() != 255

    measured = point_estimates(IMAGES.measures({"y": LOGITS}, truth, {"y": LOGITS}), 6)

    label = LOGITS.argmax(axis=1).ravel()
    expected = f1_score(truth.ravel()[known], label[known], average=None)
    assert [measured[f"dice_{name}"] for name in IMAGES.labels] == pytest.approx(expected.tolist())


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        (np.where(TRUTH == 2, 7, TRUTH), "holds 1 number that no class has, and the answers score the classes 0 to 2"),
        (TRUTH + 0.5, "holds 3 numbers that no class has"),
        (TRUTH[:, :4], r"shape \[-1, 4, 7\], and the answers \[-1, 3, 9, 7\] score 3 classes at each of 63"),
    ],
)
def test_targets_that_are_no_class_stop(truth: Tensor, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        IMAGES.measures({"y": LOGITS}, truth, {"y": LOGITS})


def test_changed_labels_leave_ties_aside() -> None:
    reference = np.zeros((1, 2, 2, 2), dtype=np.float32)
    reference[0, 0, 0] = 3
    candidate = np.zeros_like(reference)
    candidate[0, 1] = 1

    assert Segmentation("y", 1, "logits").changed({"y": reference}, {"y": candidate}, 1e-4) == (0.5, 4)


@pytest.mark.parametrize(
    ("shape", "hints", "axis"),
    [
        ((4, 3, 32, 32), Hints(), 1),
        ((4, 32, 32, 3), Hints(), 3),
        ((4, 8, 8, 8), Hints(class_axis=-1), 3),
        ((4, 8, 8, 8), Hints(class_axis=1), 1),
        ((4, 2, 16, 16, 16), Hints(), 1),
        ((4, 32, 32, 5), Hints(labels=tuple("abcde")), 3),
        ((4, 32, 32, 5), Hints(truth=(4, 32, 32)), 3),
        ((4, 1, 32, 32), Hints(labels=("back", "lesion")), 1),
        ((4, 32, 32, 1), Hints(truth=(4, 32, 32)), 3),
        ((4, 3, 100), Hints(truth=(4, 100)), 1),
        ((4, 100, 3), Hints(task="segmentation"), 2),
        ((4, 1, 32, 32), Hints(), None),
        ((4, 512, 7, 7), Hints(truth=(4,)), None),
        ((4, 3, 32, 32), Hints(task="tensors"), None),
        ((4, 3, 32, 32), Hints(labels=tuple("abcde")), None),
        ((4, 3, 32), Hints(), None),
    ],
)
def test_the_axis_of_classes_is_told_by_labels_truth_framework_and_sizes(
    shape: tuple[int, ...], hints: Hints, axis: int | None
) -> None:
    place = class_axis_of({"y": np.zeros(shape, dtype=np.float32)}, hints)
    assert place == (None if axis is None else ("y", axis))


def test_what_has_no_positions_is_no_segmentation() -> None:
    with pytest.raises(InvalidInputError, match=r"\[rows, classes, …\]; there are 'y' \[4, 3\]"):
        class_axis_of({"y": np.zeros((4, 3))}, Hints(task="segmentation"))


def test_images_are_no_embeddings() -> None:
    assert default_task({"y": np.zeros((4, 3, 32, 32))}, truth=False) == "tensors"
    assert default_task({"y": np.zeros((4, 3, 32))}, truth=False) == "tensors"
    assert default_task({"y": np.zeros((4, 32))}, truth=False) == "embedding"


def test_what_the_manifest_says_of_outputs_is_the_task() -> None:
    answers = {"prediction": np.zeros((4, 64))}
    marks = OutputMeaning(are="logits", task="segmentation", output="prediction", class_axis=1)

    assert task_of(Steps(), answers, None, OutputMeaning(task="regression", said_by="user")).kind == "regression"
    assert task_of(Steps(), {"prediction": LOGITS}, None, marks).segmentation == Segmentation("prediction", 1, "logits")
