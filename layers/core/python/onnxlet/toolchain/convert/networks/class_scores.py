"""Class scores: the network output that scores classes, and the label and probabilities that follow from it.

The same is computed of the network's own outputs and appended to the graph, so that both can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from onnxlet.errors import InvalidInputError
from onnxlet.steps import Classification
from onnxlet.steps.classification import LABEL, PROBABILITIES
from onnxlet.toolchain.convert import graph_edits
from onnxlet.toolchain.workbench.table import quoted
from onnxlet.values.tensors import Tensor, Tensors

_SHAPING = ("Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Cast")
_SUM = 1e-3
"""How far from 1 the sum of probabilities may be."""


@dataclass(frozen=True)
class ClassScores:
    """The output with scores of the classes, or of the second of two classes alone."""

    output: str
    classes: int
    single: bool
    """Whether it is one number per row, of the second class."""
    normalized: bool
    """Whether the scores are probabilities; else they are logits."""

    def label_and_probabilities(self, outputs: Tensors) -> Tensors:
        """`label` [N] and `probabilities` [N, classes] of a network's own outputs."""
        scores = outputs[self.output].astype(np.float64)
        if self.single:
            second = scores.reshape(-1, 1)
            second = second if self.normalized else 1 / (1 + np.exp(-second))
            probabilities = np.concatenate([1 - second, second], axis=1)
        elif self.normalized:
            probabilities = scores
        else:
            powers = np.exp(scores - scores.max(axis=1, keepdims=True))
            probabilities = powers / powers.sum(axis=1, keepdims=True)
        return {LABEL: np.argmax(probabilities, axis=1), PROBABILITIES: probabilities}

    def append(self, graph: onnx.GraphProto) -> None:
        """Make `label` and `probabilities` the graph's only outputs."""
        graph_edits.keep_outputs(graph, [self.output])
        scores = graph_edits.free_name(graph, "scores")
        graph_edits.rename_value(graph, self.output, scores)
        for name in (LABEL, PROBABILITIES):
            graph_edits.rename_value(graph, name, graph_edits.free_name(graph, name))
        kind = graph.output[0].type.tensor_type.elem_type
        if self.single:
            self._append_single(graph, scores, kind)
        else:
            graph.node.append(helper.make_node("Identity" if self.normalized else "Softmax", [scores], [PROBABILITIES]))
        graph.node.append(helper.make_node("ArgMax", [PROBABILITIES], [LABEL], axis=1, keepdims=0))
        del graph.output[:]
        graph.output.extend(
            [
                helper.make_tensor_value_info(LABEL, TensorProto.INT64, [None]),
                helper.make_tensor_value_info(PROBABILITIES, kind, [None, self.classes]),
            ]
        )

    def _append_single(self, graph: onnx.GraphProto, scores: str, kind: int) -> None:
        column, second, first, shape, one = (
            graph_edits.free_name(graph, name) for name in ("score_column", "second", "first", "column_shape", "one")
        )
        graph.initializer.append(helper.make_tensor(shape, TensorProto.INT64, [2], [-1, 1]))
        graph.initializer.append(helper.make_tensor(one, kind, [1], [1.0]))
        graph.node.extend(
            [
                helper.make_node("Reshape", [scores, shape], [column]),
                helper.make_node("Identity" if self.normalized else "Sigmoid", [column], [second]),
                helper.make_node("Sub", [one, second], [first]),
                helper.make_node("Concat", [first, second], [PROBABILITIES], axis=1),
            ]
        )

    def classification_step(self, labels: tuple[str, ...]) -> Classification:
        """The classification step to declare."""
        return Classification(LABEL, PROBABILITIES, labels, tuple(range(self.classes)))


def find_class_scores(outputs: Tensors, graph: onnx.GraphProto, classes: int) -> ClassScores:
    """Find the output that scores so many classes by its shape; one called `logits` is preferred.

    Raises InvalidInputError if there is none.
    """
    rows = max(len(tensor) if tensor.ndim else 1 for tensor in outputs.values())
    shapes = {(rows, classes): False, **({(rows, 1): True, (rows,): True} if classes == 2 else {})}  # noqa: PLR2004
    candidates = [name for name, tensor in outputs.items() if tensor.dtype.kind == "f" and tensor.shape in shapes]
    if not candidates:
        available = quoted(f"{name} {[-1, *tensor.shape[1:]]}" for name, tensor in outputs.items())
        raise InvalidInputError(
            f"{classes} labels were given, and no output scores as many classes: there are {available}", labels=classes
        )
    name = "logits" if "logits" in candidates else candidates[0]
    single = shapes[outputs[name].shape]
    normalized = _producer(graph, name) == "Sigmoid" if single else _is_distribution(outputs[name])
    return ClassScores(name, classes, single, normalized)


def _is_distribution(scores: Tensor) -> bool:
    return bool((scores >= 0).all() and (np.abs(scores.astype(np.float64).sum(axis=1) - 1) < _SUM).all())


def _producer(graph: onnx.GraphProto, name: str) -> str:
    """The type of the operator that computed a value; operators that only reshape or cast it are passed over."""
    producers = {output: node for node in graph.node for output in node.output}
    while name in producers and producers[name].op_type in _SHAPING:
        name = producers[name].input[0]
    return producers[name].op_type if name in producers else ""
