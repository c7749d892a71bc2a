"""A graph's answers to rows of named columns, what clients see of them, and how good they are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from onnxlet.engine import Engine
from onnxlet.errors import InvalidInputError
from onnxlet.manifest import Classification, Steps
from onnxlet.signature import Signature, TensorSpec
from onnxlet.steps import columns_signature, columns_to_inputs
from onnxlet.tensors import VARIABLE, Tensor, Tensors
from onnxlet.verify import classification_metrics, regression_metrics

LABEL = "label"
PROBABILITY = "probability"
PROBABILITIES = "probabilities"
PREDICTION = "prediction"
BATCH = 64
"""Rows of tensors that are run at once: images and texts of more of them take much memory."""
COLUMN_BATCH = 4096
"""Rows of columns that are run at once."""


def graph_inputs(engine: Engine, steps: Steps, columns: Tensors) -> Tensors:
    """Columns of served datatypes as the graph's inputs. Raises InvalidInputError if they are not the model's."""
    if steps.tabular is None:
        return columns
    return columns_to_inputs(steps.tabular, columns, engine.signature)


def graph_answers(engine: Engine, steps: Steps, columns: Tensors) -> Tensors:
    """The graph's own outputs for the columns; a classifier's as `label` (class values) and `probabilities`.

    Raises ExecutionError, InvalidInputError as the engine does.
    """
    return answers_to(engine, steps, graph_inputs(engine, steps, columns))


def answers_to(engine: Engine, steps: Steps, inputs: Tensors) -> Tensors:
    """The graph's own outputs for its own inputs, as `renamed` names them. Raises as the engine does."""
    size = BATCH if steps.tabular is None else COLUMN_BATCH
    return renamed(steps.classification, in_batches(engine.run, inputs, size))


def in_batches(run: Callable[[Tensors], Tensors], inputs: Tensors, size: int = BATCH) -> Tensors:
    """The answers to many rows, computed `size` rows at a time, which bounds memory and how long a run takes.

    Inputs whose outputs do not count rows are run as they are.
    """
    rows = max(len(tensor) if tensor.ndim else 1 for tensor in inputs.values())
    if rows <= size:
        return run(inputs)
    parts = []
    for start in range(0, rows, size):
        part = {name: tensor[start : start + size] for name, tensor in inputs.items()}
        parts.append(run(part))
        if any(tensor.shape[:1] != (min(size, rows - start),) for tensor in parts[-1].values()):
            return run(inputs)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def renamed(classification: Classification | None, outputs: Tensors) -> Tensors:
    """A classifier's outputs, and a single other one, under common names; several others as they are."""
    if classification is None:
        return {PREDICTION: next(iter(outputs.values()))} if len(outputs) == 1 else outputs
    answers = {LABEL: outputs[classification.label]}
    if classification.probabilities is not None:
        answers[PROBABILITIES] = outputs[classification.probabilities]
    return answers


def served_signature(graph: Signature, steps: Steps) -> Signature:
    """What clients see once the steps stand around the graph."""
    inputs = graph.inputs
    if steps.tabular is not None and steps.tabular.input is None:
        inputs = columns_signature(steps.tabular)
    classification = steps.classification
    if classification is None:
        return Signature(inputs=inputs, outputs=graph.outputs)
    named = {spec.name: spec for spec in graph.outputs}
    datatype = "BYTES" if classification.labels else named[classification.label].datatype
    outputs = [TensorSpec(LABEL, datatype, (VARIABLE,))]
    if classification.probabilities is not None:
        probabilities = named[classification.probabilities]
        outputs += [
            TensorSpec(PROBABILITY, probabilities.datatype, (VARIABLE,)),
            TensorSpec(PROBABILITIES, probabilities.datatype, probabilities.shape),
        ]
    return Signature(inputs=inputs, outputs=tuple(outputs))


def measure(truth: Tensor | None, answers: Tensors, classification: Classification | None) -> dict[str, float]:
    """Metrics of the answers against the truth; none without it. Raises InvalidInputError where they cannot be told."""
    if truth is None:
        return {}
    if classification is None:
        prediction = answers.get(PREDICTION)
        if prediction is None or prediction.size != truth.size:
            raise InvalidInputError(
                "the model does not answer with one number per row, which a target could be compared with: name its "
                "classes with --labels, or leave --target out"
            )
        return regression_metrics(truth, prediction.reshape(truth.shape))
    kind = object if truth.dtype.kind == "O" else np.int64
    classes = np.array(classification.classes, dtype=kind)
    return classification_metrics(truth, answers[LABEL], answers.get(PROBABILITIES), classes)
