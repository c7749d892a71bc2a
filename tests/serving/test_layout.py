"""Models laid out for the machine that scores many rows: faster convolutions, as long as the answers stay."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np
import onnx
import pytest
from msgspec.structs import replace
from onnx import TensorProto, helper, numpy_helper

from models import tiny
from onnxlet.serving.golden import architecture
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import Store
from onnxlet.toolchain.prepare import prepare
from onnxlet.values.manifest import Draft, Tolerance
from onnxlet.values.refs import parse_ref
from onnxlet.values.tensors import Tensor

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.normal(size=(2, 64, 16, 16)).astype(np.float32)


def convolution() -> onnx.ModelProto:
    """One of 64 channels, whose sums of 576 products show in their last bits in which order they were added."""
    weights = RANDOM.normal(size=(64, 64, 3, 3)).astype(np.float32) / 24
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 64, 16, 16]) for name in ("pixels", "maps")
    ]
    node = helper.make_node("Conv", ["pixels", "weights"], ["maps"], kernel_shape=[3, 3], pads=[1] * 4)
    graph = helper.make_graph([node], "maps", values[:1], values[1:], [numpy_helper.from_array(weights, "weights")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.fixture
def prepared(tmp_path: Path) -> tuple[Draft, dict[str, Path]]:
    onnx.save(convolution(), tmp_path / "maps.onnx")
    return prepare(tmp_path / "maps.onnx", tmp_path / "prepared")


def answers(store: Store, folder: Path, *, layout: bool) -> Tensor:
    predictor = Predictor(store, Settings(cache_dir=str(folder / "cache")), layout=layout)
    return predictor.served(parse_ref("maps")).model.predict({"pixels": PIXELS})["maps"]


def test_answers_are_the_same_but_for_rounding(
    store: Store, prepared: tuple[Draft, dict[str, Path]], tmp_path: Path
) -> None:
    tiny.publish(store, "maps", prepared)
    portable, laid_out = (answers(store, tmp_path, layout=layout) for layout in (False, True))
    np.testing.assert_allclose(laid_out, portable, rtol=1e-4, atol=1e-5)
    if platform.machine() == "x86_64":
        assert not np.array_equal(laid_out, portable), "nothing was laid out anew"


def test_a_version_whose_golden_cases_bear_no_rounding_is_left_as_it_was_published(
    store: Store, prepared: tuple[Draft, dict[str, Path]], tmp_path: Path
) -> None:
    draft, files = prepared
    assert draft.golden is not None
    exact = replace(draft.golden, tolerances={architecture(): Tolerance(0, 0)})
    tiny.publish(store, "maps", (replace(draft, golden=exact), files))
    assert np.array_equal(answers(store, tmp_path, layout=True), answers(store, tmp_path, layout=False))


def test_without_golden_cases_nothing_is_laid_out(
    store: Store, prepared: tuple[Draft, dict[str, Path]], tmp_path: Path
) -> None:
    draft, files = prepared
    rest = {path: file for path, file in files.items() if path != "golden.json"}
    tiny.publish(store, "maps", (replace(draft, golden=None), rest))
    assert np.array_equal(answers(store, tmp_path, layout=True), answers(store, tmp_path, layout=False))
