"""What the doors' tests serve: tiny real models, published and promoted, behind a data plane."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from onnxlet.dataplane.dispatch import DataPlane
from onnxlet.dataplane.messages import Request, Response
from onnxlet.registry.registry import Registry
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.steps import Classification, Column, Step, Steps, Tabular
from onnxlet.store import Store
from onnxlet.telemetry.recording import Telemetry
from onnxlet.values.manifest import Draft, Provenance
from onnxlet.values.signature import Signature, TensorSpec

OPSET = 21
FEATURES = 30
COLUMNS = tuple(f"mean feature {number}" for number in range(FEATURES))
_ELEMENTS = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}


def spec(name: str, datatype: str, *shape: int) -> TensorSpec:
    """A tensor's spec in one line."""
    return TensorSpec(name, datatype, shape)


class Answer(Response):
    """A response that is no stream."""

    body: bytes = b""


class Shop:
    """A store being filled with models, and the data plane that serves them."""

    def __init__(
        self,
        store: Store,
        folder: Path,
        *,
        alias_ttl: float = Settings().alias_ttl,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.registry = Registry(store, who="doors")
        self.settings = Settings(cache_dir=str(folder / "cache"), alias_ttl=alias_ttl)
        self.predictor = Predictor(store, self.settings, telemetry=telemetry)
        self.dataplane = DataPlane(self.predictor)
        self._folder = folder

    def publish(
        self,
        name: str,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        nodes: Sequence[onnx.NodeProto],
        *,
        weights: dict[str, npt.NDArray[Any]] | None = None,
        served: Sequence[TensorSpec] | None = None,
        steps: Steps | None = None,
        artifacts: dict[str, bytes] | None = None,
        policy: dict[str, Any] | None = None,
    ) -> int:
        """Publish a graph and let `production` route to it."""
        graph = helper.make_graph(
            list(nodes),
            name,
            [_value(tensor) for tensor in inputs],
            [_value(tensor) for tensor in outputs],
            [numpy_helper.from_array(value, key) for key, value in (weights or {}).items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{name}.onnx"
        onnx.save(model, path)
        signature = Signature(tuple(inputs), tuple(outputs))
        draft = Draft(
            graph=signature,
            signature=Signature(tuple(inputs), tuple(served or outputs)),
            steps=(steps or Steps()).documents,
            provenance=Provenance("onnx", {"ai.onnx": OPSET}),
            policy=policy,
        )
        files = {"model.onnx": path}
        for each, contents in (artifacts or {}).items():
            files[each] = self._folder / f"{name} {each}"
            files[each].write_bytes(contents)
        version = self.registry.publish(name, draft, files).version
        self.registry.promote(name, version)
        return version

    def publish_echo(self, name: str, datatype: str, *shape: int, output: str = "y") -> int:
        """Publish a model that returns its input `x`."""
        return self.publish(
            name,
            [spec("x", datatype, *shape)],
            [spec(output, datatype, *shape)],
            [helper.make_node("Identity", ["x"], [output])],
        )

    def publish_diagnosis(
        self, *, several: bool = True, policy: dict[str, Any] | None = None, more: Sequence[Step] = ()
    ) -> int:
        """Publish a classifier of 30 named columns, with labels; `several` outputs or the probabilities alone.

        `more` steps come behind its own.
        """
        weights = np.random.default_rng(7).normal(size=(FEATURES, 2)).astype(np.float32)
        served = [spec("label", "BYTES", -1), spec("probability", "FP32", -1), spec("probabilities", "FP32", -1, 2)]
        columns = tuple(Column(name, "FP32", default=0.5 if name == COLUMNS[-1] else None) for name in COLUMNS)
        return self.publish(
            "diagnosis",
            [spec("features", "FP32", -1, FEATURES)],
            [spec("class", "INT64", -1), spec("scores", "FP32", -1, 2)],
            [
                helper.make_node("MatMul", ["features", "w"], ["logits"]),
                helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
                helper.make_node("ArgMax", ["scores"], ["class"], axis=1, keepdims=0),
            ],
            weights={"w": weights},
            served=served if several else served[-1:],
            steps=Steps(
                (
                    Tabular(columns, "features"),
                    Classification("class", "scores", ("malignant", "benign"), (0, 1)),
                    *more,
                )
            ),
            policy=policy,
        )

    def send(self, method: str, path: str, body: bytes | str = b"", **headers: str) -> Answer:
        """Answer a request; header names are written with `_` for `-`."""
        written = {name.replace("_", "-"): value for name, value in headers.items()}
        data = body.encode() if isinstance(body, str) else body
        response = self.dataplane.answer(Request(method, path, "", written, data))
        assert isinstance(response.body, bytes)
        return Answer(response.status, response.body, response.headers)

    def predict(self, model: str, body: bytes | str, **headers: str) -> Answer:
        """Ask for a prediction."""
        return self.send("POST", f"/v1/models/{model}:predict", body, **headers)


def _value(tensor: TensorSpec) -> onnx.ValueInfoProto:
    shape = [None if size < 0 else size for size in tensor.shape]
    return helper.make_tensor_value_info(tensor.name, _ELEMENTS[tensor.datatype], shape)
