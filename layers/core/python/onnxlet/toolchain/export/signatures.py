"""What a version's clients see, as signatures of a SavedModel: the graph with its steps around it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from onnxlet.serving.model import COLUMNS, SERVING_DEFAULT
from onnxlet.steps import columns_signature, names_of
from onnxlet.toolchain.export.translation import Translation
from onnxlet.values.manifest import Classification, Manifest, Tabular
from onnxlet.values.signature import Signature, TensorSpec
from onnxlet.values.tensors import VARIABLE

Tensors = dict[str, Any]
_KINDS = {"BYTES": tf.string, "BF16": tf.bfloat16}


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
            plain = f"arg_{plain}" if not plain or plain[0].isdigit() else plain
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
            arguments[spec.name]: tf.TensorSpec(_sizes(spec), kind_of(spec), name=arguments[spec.name])
            for spec in self.signature.inputs
        }
        return tf.function(serve, autograph=False).get_concrete_function(**specs)


def served_signatures(manifest: Manifest, graph: Translation) -> list[ServedSignature]:
    """`serving_default`, and `columns` for a model of named columns."""
    tabular = manifest.steps.tabular

    def answer(inputs: Tensors) -> Tensors:
        outputs = graph(inputs)
        for step in manifest.steps.targets:
            outputs = _classify(step, outputs)
        return outputs

    if tabular is None:
        return [ServedSignature(SERVING_DEFAULT, manifest.signature, answer)]
    columns = Signature(columns_signature(tabular), manifest.signature.outputs)

    def from_columns(inputs: Tensors) -> Tensors:
        return answer(_graph_inputs(tabular, manifest.graph, inputs))

    by_column = ServedSignature(COLUMNS, columns, from_columns)
    if tabular.input is None:
        return [ServedSignature(SERVING_DEFAULT, columns, from_columns), by_column]
    return [ServedSignature(SERVING_DEFAULT, manifest.signature, answer), by_column]


def _graph_inputs(tabular: Tabular, graph: Signature, columns: Tensors) -> Tensors:
    specs = {spec.name: spec for spec in graph.inputs}
    if tabular.input is not None:
        kind = kind_of(specs[tabular.input])
        return {tabular.input: tf.stack([tf.cast(columns[column.name], kind) for column in tabular.columns], 1)}
    inputs = {}
    for name, spec in specs.items():
        value = columns[name] if spec.datatype == "BYTES" else tf.cast(columns[name], kind_of(spec))
        inputs[name] = value[:, None] if len(spec.shape) > 1 else value
    return inputs


def _classify(step: Classification, outputs: Tensors) -> Tensors:
    """What Classifier makes of the outputs."""
    names = names_of(step.target)
    values = tf.reshape(outputs[step.label], [-1])
    position = tf.argmax(tf.cast(values[:, None] == tf.constant(list(step.classes), values.dtype), tf.int8), -1)
    answers = {**outputs, names.label: tf.gather(tf.constant(list(step.labels)), position) if step.labels else values}
    if step.probabilities is not None:
        shares = outputs[step.probabilities]
        answers[names.probability] = tf.gather(shares, position, batch_dims=1)
        answers[names.probabilities] = shares
    return answers


def kind_of(spec: TensorSpec) -> Any:
    """The datatype in TensorFlow."""
    return _KINDS.get(spec.datatype) or tf.as_dtype(np.dtype(spec.type.numpy))


def _sizes(spec: TensorSpec) -> list[int | None]:
    return [None if size == VARIABLE else size for size in spec.shape]


def _with_shape(tensor: Any, spec: TensorSpec) -> Any:
    """With the shape that is declared, so far as it says more than TensorFlow found out."""
    tensor = tf.cast(tensor, kind_of(spec)) if tensor.dtype != kind_of(spec) else tf.identity(tensor)
    return tf.ensure_shape(tensor, _sizes(spec)) if tensor.shape.rank in (None, len(spec.shape)) else tensor
