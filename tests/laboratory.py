"""Versions to explain, whose answers are functions that a test can write down."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from onnxlet.explain.background import encode_background
from onnxlet.explain.document import BackgroundDocument, ExplanationDocument, PlayerDocument, write_document
from onnxlet.registry.registry import Registry
from onnxlet.serving.model import Model
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.steps import Column, Steps, Tabular
from onnxlet.store import Store
from onnxlet.values.keys import BACKGROUND
from onnxlet.values.manifest import Draft, Provenance
from onnxlet.values.refs import parse_ref
from onnxlet.values.signature import Signature, TensorSpec
from onnxlet.values.tensors import Tensors

Array = npt.NDArray[Any]
OPSET = 21


class Laboratory:
    """A store of versions that are published with a background, and loaded as servers load them."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.registry = Registry(store, who="tests")
        self.predictor = Predictor(store, Settings(cache_dir=str(folder / "cache")))
        self._folder = folder

    def publish(
        self,
        name: str,
        nodes: Sequence[onnx.NodeProto],
        weights: dict[str, Array],
        *,
        features: int,
        outputs: Sequence[TensorSpec],
        background: Tensors | None,
        columns: Sequence[str] = (),
        players: Sequence[PlayerDocument] = (),
    ) -> Model:
        """A graph `x` FP32 [N, features], whose columns have names where some are given."""
        inputs = [TensorSpec("x", "FP32", (-1, features))]
        graph = helper.make_graph(
            list(nodes),
            name,
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, features])],
            [
                helper.make_tensor_value_info(
                    each.name, onnx.TensorProto.FLOAT, [None if size < 0 else size for size in each.shape]
                )
                for each in outputs
            ],
            [numpy_helper.from_array(value, key) for key, value in weights.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
        folder = self._folder / name
        folder.mkdir()
        onnx.save(model, folder / "model.onnx")
        files = {"model.onnx": folder / "model.onnx"}
        document = ExplanationDocument(players=tuple(players))
        if background is not None:
            (folder / BACKGROUND).write_bytes(encode_background(background))
            files[BACKGROUND] = folder / BACKGROUND
            rows = len(next(iter(background.values())))
            document = ExplanationDocument(
                background=BackgroundDocument(BACKGROUND, "synthetic", rows), players=tuple(players)
            )
        steps = Steps((Tabular(tuple(Column(column, "FP32") for column in columns), "x"),)) if columns else Steps()
        signature = Signature(tuple(inputs), tuple(outputs))
        draft = Draft(
            graph=signature,
            signature=signature,
            steps=steps.documents,
            provenance=Provenance("onnx", {"ai.onnx": OPSET}),
            assets=(BACKGROUND,) if background is not None else (),
            explanations=write_document(document),
        )
        version = self.registry.publish(name, draft, files).version
        self.registry.promote(name, version)
        return self.predictor.served(parse_ref(name)).model


def background_of(rows: int, features: int, seed: int = 0) -> Array:
    """Rows [rows, features], float32."""
    return np.random.default_rng(seed).normal(size=(rows, features)).astype(np.float32)


def product(
    laboratory: Laboratory,
    features: int = 4,
    rows: int = 12,
    name: str = "product",
    **options: Any,  # noqa: ANN401
) -> Model:
    """`x` FP32 [N, features] -> y FP32 [N]: the product of one more than each feature."""
    return laboratory.publish(
        name,
        [
            helper.make_node("Add", ["x", "one"], ["more"]),
            helper.make_node("ReduceProd", ["more", "axes"], ["y"], keepdims=0),
        ],
        {"one": np.array(1, dtype=np.float32), "axes": np.array([1], dtype=np.int64)},
        features=features,
        outputs=[TensorSpec("y", "FP32", (-1,))],
        **{"background": {"x": background_of(rows, features)}, **options},
    )


def perceptron(laboratory: Laboratory, features: int = 30, rows: int = 100) -> Model:
    """`x` FP32 [N, features] -> p FP32 [N, 2]: probabilities of a network with a hidden layer."""
    random = np.random.default_rng(11)
    return laboratory.publish(
        "perceptron",
        [
            helper.make_node("Gemm", ["x", "w", "b"], ["hidden"]),
            helper.make_node("Tanh", ["hidden"], ["bent"]),
            helper.make_node("MatMul", ["bent", "v"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["p"], axis=1),
        ],
        {
            "w": (random.normal(size=(features, 16)) / 2).astype(np.float32),
            "b": random.normal(size=16).astype(np.float32),
            "v": random.normal(size=(16, 2)).astype(np.float32),
        },
        features=features,
        outputs=[TensorSpec("p", "FP32", (-1, 2))],
        background={"x": background_of(rows, features)},
    )
