"""Networks of any framework with an image step that the caller describes: pictures in --data, pictures served."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import trained
from onnxlet.errors import InvalidInputError
from onnxlet.steps import decode_steps
from onnxlet.steps.image import Image, Resize
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.prepare import prepare
from onnxlet.toolchain.verify import verify
from pictures import picture, read, written

STEP = {"resize": {"exact": [8, 8]}, "scale": 1 / 255, "mean": [0.5, 0.5, 0.5], "layout": "NHWC"}
LABELS = ("red", "green", "blue")


def network(path: Path) -> Path:
    """`pixels` FP32 [N, 8, 8, 3] -> logits FP32 [N, 3]: the mean of each color, ten times."""
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["pixels", "axes"], ["means"], keepdims=0),
            helper.make_node("Mul", ["means", "ten"], ["logits"]),
        ],
        "colors",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 8, 8, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(np.array([1, 2]), "axes"), numpy_helper.from_array(np.array(10, np.float32), "ten")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    return path


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A CSV file of 30 pictures and their strongest color."""
    rows = []
    for index in range(30):
        data = written(picture(20 + index, 50 - index, seed=index))
        (tmp_path / f"{index}.png").write_bytes(data)
        rows.append([f"{index}.png", LABELS[int(np.asarray(read(data).resize((8, 8), 2)).mean(axis=(0, 1)).argmax())]])
    return trained.write_csv(tmp_path / "films.csv", ["file", "color"], rows)


def rows_of(films: Path) -> list[list[str]]:
    return [line.split(",") for line in films.read_text().splitlines()[1:]]


@pytest.mark.parametrize("as_file", [False, True])
def test_a_graph_takes_pictures_by_the_step_that_is_described(tmp_path: Path, films: Path, *, as_file: bool) -> None:
    (tmp_path / "image.json").write_text(json.dumps(STEP))

    expected = trained.write_csv(tmp_path / "expected.csv", ["label"], [[row[-1]] for row in rows_of(films)])

    draft = convert(
        network(tmp_path / "colors.onnx"),
        tmp_path / "out",
        data=films,
        target="color",
        expected=expected,
        labels=LABELS,
        image=tmp_path / "image.json" if as_file else STEP,
    )

    step = next(step for step in decode_steps(draft.steps).each if isinstance(step, Image))
    assert (step.input, step.resize) == ("pixels", Resize(exact=(8, 8)))
    assert draft.evaluations[-1].metrics["accuracy"] == 1
    assert verify(tmp_path / "out", data=films, target="color").holds
    prepared, _ = prepare(tmp_path / "out", tmp_path / "prepared")
    assert [step["kind"] for step in prepared.steps] == ["image", "classification"]


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ({"resize": {"exact": [0, 8]}}, "the image step cannot be read"),
        ({"shrink": 8}, "unknown field `shrink`"),
        ({"layout": "NHWC"}, "leaves pictures of several sizes"),
    ],
)
def test_a_step_that_makes_no_sense_is_refused(
    tmp_path: Path, films: Path, image: dict[str, object], said: str
) -> None:
    with pytest.raises(InvalidInputError, match=said):
        convert(network(tmp_path / "colors.onnx"), tmp_path / "out", data=films, target="color", image=image)


def test_a_file_that_is_no_step_and_a_model_without_pictures_are_refused(tmp_path: Path) -> None:
    (tmp_path / "image.json").write_text("[]")
    with pytest.raises(InvalidInputError, match=r"'image\.json' holds no step"):
        convert(network(tmp_path / "colors.onnx"), tmp_path / "out", image=tmp_path / "image.json")
    (tmp_path / "model.json").write_text('{"learner": 1, "version": 2}')
    with pytest.raises(InvalidInputError, match="image cannot be chosen"):
        convert(tmp_path / "model.json", tmp_path / "out", image=STEP)
