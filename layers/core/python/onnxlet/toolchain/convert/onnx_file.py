"""ONNX files: checked and taken as they are; data adds names of columns, labels and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx
from google.protobuf.message import EncodeError  # type: ignore[import-untyped]

from onnxlet.errors import ConversionError, ExecutionError, InvalidInputError, RejectedModelError
from onnxlet.toolchain.convert.networks.outputs import OutputHints
from onnxlet.toolchain.convert.networks.probing_inputs import random_tensors
from onnxlet.toolchain.convert.networks.tensor_model import TensorModel
from onnxlet.toolchain.convert.options import SourceOptions
from onnxlet.toolchain.workbench.evaluation_data import open_graph
from onnxlet.toolchain.workbench.extras import versions
from onnxlet.toolchain.workbench.inspection import OLDEST_OPSET, inspect
from onnxlet.toolchain.workbench.progress import Progress
from onnxlet.toolchain.workbench.shapes import declare_shape, observed_outputs
from onnxlet.values.manifest import ReferenceKind
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import Tensors


def open_model(path: Path, *, trust: bool, progress: Progress, options: SourceOptions) -> TensorModel:  # noqa: ARG001 - a graph is data
    """The graph in a file. Raises ConversionError for what will not be served."""
    try:
        return TensorModel(OnnxFile(path), options, progress)
    except RejectedModelError as error:
        raise ConversionError(error.detail, **error.context) from error


class OnnxFile:
    """A graph as a network: ONNX Runtime runs it unoptimized, exactly as it is written."""

    reference: ReferenceKind | None = None
    labels: tuple[str, ...] = ()
    assets: Mapping[str, bytes] = {}
    hints = OutputHints()

    def __init__(self, path: Path) -> None:
        inspected = inspect(path)
        opset = inspected.opset.get("ai.onnx", OLDEST_OPSET)
        if opset < OLDEST_OPSET:
            raise ConversionError(
                f"{path.name!r} uses opset {opset}, ONNX Runtime promises to run those from {OLDEST_OPSET}: export the "
                "model with a newer one, or use onnx.version_converter",
                opset=opset,
            )
        self.framework = inspected.producer or "onnx"
        self.versions = versions("onnx")
        if inspected.producer_version:
            self.versions[self.framework] = inspected.producer_version
        self._path = path
        self._engine = open_graph(path, optimized=True)
        self._inputs = {spec.name: spec for spec in self._engine.signature.inputs}
        self._example: Tensors | None = None
        self.names = tuple(self._inputs)

    def input_specs(self, example: Tensors | None) -> tuple[TensorSpec, ...]:
        """The graph's inputs, whatever the example."""
        del example
        return self._engine.signature.inputs

    def random_inputs(self, shapes: Mapping[str, tuple[int, ...]], *, seed: int) -> Tensors:
        """Random tensors of these shapes."""
        return random_tensors(self._inputs, shapes, seed=seed)

    def run(self, inputs: Tensors) -> Tensors:
        """The graph's answers. Raises InvalidInputError where it fails."""
        try:
            outputs = self._engine.run(inputs)
        except ExecutionError as error:
            raise InvalidInputError(error.detail) from error
        self._example = self._example or inputs
        return outputs

    def export_graph(self) -> onnx.ModelProto:
        """The graph with its weights inside, and the shapes that its outputs really have."""
        model = onnx.load(self._path)
        if self._example is not None:
            shapes = {spec.name: spec.shape for spec in observed_outputs(self._engine, self._example)}
            for value in model.graph.output:
                declare_shape(value, shapes[value.name])
        try:
            model.ByteSize()
        except (EncodeError, ValueError) as error:
            raise ConversionError(
                f"{self._path.name!r} and its weights are larger than the 2 GB of one file: publish it as it is"
            ) from error
        return model
