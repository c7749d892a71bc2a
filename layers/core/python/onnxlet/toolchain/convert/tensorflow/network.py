"""A network that TensorFlow computes, be it a Keras model or a signature of a SavedModel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx

from onnxlet.toolchain.convert.networks.outputs import OutputHints
from onnxlet.toolchain.convert.networks.probing_inputs import random_tensors
from onnxlet.toolchain.convert.tensorflow.exporter import run_function, to_onnx
from onnxlet.values.manifest import ReferenceKind
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import Tensors


class TensorFlowNetwork:
    """What is called with tensors in the order of its inputs, and answers in the order of its outputs.

    `owner` is what holds its weights.
    """

    labels: tuple[str, ...] = ()
    assets: Mapping[str, bytes] = {}
    hints = OutputHints(class_axis=-1)

    def __init__(  # noqa: PLR0917 - all it is made of
        self,
        framework: str,
        reference: ReferenceKind,
        versions: dict[str, str],
        owner: Any,
        call: Callable[..., list[Any]],
        inputs: Sequence[TensorSpec],
        outputs: Sequence[str],
    ) -> None:
        self.framework, self.versions = framework, versions
        self.reference: ReferenceKind | None = reference
        self.names = tuple(spec.name for spec in inputs)
        self._owner, self._call = owner, call
        self._inputs, self._outputs = tuple(inputs), tuple(outputs)

    def input_specs(self, example: Tensors | None) -> tuple[TensorSpec, ...]:
        """The inputs as the model declares them, whatever the example."""
        del example
        return self._inputs

    def random_inputs(self, shapes: Mapping[str, tuple[int, ...]], *, seed: int) -> Tensors:
        """Random tensors of these shapes."""
        return random_tensors({spec.name: spec for spec in self._inputs}, shapes, seed=seed)

    def run(self, inputs: Tensors) -> Tensors:
        """The model's answers. Raises InvalidInputError where it fails."""
        return dict(zip(self._outputs, run_function(self._call, [inputs[name] for name in self.names]), strict=True))

    def export_graph(self) -> onnx.ModelProto:
        """The graph. Raises ConversionError."""
        return to_onnx(self._owner, self._call, self._inputs, self._outputs)
