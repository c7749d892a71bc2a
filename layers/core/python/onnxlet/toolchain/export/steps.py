"""Steps in TensorFlow, kind by kind; and the way back, from a graph's inputs to what clients would have sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import tensorflow as tf

from onnxlet.errors import ConversionError
from onnxlet.steps import Classification, Finite, Step, Steps, Tabular, decode_steps
from onnxlet.steps.base import Specs, kind_of, spec_named
from onnxlet.steps.categories import Categories
from onnxlet.steps.image import Image
from onnxlet.steps.token_ids import TokenIds
from onnxlet.steps.tokenizer import Tokenizer
from onnxlet.values import tensors
from onnxlet.values.datatypes import DATATYPES
from onnxlet.values.manifest import Manifest
from onnxlet.values.signature import SERVING_DEFAULT, Signature, TensorSpec

Tensors = dict[str, Any]
_DATATYPES = {"BYTES": tf.string, "BF16": tf.bfloat16}


def tensorflow_datatype(spec: TensorSpec) -> Any:
    """The datatype in TensorFlow."""
    return _DATATYPES.get(spec.datatype) or tf.as_dtype(np.dtype(spec.type.numpy))


def leave_readers(manifest: Manifest) -> tuple[Manifest, tuple[str, ...]]:
    """The version without steps that read pictures or texts, where the tensors that these make may be sent instead; and
    the kinds of what is left out.
    """
    steps = decode_steps(manifest.steps)
    kept = Steps(tuple(step for step in steps.each if not isinstance(step, _READERS)))
    left = tuple(kind_of(step) for step in steps.each if isinstance(step, _READERS))
    signature = Signature(kept.inputs(SERVING_DEFAULT, manifest.graph), manifest.signature.outputs)
    return msgspec.structs.replace(manifest, steps=kept.documents, signature=signature), left


def check_exportable(steps: Steps, graph: Signature) -> None:
    """Raises ConversionError for a step of a kind that has no form in TensorFlow."""
    for step in steps.each:
        before = type(step) in _BEFORE or (not step.artifacts() and step.preprocessor(graph.inputs) is None)
        if not before or not (type(step) in _BEHIND or step.postprocessor() is None):
            raise ConversionError(f"steps of kind {kind_of(step)!r} cannot be written as a SavedModel")


def graph_inputs(steps: Steps, signature_name: str, graph: Signature, sent: Tensors) -> Tensors:
    """What the steps before the graph make of what is sent to a signature."""
    planned: list[tuple[Step, Specs]] = []
    specs = graph.inputs
    for step in reversed(steps.through(signature_name)):
        planned.insert(0, (step, specs))
        specs = step.inputs(specs)
    for step, wanted in planned:
        if (translate := _BEFORE.get(type(step))) is not None:
            sent = translate(step, wanted, sent)
    return sent


def served_outputs(steps: Steps, outputs: Tensors) -> Tensors:
    """The graph's outputs, and what the steps behind it make of them."""
    for step in steps.each:
        if (translate := _BEHIND.get(type(step))) is not None:
            outputs = outputs | translate(step, outputs)
    return outputs


def as_sent(steps: Steps, signature_name: str, graph: Signature, inputs: tensors.Tensors) -> tensors.Tensors:
    """What could have been sent to a signature to give the graph these inputs."""
    specs = graph.inputs
    for step in reversed(steps.through(signature_name)):
        if (undo := _BACK.get(type(step))) is not None:
            sent = undo(step, inputs)
            specs = step.inputs(specs)
            inputs = {spec.name: sent[spec.name].astype(DATATYPES[spec.datatype].numpy) for spec in specs}
    return inputs


def _fill(step: Tabular, wanted: Specs, columns: Tensors) -> Tensors:
    """What ColumnReader makes of the columns."""
    if step.input is not None:
        datatype = tensorflow_datatype(spec_named(step.input, wanted))
        return {step.input: tf.stack([tf.cast(columns[column.name], datatype) for column in step.columns], 1)}
    inputs = {}
    for spec in wanted:
        value = columns[spec.name]
        value = value if spec.datatype == "BYTES" else tf.cast(value, tensorflow_datatype(spec))
        inputs[spec.name] = value[:, None] if len(spec.shape) > 1 else value
    return inputs


def _columns_of(step: Tabular, inputs: tensors.Tensors) -> tensors.Tensors:
    if step.input is not None:
        return {column.name: inputs[step.input][:, index] for index, column in enumerate(step.columns)}
    return {name: value.reshape(-1) for name, value in inputs.items()}


def _classify(step: Classification, outputs: Tensors) -> Tensors:
    """What Classifier makes of the outputs."""
    values = tf.reshape(outputs[step.label], [-1])
    classes = [int(value) if isinstance(value, bool) else value for value in step.classes]
    position = tf.argmax(tf.cast(values[:, None] == tf.constant(classes, values.dtype), tf.int8), -1)
    label = tf.gather(tf.constant(list(step.labels)), position) if step.labels else values
    if step.is_boolean:
        label = tf.cast(values, tf.bool)
    if step.probabilities is None:
        return {step.names.label: label}
    shares = outputs[step.probabilities]
    probability = tf.gather(shares, position, batch_dims=1)
    return {step.names.label: label, step.names.probability: probability, step.names.probabilities: shares}


def _refuse(step: Finite, wanted: Specs, inputs: Tensors) -> Tensors:  # noqa: ARG001 - it changes nothing
    """The same tensors, behind what fails for a number that FiniteChecker refuses."""
    checked = dict(inputs)
    for name, columns in (
        [(name, (name,)) for name in step.columns] if step.input is None else [(step.input, step.columns)]
    ):
        value = inputs[name]
        missing, infinite = ([each in taken for each in columns] for taken in (step.missing, step.infinite))
        rows = tf.reshape(value, [-1, len(columns)])
        refused = (tf.math.is_nan(rows) & ~tf.constant(missing)) | (tf.math.is_inf(rows) & ~tf.constant(infinite))
        fails = tf.debugging.Assert(
            ~tf.reduce_any(refused), [f"{name} holds NaN or infinities, which the model refuses"]
        )
        with tf.control_dependencies([fails]):
            checked[name] = tf.identity(value)
    return checked


def _refuse_unknown(step: TokenIds, wanted: Specs, inputs: Tensors) -> Tensors:  # noqa: ARG001 - it changes nothing
    """The same tensors, behind what fails for token ids that TokenIds refuses."""
    checked = dict(inputs)
    for bound in step.bounds:
        value = inputs[bound.input]
        known = tf.reduce_all((value >= 0) & (value < bound.below))
        if step.most_tokens is not None:
            known &= tf.shape(value)[-1] <= step.most_tokens
        fails = tf.debugging.Assert(known, [f"{bound.input} holds token ids, or more of them, than the model knows"])
        with tf.control_dependencies([fails]):
            checked[bound.input] = tf.identity(value)
    return checked


def _refuse_unlisted(step: Categories, wanted: Specs, inputs: Tensors) -> Tensors:  # noqa: ARG001 - it changes nothing
    """The same tensors, behind what fails for a value that CategoryChecker refuses."""
    checked = dict(inputs)
    for column in step.columns:
        name = step.input or column.name
        tensor = checked[name]
        values = tf.reshape(tensor, [-1]) if step.input is None else tensor[:, column.place]
        known = tf.reduce_any(values[:, None] == tf.constant(list(column.values), values.dtype)[None], 1)
        if column.missing and values.dtype in (tf.string, tf.float32, tf.float64):
            known |= values == "" if values.dtype == tf.string else tf.math.is_nan(values)
        fails = tf.debugging.Assert(
            tf.reduce_all(known), [f"{column.name} holds a category that the model does not know"]
        )
        with tf.control_dependencies([fails]):
            checked[name] = tf.identity(tensor)
    return checked


_READERS = (Image, Tokenizer)
_BEFORE: dict[type[Step], Callable[[Any, Specs, Tensors], Tensors]] = {
    Tabular: _fill,
    Finite: _refuse,
    TokenIds: _refuse_unknown,
    Categories: _refuse_unlisted,
}
_BEHIND: dict[type[Step], Callable[[Any, Tensors], Tensors]] = {Classification: _classify}
_BACK: dict[type[Step], Callable[[Any, tensors.Tensors], tensors.Tensors]] = {Tabular: _columns_of}
