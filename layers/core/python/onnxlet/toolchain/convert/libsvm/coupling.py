"""Pairwise coupling: from the probability of each class against every other to probabilities of the classes.

The second method of T.-F. Wu, C.-J. Lin, R. C. Weng, "Probability estimates for multi-class classification by pairwise
coupling", JMLR 5 (2004), as LIBSVM's multiclass_probability computes it. LIBSVM stops before it has converged, which
changes its answers, so the graph iterates in the same way: each row of a batch until its own end.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from onnxlet.toolchain.convert.libsvm.file_format import pairs_of
from onnxlet.toolchain.convert.tabular.graph_writer import GraphWriter
from onnxlet.values.tensors import Tensor

LEAST = 1e-7
"""No pairwise probability is nearer to 0 or 1."""
FEWEST_ROUNDS = 100


class _Iterate(NamedTuple):
    """Names of values: probabilities p [N, classes], Q p [N, classes] and p' Q p [N, 1]."""

    p: str
    products: str
    total: str


def couple_probabilities(graph: GraphWriter, likely: str, classes: int) -> str:
    """Probabilities [N, classes] of `likely` [N, pairs], the probability of the first of every two classes."""
    bounds = graph.constant(np.array(LEAST)), graph.constant(np.array(1 - LEAST))
    first = graph.add("Clip", likely, *bounds)
    second = graph.add("Sub", graph.constant([1.0]), first)
    both = graph.add("Concat", first, second, axis=1)
    if classes == 2:  # noqa: PLR2004 - nothing to couple
        return both
    quadratic = _quadratic_matrix(graph, both, classes)
    # rows of zeros, plus 1/classes
    start = graph.add("MatMul", likely, graph.constant(np.zeros((len(pairs_of(classes)), classes))))
    start = graph.add("Add", start, graph.constant(np.full(classes, 1 / classes)))
    return _iterate(graph, quadratic, start, classes)


def _quadratic_matrix(graph: GraphWriter, both: str, classes: int) -> str:
    """The matrices Q [N, classes, classes]: sums of squares on the diagonal, negated products beside it."""
    pairs = pairs_of(classes)
    # r[i, j] stands in column `against[i, j]` of `both`
    against = np.zeros((classes, classes), dtype=np.int64)
    for number, (i, j) in enumerate(pairs):
        against[i, j], against[j, i] = number, number + len(pairs)
    mine = graph.add("Gather", both, graph.constant(against.reshape(-1)), axis=1)
    others = graph.add("Gather", both, graph.constant(against.T.reshape(-1)), axis=1)
    off = 1 - np.eye(classes).reshape(-1)
    products = graph.add("Mul", graph.add("Mul", mine, others), graph.constant(-off))
    squares = graph.add("Mul", graph.add("Mul", others, others), graph.constant(off))
    # sum over the classes j of r[j, t]^2, put on the diagonal
    diagonal = np.zeros((classes * classes, classes * classes))
    for t in range(classes):
        diagonal[t * classes : (t + 1) * classes, t * classes + t] = 1
    flat = graph.add("Add", products, graph.add("MatMul", squares, graph.constant(diagonal)))
    return graph.add("Reshape", flat, graph.constant(np.array([-1, classes, classes])))


def _iterate(graph: GraphWriter, quadratic: str, start: str, classes: int) -> str:
    """Sweeps over the classes until no row moves any more."""
    rounds = graph.constant(np.array(max(FEWEST_ROUNDS, classes)))
    going = graph.constant(np.array(True))
    body = graph.subgraph("sweep")
    body.input("round", "INT64", ())
    body.input("going", "BOOL", ())
    before = body.input("before", "FP64", (-1, classes))
    estimate = _estimate(body, quadratic, before)
    errors = body.add("Abs", body.add("Sub", estimate.products, estimate.total))
    worst = body.add("ReduceMax", errors, body.constant(np.array([1])))
    moving = body.add("GreaterOrEqual", worst, body.constant([0.005 / classes]))
    for position in range(classes):
        estimate = _improve(body, quadratic, estimate, position, np.eye(classes)[position])
    after = body.add("Where", moving, estimate.p, before)
    body.output(body.add("ReduceMax", moving, keepdims=0), "going_on", "BOOL", ())
    body.output(after, "after", "FP64", (-1, classes))
    return graph.add("Loop", rounds, going, start, body=body.graph())


def _estimate(graph: GraphWriter, quadratic: str, p: str) -> _Iterate:
    column = graph.add("Unsqueeze", p, graph.constant(np.array([2])))
    products = graph.add("Squeeze", graph.add("MatMul", quadratic, column), graph.constant(np.array([2])))
    total = graph.add("ReduceSum", graph.add("Mul", p, products), graph.constant(np.array([1])))
    return _Iterate(p, products, total)


def _improve(graph: GraphWriter, quadratic: str, now: _Iterate, position: int, unit: Tensor) -> _Iterate:
    """The class at `position` gets the probability that is best given those of the others."""
    row = graph.add("Gather", quadratic, graph.constant(np.array(position)), axis=1)
    own = graph.add("Gather", row, graph.constant(np.array([position])), axis=1)
    product = graph.add("Gather", now.products, graph.constant(np.array([position])), axis=1)
    step = graph.add("Div", graph.add("Sub", now.total, product), own)
    whole = graph.add("Add", step, graph.constant([1.0]))
    p = graph.add("Add", now.p, graph.add("Mul", step, graph.constant(unit)))
    gain = graph.add("Add", graph.add("Mul", step, own), graph.add("Add", product, product))
    total = graph.add("Add", now.total, graph.add("Mul", step, gain))
    products = graph.add("Add", now.products, graph.add("Mul", step, row))
    return _Iterate(
        p=graph.add("Div", p, whole),
        products=graph.add("Div", products, whole),
        total=graph.add("Div", graph.add("Div", total, whole), whole),
    )
