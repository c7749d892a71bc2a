"""A graph's answers to rows of named columns, what clients see of them, and how good they are."""

from __future__ import annotations

import numpy as np

from onnxlet.engine import Engine
from onnxlet.manifest import Classification, Steps
from onnxlet.signature import Signature, TensorSpec
from onnxlet.steps import columns_signature, columns_to_inputs
from onnxlet.tensors import VARIABLE, Tensor, Tensors
from onnxlet.verify import classification_metrics, regression_metrics

LABEL = "label"
PROBABILITY = "probability"
PROBABILITIES = "probabilities"
PREDICTION = "prediction"


def graph_inputs(engine: Engine, steps: Steps, columns: Tensors) -> Tensors:
    """Columns of served datatypes as the graph's inputs. Raises InvalidInputError if they are not the model's."""
    if steps.tabular is None:
        return columns
    return columns_to_inputs(steps.tabular, columns, engine.signature)


def graph_answers(engine: Engine, steps: Steps, columns: Tensors) -> Tensors:
    """The graph's own outputs for the columns; a classifier's as `label` (class values) and `probabilities`.

    Raises ExecutionError, InvalidInputError as the engine does.
    """
    return renamed(steps.classification, engine.run(graph_inputs(engine, steps, columns)))


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
    """Metrics of the answers against the truth; none without it."""
    if truth is None:
        return {}
    if classification is None:
        return regression_metrics(truth, answers[PREDICTION])
    kind = object if truth.dtype.kind == "O" else np.int64
    classes = np.array(classification.classes, dtype=kind)
    return classification_metrics(truth, answers[LABEL], answers.get(PROBABILITIES), classes)
