"""Class scores: the network output that scores classes, and the labels and probabilities that follow from it.

The same is computed of the network's own outputs and appended to the graph, so that both can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from onnxlet.errors import InvalidInputError
from onnxlet.steps import Classification, names_of
from onnxlet.steps.classification import LABEL, PROBABILITIES
from onnxlet.toolchain.convert import graph_edits
from onnxlet.toolchain.convert.networks.output_kinds import tell_outputs
from onnxlet.toolchain.workbench.table import quoted
from onnxlet.values.manifest import OutputsAre
from onnxlet.values.tensors import Tensor, Tensors

BINARY = (0, 1)


@dataclass(frozen=True)
class ExclusiveScores:
    """Scores of classes of which each row has one; or of the second of two classes alone, [N] or [N, 1]."""

    output: str
    are: OutputsAre
    names: tuple[str, ...]
    single: bool

    @property
    def classes(self) -> tuple[tuple[int | str, ...], ...]:
        """Numbers from 0."""
        return (tuple(range(len(self.names))),)

    @property
    def labels(self) -> tuple[tuple[str, ...], ...]:
        """Their names."""
        return (self.names,)

    def label_and_probabilities(self, outputs: Tensors) -> Tensors:
        """`label` [N] and `probabilities` [N, classes]."""
        scores = outputs[self.output].astype(np.float64)
        if self.single:
            second = scores.reshape(-1, 1)
            second = second if self.are == "probabilities" else 1 / (1 + np.exp(-second))
            probabilities = np.concatenate([1 - second, second], axis=1)
        elif self.are == "probabilities":
            probabilities = scores
        else:
            powers = np.exp(scores - scores.max(axis=1, keepdims=True))
            probabilities = powers / powers.sum(axis=1, keepdims=True)
        return {LABEL: np.argmax(probabilities, axis=1), PROBABILITIES: probabilities}

    def append(self, graph: onnx.GraphProto) -> None:
        """Make `label` and `probabilities` the graph's only outputs."""
        scores, kind = _take_scores(graph, self.output, (LABEL, PROBABILITIES))
        if self.single:
            shape, column = (graph_edits.free_name(graph, name) for name in ("column_shape", "score_column"))
            graph.initializer.append(helper.make_tensor(shape, TensorProto.INT64, [2], [-1, 1]))
            graph.node.append(helper.make_node("Reshape", [scores, shape], [column]))
            link = "Identity" if self.are == "probabilities" else "Sigmoid"
            _append_pair(graph, column, link, _one(graph, kind), PROBABILITIES)
        else:
            link = "Identity" if self.are == "probabilities" else "Softmax"
            graph.node.append(helper.make_node(link, [scores], [PROBABILITIES]))
        _append_label(graph, LABEL, PROBABILITIES)
        _declare(graph, [(LABEL, PROBABILITIES, len(self.names))], kind)

    def classification_steps(self) -> tuple[Classification, ...]:
        """One step."""
        return (Classification(LABEL, PROBABILITIES, self.names, tuple(range(len(self.names)))),)


@dataclass(frozen=True)
class IndependentScores:
    """Scores [N, labels] of labels of which each row may have any: each is a target of its own, 0 or 1."""

    output: str
    are: OutputsAre
    names: tuple[str, ...]

    @property
    def classes(self) -> tuple[tuple[int | str, ...], ...]:
        """0 and 1 for each label."""
        return (BINARY,) * len(self.names)

    @property
    def labels(self) -> tuple[tuple[str, ...], ...]:
        """0 and 1 have no names."""
        return ((),) * len(self.names)

    def label_and_probabilities(self, outputs: Tensors) -> Tensors:
        """`label_<label>` [N] and `probabilities_<label>` [N, 2] for each label."""
        scores = outputs[self.output].astype(np.float64)
        shares = scores if self.are == "independent" else 1 / (1 + np.exp(-scores))
        answers: dict[str, Tensor] = {}
        for name, share in zip(self.names, shares.T, strict=True):
            probabilities = np.stack([1 - share, share], axis=1)
            served = names_of(name)
            answers |= {served.label: np.argmax(probabilities, axis=1), served.probabilities: probabilities}
        return answers

    def append(self, graph: onnx.GraphProto) -> None:
        """Make these the graph's only outputs."""
        served = [names_of(name) for name in self.names]
        taken = [name for each in served for name in (each.label, each.probabilities)]
        scores, kind = _take_scores(graph, self.output, taken)
        one, link = _one(graph, kind), "Identity" if self.are == "independent" else "Sigmoid"
        for position, each in enumerate(served):
            place = graph_edits.free_name(graph, f"position_{position}")
            column = graph_edits.free_name(graph, f"score_{position}")
            graph.initializer.append(helper.make_tensor(place, TensorProto.INT64, [1], [position]))
            graph.node.append(helper.make_node("Gather", [scores, place], [column], axis=1))
            _append_pair(graph, column, link, one, each.probabilities)
            _append_label(graph, each.label, each.probabilities)
        _declare(graph, [(each.label, each.probabilities, 2) for each in served], kind)

    def classification_steps(self) -> tuple[Classification, ...]:
        """One step for each label."""
        served = [(name, names_of(name)) for name in self.names]
        return tuple(Classification(each.label, each.probabilities, (), BINARY, name) for name, each in served)


ClassScores = ExclusiveScores | IndependentScores


def find_class_scores(
    outputs: Tensors, names: tuple[str, ...], said: OutputsAre | None, *, by_label: bool | None
) -> ClassScores | None:
    """Find the output that scores so many classes by its shape, one called `logits` first; None if there is none.

    `said` and `by_label` are as in `tell_outputs`, which tells what the scores are. Raises InvalidInputError as that.
    """
    rows = max(len(tensor) if tensor.ndim else 1 for tensor in outputs.values())
    single = {(rows, 1), (rows,)} if len(names) == 2 else set()  # noqa: PLR2004
    shapes = {(rows, len(names)), *single}
    candidates = [name for name, tensor in outputs.items() if tensor.dtype.kind == "f" and tensor.shape in shapes]
    if not candidates:
        return None
    output = "logits" if "logits" in candidates else candidates[0]
    scores = outputs[output]
    are = tell_outputs(scores.reshape(rows, -1), output, said, by_label=by_label)
    if are in ("independent", "independent-logits"):
        if len(set(names)) != len(names):
            raise InvalidInputError(f"each label is served by its name, and these are named twice: {quoted(names)}")
        return IndependentScores(output, are, names)
    return ExclusiveScores(output, are, names, single=scores.shape in single)


def _take_scores(graph: onnx.GraphProto, output: str, names: tuple[str, ...] | list[str]) -> tuple[str, int]:
    """Keep this output alone, as a value within the graph, and free the names. Returns its name and element type."""
    graph_edits.keep_outputs(graph, [output])
    scores = graph_edits.free_name(graph, "scores")
    graph_edits.rename_value(graph, output, scores)
    for name in names:
        graph_edits.rename_value(graph, name, graph_edits.free_name(graph, name))
    return scores, graph.output[0].type.tensor_type.elem_type


def _one(graph: onnx.GraphProto, kind: int) -> str:
    one = graph_edits.free_name(graph, "one")
    graph.initializer.append(helper.make_tensor(one, kind, [1], [1.0]))
    return one


def _append_pair(graph: onnx.GraphProto, column: str, link: str, one: str, probabilities: str) -> None:
    """The probabilities [N, 2] of two classes, of the score of the second [N, 1]."""
    second = graph_edits.free_name(graph, f"{probabilities}_second")
    first = graph_edits.free_name(graph, f"{probabilities}_first")
    graph.node.extend(
        [
            helper.make_node(link, [column], [second]),
            helper.make_node("Sub", [one, second], [first]),
            helper.make_node("Concat", [first, second], [probabilities], axis=1),
        ]
    )


def _append_label(graph: onnx.GraphProto, label: str, probabilities: str) -> None:
    graph.node.append(helper.make_node("ArgMax", [probabilities], [label], axis=1, keepdims=0))


def _declare(graph: onnx.GraphProto, served: list[tuple[str, str, int]], kind: int) -> None:
    del graph.output[:]
    for label, probabilities, classes in served:
        graph.output.append(helper.make_tensor_value_info(label, TensorProto.INT64, [None]))
        graph.output.append(helper.make_tensor_value_info(probabilities, kind, [None, classes]))
