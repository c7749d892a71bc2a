"""The store that the local server's tests serve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from models import tiny
from onnxlet.store import open_store


@pytest.fixture(scope="module")
def served_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose store holds a quick model, `tiny`, and a slow one, `slow`."""
    folder = tmp_path_factory.mktemp("local")
    store = open_store((folder / "store").as_uri())
    tiny.publish(store, "tiny", tiny.classifier_package(folder / "tiny"))
    tiny.publish(store, "slow", tiny.package(slow_model(), folder / "slow"))
    return folder


@pytest.fixture(scope="module")
def served_settings(served_folder: Path) -> dict[str, str | float]:
    """Settings over that store."""
    return {"store": (served_folder / "store").as_uri(), "cache_dir": str(served_folder / "cache"), "alias_ttl": 0.2}


def slow_model() -> ModelProto:
    """`x` FP32 [N] -> y FP32 [N]: as many matrix products as `x` sums up to, about a millisecond each."""
    size = 256
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["kept", "matrix"], ["next"]),
            helper.make_node("Identity", ["before"], ["after"]),
        ],
        "body",
        [
            tiny._value("round", tiny._INT64, []),  # noqa: SLF001 - the models' own shorthand
            tiny._value("before", TensorProto.BOOL, []),  # noqa: SLF001
            tiny._value("kept", tiny._FLOAT, [size, size]),  # noqa: SLF001
        ],
        [tiny._value("after", TensorProto.BOOL, []), tiny._value("next", tiny._FLOAT, [size, size])],  # noqa: SLF001
    )
    return tiny._model(  # noqa: SLF001
        [
            helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
            helper.make_node("Cast", ["sum"], ["rounds"], to=tiny._INT64),  # noqa: SLF001
            helper.make_node("Loop", ["rounds", "", "matrix"], ["product"], body=body),
            helper.make_node("ReduceSum", ["product"], ["total"], keepdims=0),
            helper.make_node("Mul", ["total", "zero"], ["nothing"]),
            helper.make_node("Add", ["x", "nothing"], ["y"]),
        ],
        [tiny._value("x", tiny._FLOAT, ["N"])],  # noqa: SLF001
        [tiny._value("y", tiny._FLOAT, ["N"])],  # noqa: SLF001
        {"matrix": np.eye(size, dtype=np.float32), "zero": np.array(0, dtype=np.float32)},
    )
