"""Links: from the margins that a model adds up to its answers, computed in double precision."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert.tabular.graph_writer import GraphWriter

REGRESSION: dict[str, Callable[[GraphWriter, str], str]] = {
    "identity": lambda _, margins: margins,
    "exponential": lambda graph, margins: graph.add("Exp", margins),
    "logistic": lambda graph, margins: graph.add("Sigmoid", margins),
    # what was trained on square roots
    "square": lambda graph, margins: graph.add("Mul", margins, graph.add("Abs", margins)),
    "log1p-exponential": lambda graph, margins: graph.add(
        "Log", graph.add("Add", graph.add("Exp", margins), graph.constant([1.0]))
    ),
}
"""What a regressor's margins [N, outputs] become, by name."""


@dataclass(frozen=True)
class AnswerNames:
    """Names of a graph's values: a classifier's label [N] and probabilities [N, classes], or a prediction."""

    label: str | None = None
    probabilities: str | None = None
    prediction: str | None = None


def binary(graph: GraphWriter, margins: str, classes: Sequence[int | str]) -> AnswerNames:
    """The second of two classes where the margin [N, 1] is positive, with its probability by the logistic function."""
    label = label_where(graph, graph.add("Greater", margins, graph.constant([0.0])), classes)
    # 1 - p would lose the digits of a small remainder
    other = graph.add("Sigmoid", graph.add("Neg", margins))
    return AnswerNames(label, graph.add("Concat", other, graph.add("Sigmoid", margins), axis=1))


def binary_float32(graph: GraphWriter, margins: str, classes: Sequence[int | str]) -> AnswerNames:
    """The same with every result rounded to single precision, for a framework that computes so.

    Of a probability near 1 it has few digits left, and fewer of the other one; so they are lost alike here.
    """
    one = graph.constant(np.array([1], dtype=np.float32))
    power = graph.add("Exp", graph.to_double(graph.add("Neg", graph.to_float(margins))))
    second = graph.add("Div", one, graph.add("Add", graph.to_float(power), one))
    label = label_where(graph, graph.add("Greater", second, graph.constant(np.array([0.5], dtype=np.float32))), classes)
    return AnswerNames(label, graph.add("Concat", graph.add("Sub", one, second), second, axis=1))


def label_where(graph: GraphWriter, positive: str, classes: Sequence[int | str]) -> str:
    """The second of two classes where `positive` [N, 1] holds, the first elsewhere."""
    position = graph.add("Reshape", graph.to_int64(positive), graph.constant(np.array([-1])))
    return class_values(graph, position, classes)


def multiclass(
    graph: GraphWriter, margins: str, classes: Sequence[int | str], *, exclusive: bool = True
) -> AnswerNames:
    """The class of the largest margin [N, classes]; probabilities by softmax, or each on its own."""
    label = class_values(graph, graph.add("ArgMax", margins, axis=1, keepdims=0), classes)
    if exclusive:
        return AnswerNames(label, graph.add("Softmax", margins, axis=1))
    return AnswerNames(label, graph.add("Sigmoid", margins))


def regression(graph: GraphWriter, margins: str, link: str, outputs: int) -> AnswerNames:
    """The margins through the link; [N] where there is one. Raises ConversionError for a link that is not known."""
    try:
        link_function = REGRESSION[link]
    except KeyError:
        raise ConversionError(f"predictions through {link!r} have no ONNX form here") from None
    prediction = link_function(graph, margins)
    if outputs == 1:
        prediction = graph.add("Reshape", prediction, graph.constant(np.array([-1])))
    return AnswerNames(prediction=prediction)


def unsupported(what: str, name: str, known: Iterable[str]) -> ConversionError:
    """What is said of an objective that no link belongs to."""
    return ConversionError(f"the {what} {name!r} has no ONNX form here; known are {', '.join(known)}", **{what: name})


def class_values(graph: GraphWriter, positions: str, classes: Sequence[int | str]) -> str:
    """The classes at these positions [N]; classes that count from 0 are their positions."""
    if tuple(classes) == tuple(range(len(classes))):
        return positions
    texts = any(isinstance(value, str) for value in classes)
    return graph.add("Gather", graph.constant(np.array(classes, dtype=object if texts else np.int64)), positions)
