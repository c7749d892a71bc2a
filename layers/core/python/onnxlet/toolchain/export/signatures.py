"""What a version's clients see, as signatures of a SavedModel: the graph with its steps around it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from onnxlet.steps import Steps, decode_steps
from onnxlet.toolchain.export.steps import Tensors, check_exportable, graph_inputs, served_outputs, tensorflow_datatype
from onnxlet.toolchain.export.translation import Translation
from onnxlet.values.manifest import Manifest
from onnxlet.values.signature import Signature, TensorSpec
from onnxlet.values.tensors import VARIABLE


@dataclass(frozen=True)
class ServedSignature:
    """One signature: what it is called, its names and shapes, and what computes it.

    TensorFlow's functions take no names with spaces, so the inputs have others there: `arguments` by true name.
    """

    name: str
    signature: Signature
    compute: Callable[[Tensors], Tensors]

    @property
    def arguments(self) -> dict[str, str]:
        """Names of the function's arguments, as TensorFlow itself would spell the inputs'."""
        spelled: dict[str, str] = {}
        for spec in self.signature.inputs:
            plain = re.sub(r"\W", "_", spec.name, flags=re.ASCII)
            plain = plain if plain[:1].isalpha() else f"arg_{plain}"
            while plain in spelled.values():
                plain += "_"
            spelled[spec.name] = plain
        return spelled

    def function(self) -> Any:
        """The concrete function to save."""
        arguments = self.arguments

        def serve(**tensors: Any) -> Tensors:
            answers = self.compute({name: tensors[argument] for name, argument in arguments.items()})
            return {spec.name: _with_shape(answers[spec.name], spec) for spec in self.signature.outputs}

        specs = {
            arguments[spec.name]: tf.TensorSpec(_sizes(spec), tensorflow_datatype(spec), name=arguments[spec.name])
            for spec in self.signature.inputs
        }
        return tf.function(serve, autograph=False).get_concrete_function(**specs)


def served_signatures(manifest: Manifest, graph: Translation) -> list[ServedSignature]:
    """The signatures that the version has. Raises ConversionError if a step has no form in TensorFlow."""
    steps = decode_steps(manifest.steps)
    check_exportable(steps, manifest.graph)
    return [_served_signature(name, manifest, steps, graph) for name in steps.signature_names]


def _served_signature(name: str, manifest: Manifest, steps: Steps, graph: Translation) -> ServedSignature:
    def answer(sent: Tensors) -> Tensors:
        return served_outputs(steps, graph(graph_inputs(steps, name, manifest.graph, sent)))

    if steps.preprocessor(name, manifest.graph) is None:
        return ServedSignature(name, manifest.signature, answer)
    return ServedSignature(name, Signature(steps.inputs(name, manifest.graph), manifest.signature.outputs), answer)


def _sizes(spec: TensorSpec) -> list[int | None]:
    return [None if size == VARIABLE else size for size in spec.shape]


def _with_shape(tensor: Any, spec: TensorSpec) -> Any:
    """With the shape that is declared, so far as it says more than TensorFlow found out."""
    datatype = tensorflow_datatype(spec)
    tensor = tf.cast(tensor, datatype) if tensor.dtype != datatype else tf.identity(tensor)
    return tf.ensure_shape(tensor, _sizes(spec)) if tensor.shape.rank in (None, len(spec.shape)) else tensor
