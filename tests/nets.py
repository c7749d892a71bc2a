"""Small nets with weights worth quantizing, built with the onnx package, and converted directories with their data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from models import tiny
from onnxlet.serving.golden import decode_cases
from onnxlet.toolchain.workbench.directory import write_draft

Array = npt.NDArray[Any]
FEATURES = 64


def made(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, tuple[int, Sequence[int | str]]],
    output: Sequence[int | str],
    weights: Mapping[str, Array],
) -> onnx.ModelProto:
    """A model whose last node gives `y`."""
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", tiny.OPSET)], ir_version=tiny.IR)


def drawn(*shape: int, seed: int = 0) -> Array:
    """Random weights that keep the scale of what they are multiplied with."""
    numbers: Array = np.random.default_rng(seed).normal(size=shape)
    scaled: Array = (numbers / np.sqrt(shape[0])).astype(np.float32)
    return scaled


def dense(width: int = 256) -> onnx.ModelProto:
    """`x` FP32 [N, 64] -> y FP32 [N, 32], through three products, the middle one a Gemm."""
    return made(
        [
            helper.make_node("MatMul", ["x", "w1"], ["a"]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("Gemm", ["b", "w2", "b2"], ["c"], transB=1),
            helper.make_node("Relu", ["c"], ["d"]),
            helper.make_node("MatMul", ["d", "w3"], ["y"]),
        ],
        {"x": (TensorProto.FLOAT, ["N", FEATURES])},
        ["N", 32],
        {
            "w1": drawn(FEATURES, width),
            "w2": drawn(width, width, seed=1),
            "b2": drawn(width, seed=2),
            "w3": drawn(width, 32, seed=3),
        },
    )


def fragile() -> onnx.ModelProto:
    """`x` FP32 [N, 64] -> y FP32 [N, 32]: what the product `fragile` reads has one huge number, which it leaves out.

    Eight bits for all of it have no room for the rest.
    """
    silent = drawn(128, 128, seed=1)
    silent[0] = 0
    huge = np.zeros(128, dtype=np.float32)
    huge[0] = 1e5
    return made(
        [
            helper.make_node("MatMul", ["x", "w1"], ["a"], name="first"),
            helper.make_node("Add", ["a", "huge"], ["b"]),
            helper.make_node("MatMul", ["b", "w2"], ["c"], name="fragile"),
            helper.make_node("Relu", ["c"], ["d"]),
            helper.make_node("MatMul", ["d", "w3"], ["e"], name="third"),
            helper.make_node("Relu", ["e"], ["f"]),
            helper.make_node("MatMul", ["f", "w4"], ["y"], name="last"),
        ],
        {"x": (TensorProto.FLOAT, ["N", FEATURES])},
        ["N", 32],
        {
            "w1": drawn(FEATURES, 128),
            "huge": huge,
            "w2": silent,
            "w3": drawn(128, 128, seed=2),
            "w4": drawn(128, 32, seed=3),
        },
    )


def directional() -> onnx.ModelProto:
    """`x` FP32 [N, 64] -> y FP32 [N, 2], logits of length 1: what counts of a row is its direction, not its size.

    Eight bits for all rows of a batch have no room for those that are a thousand times smaller than others.
    """
    return made(
        [
            helper.make_node("MatMul", ["x", "w1"], ["a"]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("MatMul", ["b", "w2"], ["c"]),
            helper.make_node("Relu", ["c"], ["d"]),
            helper.make_node("MatMul", ["d", "w3"], ["e"]),
            helper.make_node("ReduceL2", ["e", "axis"], ["length"], keepdims=1),
            helper.make_node("Max", ["length", "least"], ["divisor"]),
            helper.make_node("Div", ["e", "divisor"], ["y"]),
        ],
        {"x": (TensorProto.FLOAT, ["N", FEATURES])},
        ["N", 2],
        {
            "w1": drawn(FEATURES, 256),
            "w2": drawn(256, 256, seed=1),
            "w3": drawn(256, 2, seed=2),
            "axis": np.array([1], dtype=np.int64),
            "least": np.array(1e-9, dtype=np.float32),
        },
    )


def counting() -> onnx.ModelProto:
    """`x` FP32 [N, 64] -> y FP32 [N]: for each row with how many it was run."""
    return made(
        [
            helper.make_node("Shape", ["x"], ["counts"], start=0, end=1),
            helper.make_node("Cast", ["counts"], ["count"], to=TensorProto.FLOAT),
            helper.make_node("Expand", ["count", "counts"], ["y"]),
        ],
        {"x": (TensorProto.FLOAT, ["N", FEATURES])},
        ["N"],
        {},
    )


def convolution() -> onnx.ModelProto:
    """`x` FP32 [N, 3, 12, 12] -> y FP32 [N, 32], one of its convolutions depthwise."""
    weights = {
        "w1": drawn(64, 3, 3, 3) * 2,
        "w2": drawn(64, 1, 3, 3, seed=1) * 4,
        "w3": drawn(128, 64, 3, 3, seed=2),
        "w4": drawn(128, 32, seed=3),
    }
    return made(
        [
            helper.make_node("Conv", ["x", "w1"], ["a"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("Conv", ["b", "w2"], ["c"], pads=[1, 1, 1, 1], group=64),
            helper.make_node("Relu", ["c"], ["d"]),
            helper.make_node("MaxPool", ["d"], ["e"], kernel_shape=[2, 2], strides=[2, 2]),
            helper.make_node("Conv", ["e", "w3"], ["f"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["f"], ["g"]),
            helper.make_node("GlobalAveragePool", ["g"], ["h"]),
            helper.make_node("Flatten", ["h"], ["i"]),
            helper.make_node("MatMul", ["i", "w4"], ["y"]),
        ],
        {"x": (TensorProto.FLOAT, ["N", 3, 12, 12])},
        ["N", 32],
        weights,
    )


def attention(vocabulary: int = 4096, width: int = 64) -> onnx.ModelProto:
    """`ids` INT64 [N, T] -> y FP32 [N, 64]: a table of embeddings, one attention, a mean."""
    projections = {name: drawn(width, width, seed=seed) for seed, name in enumerate("qkvo", 1)}
    return made(
        [
            helper.make_node("Gather", ["table", "ids"], ["h"], name="table"),
            *(helper.make_node("MatMul", ["h", name], [f"{name}h"]) for name in "qkv"),
            helper.make_node("Transpose", ["kh"], ["kt"], perm=[0, 2, 1]),
            helper.make_node("MatMul", ["qh", "kt"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["shares"], axis=-1),
            helper.make_node("MatMul", ["shares", "vh"], ["mixed"]),
            helper.make_node("MatMul", ["mixed", "o"], ["out"]),
            helper.make_node("Add", ["out", "h"], ["sum"]),
            helper.make_node("ReduceMean", ["sum", "axis"], ["y"], keepdims=0),
        ],
        {"ids": (TensorProto.INT64, ["N", "T"])},
        ["N", width],
        {
            "table": drawn(vocabulary, width) * 64,
            "axis": np.array([1], dtype=np.int64),
            **projections,
        },
    )


def gemm() -> onnx.ModelProto:
    """`input` FP32 [N, 64] -> prediction FP32 [N, 8], through two Gemm nodes without names, one transposed."""
    random = np.random.default_rng(0)
    weights: dict[str, npt.NDArray[np.float32]] = {
        "w1": (random.normal(size=(256, 64)) / 8).astype(np.float32),
        "b1": random.normal(size=256).astype(np.float32),
        "w2": (random.normal(size=(256, 8)) / 16).astype(np.float32),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["input", "w1", "b1"], ["h"], transB=1),
            helper.make_node("Relu", ["h"], ["r"]),
            helper.make_node("Gemm", ["r", "w2"], ["prediction"]),
        ],
        "gemm",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 64])],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["N", 8])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", tiny.OPSET)], ir_version=tiny.IR)


def lstm(width: int = 64) -> onnx.ModelProto:
    """`x` FP32 [T, N, 64] -> y FP32 [1, N, 64]: the last state. Its rows are its second dimension."""
    return made(
        [
            helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
            helper.make_node("LSTM", ["t", "w", "r"], ["", "last"], hidden_size=width),
            helper.make_node("Squeeze", ["last", "axis"], ["y"]),
        ],
        {"x": (TensorProto.FLOAT, ["N", "T", FEATURES])},
        ["N", width],
        {
            "w": drawn(1, 4 * width, FEATURES) / 8,
            "r": drawn(1, 4 * width, width, seed=1) / 8,
            "axis": np.array([0], dtype=np.int64),
        },
    )


def rows(count: int = 64, *shape: int, seed: int = 9) -> Array:
    """Random rows of a shape, 64 features unless said otherwise."""
    return np.random.default_rng(seed).normal(size=(count, *(shape or (FEATURES,)))).astype(np.float32)


def converted(folder: Path, model: onnx.ModelProto, **arrays: Array) -> tuple[Path, Path]:
    """A converted directory with the model, and a .npz file with these arrays."""
    inputs = {value.name for value in model.graph.input}
    first = {name: array[:1] for name, array in arrays.items() if name in inputs}
    draft, files = tiny.package(model, folder / "net", golden=[first])
    write_draft(folder / "net", draft, decode_cases(files["golden.json"].read_bytes()))
    data = folder / "rows.npz"
    np.savez(data, allow_pickle=False, **arrays)
    return folder / "net", data
