"""Nets that score classes at each position: what is told of them at conversion, and how the ladder and verify judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from sklearn.metrics import f1_score, jaccard_score, mean_squared_error, r2_score

import nets
import trained
from drafts import hold_to_own_answers
from onnxlet.errors import InvalidInputError
from onnxlet.serving.engine import load_engine
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.optimize import optimize
from onnxlet.toolchain.verify import verify
from onnxlet.values.manifest import Draft, OutputMeaning
from onnxlet.values.tensors import Tensor

pytestmark = pytest.mark.toolchain

TISSUES = ("background", "organ", "lesion")


def net(folder: Path, *, width: int = 4, channels_last: bool = False) -> Path:
    """`image` FP32 [N, 3, 12, 12] -> `y`, logits of three classes at each pixel, two convolutions deep."""
    last = [helper.make_node("Transpose", ["scores"], ["y"], perm=[0, 2, 3, 1])]
    model = nets.made(
        [
            helper.make_node("Conv", ["image", "w1"], ["a"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("Conv", ["b", "w2"], ["c"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c"], ["d"]),
            helper.make_node("Conv", ["d", "w3"], ["scores" if channels_last else "y"]),
            *(last if channels_last else []),
        ],
        {"image": (TensorProto.FLOAT, ["N", 3, 12, 12])},
        ["N", 12, 12, 3] if channels_last else ["N", 3, 12, 12],
        {
            "w1": nets.drawn(width, 3, 3, 3) * 2,
            "w2": nets.drawn(width, width, 3, 3, seed=1),
            "w3": nets.drawn(3, width, 1, 1, seed=2) * 4,
        },
    )
    onnx.save_model(model, folder / "model.onnx")
    return folder / "model.onnx"


def images(count: int = 60) -> Tensor:
    return nets.rows(count, 3, 12, 12)


def logits(model: Path, pictures: Tensor) -> Tensor:
    engine = load_engine(model, threads=1, optimized=False, run_deadline=60)
    return engine.run({"image": pictures})["y"]


def data_of(folder: Path, model: Path, axis: int, *, wrong: int = 7) -> tuple[Path, Tensor]:
    """Images and masks: the net's own labels, every so many-th pixel another."""
    label = logits(model, images()).argmax(axis=axis)
    masks = label.reshape(-1).copy()
    masks[::wrong] = (masks[::wrong] + 1) % 3
    masks = masks.reshape(label.shape)
    return trained.npz_of(folder / "data.npz", {"image": images(), "mask": masks}), masks


@pytest.mark.parametrize("channels_last", [False, True])
def test_masks_are_judged_by_class_as_scikit_learn_would(tmp_path: Path, channels_last: bool) -> None:
    axis = 3 if channels_last else 1
    model = net(tmp_path, channels_last=channels_last)
    data, masks = data_of(tmp_path, model, axis)

    draft = convert(model, tmp_path / "out", data=data, target="mask", labels=TISSUES)
    hold_to_own_answers(tmp_path / "out")
    contract = verify(tmp_path / "out", data=data, target="mask")

    assert draft.outputs == OutputMeaning(
        are="logits", said_by="user", task="segmentation", output="prediction", class_axis=axis, labels=TISSUES
    )
    assert [spec.name for spec in draft.signature.outputs] == ["y"]
    assert contract.holds
    assert contract.metric == "dice"
    label = logits(model, images()).argmax(axis=axis).ravel()
    metrics = contract.stages[-1].metrics
    for metric, witness in (("dice", f1_score), ("iou", jaccard_score)):
        expected = witness(masks.ravel(), label, average=None)
        assert [metrics[f"{metric}_{name}"].value for name in TISSUES] == pytest.approx(expected.tolist(), rel=1e-5)
    assert draft.evaluations[0].metrics["dice"] == pytest.approx(f1_score(masks.ravel(), label, average="macro"))
    report = (tmp_path / "out/report.html").read_text()
    assert "dice lesion" in report
    assert f"at each position along dimension {axis}" in report


def test_a_graph_with_channels_scaled_apart_is_not_published(tmp_path: Path) -> None:
    model = net(tmp_path)
    data, _ = data_of(tmp_path, model, 1)
    convert(model, tmp_path / "out", data=data)
    written = onnx.load(tmp_path / "out/model.onnx")
    written.graph.node[-1].output[0] = "scores"
    written.graph.initializer.append(
        onnx.numpy_helper.from_array(np.array([1, 2, 3], dtype=np.float32).reshape(1, 3, 1, 1), "scale")
    )
    written.graph.node.append(helper.make_node("Mul", ["scores", "scale"], ["y"]))
    onnx.save_model(written, tmp_path / "out/model.onnx")

    hold_to_own_answers(tmp_path / "out")
    contract = verify(tmp_path / "out", data=data)

    assert not contract.holds
    assert "label change" in contract.breaches
    assert any("--task tensors" in note for note in contract.notes)


def test_the_ladder_judges_masks(tmp_path: Path) -> None:
    model = net(tmp_path, width=96)
    data, _ = data_of(tmp_path, model, 1)
    options: dict[str, Any] = {"data": data, "target": "mask"}
    convert(model, tmp_path / "out", **options, labels=TISSUES)
    hold_to_own_answers(tmp_path / "out")

    draft: Draft = optimize(tmp_path / "out", **options, method="static-int8")

    assert draft.outputs is not None
    assert draft.optimization is not None
    assert {"dice", "iou", "dice_lesion"} <= draft.optimization.rungs[0].metrics.keys()
    assert verify(tmp_path / "out", **options).metric == "dice"


def test_numbers_of_masks_that_are_no_class_stop(tmp_path: Path) -> None:
    model = net(tmp_path)
    _, masks = data_of(tmp_path, model, 1)
    masks[0, 0, 0] = 9
    data = trained.npz_of(tmp_path / "data.npz", {"image": images(), "mask": masks})

    with pytest.raises(InvalidInputError, match="targets that are no class"):
        convert(model, tmp_path / "out", data=data, target="mask")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": TISSUES, "task": "tensors"}, "labels name classes, and --task tensors judges none"),
        ({"labels": TISSUES, "outputs_are": "values"}, "labels name classes, and --outputs-are values says"),
        ({"labels": TISSUES, "outputs_are": "probabilities"}, "probabilities are from 0 to 1"),
        ({"labels": ("well", "ill", "old", "new")}, "4 labels were given, and no output scores as many classes"),
    ],
)
def test_what_contradicts_the_answers_stops(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    data = trained.npz_of(tmp_path / "data.npz", {"image": images()})
    with pytest.raises(InvalidInputError, match=message):
        convert(net(tmp_path), tmp_path / "out", data=data, **options)


def test_values_at_positions_are_no_classes(tmp_path: Path) -> None:
    data = trained.npz_of(tmp_path / "data.npz", {"image": images()})

    draft = convert(net(tmp_path), tmp_path / "out", data=data, outputs_are="values")

    assert draft.outputs == OutputMeaning(are="values", said_by="user")
    hold_to_own_answers(tmp_path / "out")
    assert verify(tmp_path / "out", data=data).task == "tensors"


def test_what_is_no_segmentation_is_said(tmp_path: Path) -> None:
    model = net(tmp_path)
    data = trained.npz_of(tmp_path / "data.npz", {"image": images()})

    draft = convert(model, tmp_path / "out", data=data, task="tensors")

    assert draft.outputs == OutputMeaning(task="tensors", said_by="user")
    hold_to_own_answers(tmp_path / "out")
    assert verify(tmp_path / "out", data=data).task == "tensors"


@pytest.mark.parametrize("noise", ["fractions", "whole"])
def test_images_of_numbers_are_held_to_the_scale_of_each_pixel(tmp_path: Path, noise: str) -> None:
    model = net(tmp_path)
    answers = logits(model, images()).astype(np.float64)
    truth = answers + np.random.default_rng(1).normal(size=answers.shape)
    truth = np.round(truth) if noise == "whole" else truth
    data = trained.npz_of(tmp_path / "data.npz", {"image": images(), "truth": truth})
    said: dict[str, Any] = {} if noise == "fractions" else {"task": "regression"}

    draft = convert(model, tmp_path / "out", data=data, target="truth", **said)
    hold_to_own_answers(tmp_path / "out")
    contract = verify(tmp_path / "out", data=data, target="truth")

    assert contract.task == "regression"
    expected = np.sqrt(mean_squared_error(truth.ravel(), answers.ravel()))
    assert draft.evaluations[0].metrics["rmse"] == pytest.approx(expected, rel=1e-5)
    assert contract.stages[0].metrics["r2"].value == pytest.approx(r2_score(truth.ravel(), answers.ravel()), rel=1e-4)
    assert contract.holds
