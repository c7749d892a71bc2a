"""Link functions: from the margins that a model adds up to its predictions, in double precision."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert.tabular.graph_writer import GraphWriter


def _mean_and_variance(graph: GraphWriter, margins: str) -> str:
    """Of margins [N, 2] the second is the logarithm of the standard deviation."""
    mean, deviation = (graph.add("Gather", margins, graph.constant(np.array([at])), axis=1) for at in (0, 1))
    variance = graph.add("Exp", graph.add("Mul", deviation, graph.constant([2.0])))
    return graph.add("Concat", mean, variance, axis=1)


REGRESSION: dict[str, Callable[[GraphWriter, str], str]] = {
    "identity": lambda _, margins: margins,
    "exponential": lambda graph, margins: graph.add("Exp", margins),
    "logistic": lambda graph, margins: graph.add("Sigmoid", margins),
    # what was trained on square roots
    "square": lambda graph, margins: graph.add("Mul", margins, graph.add("Abs", margins)),
    "log1p-exponential": lambda graph, margins: graph.add(
        "Log", graph.add("Add", graph.add("Exp", margins), graph.constant([1.0]))
    ),
    "mean and variance": _mean_and_variance,
}
"""Link functions of regressors by name; each takes and returns the name of a value [N, outputs]."""


@dataclass(frozen=True)
class AnswerNames:
    """Names of the graph's values: a classifier's label [N] and probabilities [N, classes], or a prediction."""

    label: str | None = None
    probabilities: str | None = None
    prediction: str | None = None
    write_scores: Callable[[], str] | None = None
    """Writes what a classifier's `decision_function` gives, as [N, classes], where it has one."""
    marks: tuple[AnswerNames, ...] = ()
    """In place of all these, where a row has several labels or has them not: the answer of each."""


def binary(graph: GraphWriter, margins: str, classes: Sequence[int | str], *, threshold: float = 0.0) -> AnswerNames:
    """Two classes: the second where the margin [N, 1] is above `threshold`; probabilities by the logistic function."""
    label = label_where(graph, graph.add("Greater", margins, graph.constant([threshold])), classes)
    # 1 - p would lose the digits of a small remainder
    other = graph.add("Sigmoid", graph.add("Neg", margins))
    return AnswerNames(label, graph.add("Concat", other, graph.add("Sigmoid", margins), axis=1))


def apart(
    graph: GraphWriter, margins: str, count: int, write: Callable[[GraphWriter, str], AnswerNames]
) -> AnswerNames:
    """Labels that do not exclude each other: `write` is given the margins [N, 1] of each of `count`."""
    columns = [graph.add("Gather", margins, graph.constant(np.array([at])), axis=1) for at in range(count)]
    return AnswerNames(marks=tuple(write(graph, column) for column in columns))


def binary_float32(graph: GraphWriter, margins: str, classes: Sequence[int | str]) -> AnswerNames:
    """Two classes, with every step rounded to single precision as XGBoost computes it.

    A small remainder 1 - p loses digits there, and must lose the same ones here.
    """
    one = graph.constant(np.array([1], dtype=np.float32))
    power = graph.add("Exp", graph.to_double(graph.add("Neg", graph.to_float(margins))))
    second = graph.add("Div", one, graph.add("Add", graph.to_float(power), one))
    label = label_where(graph, graph.add("Greater", second, graph.constant(np.array([0.5], dtype=np.float32))), classes)
    return AnswerNames(label, graph.add("Concat", graph.add("Sub", one, second), second, axis=1))


def label_where(graph: GraphWriter, positive: str, classes: Sequence[int | str]) -> str:
    """The label: the second of two classes where `positive` [N, 1] is true, else the first."""
    position = graph.add("Reshape", graph.to_int64(positive), graph.constant(np.array([-1])))
    return class_values(graph, position, classes)


def multiclass(
    graph: GraphWriter, margins: str, classes: Sequence[int | str], *, exclusive: bool = True
) -> AnswerNames:
    """Many classes: that of the largest margin [N, classes]; probabilities by softmax, or by a sigmoid of each."""
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
    """The error for an objective or a loss that has no link function here."""
    return ConversionError(f"the {what} {name!r} has no ONNX form here; known are {', '.join(known)}", **{what: name})


def class_values(graph: GraphWriter, positions: str, classes: Sequence[int | str]) -> str:
    """The class values at these positions [N]; classes 0, 1, 2 … are their own positions."""
    if tuple(classes) == tuple(range(len(classes))):
        return positions
    texts = any(isinstance(value, str) for value in classes)
    return graph.add("Gather", graph.constant(np.array(classes, dtype=object if texts else np.int64)), positions)
