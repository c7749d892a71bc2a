"""Discretizers: bins and thresholds that numbers are compared with, as exactly as scikit-learn compares them.

skl2onnx rounds edges to the nearest single, so that numbers next to an edge get into the other bin, in double precision
too. Here an edge is rounded to the side on which every single compares with it as with the edge itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

from onnxlet.toolchain.convert.scikit_learn.nodes import Converter, Nodes
from onnxlet.toolchain.convert.scikit_learn.rounding import round_down, round_up
from onnxlet.values.tensors import Tensor


def discretizer_converter(convert: Converter) -> Converter:  # noqa: ARG001 - it takes its place
    """A converter of KBinsDiscretizer."""

    def write_operator(scope: Any, operator: Any, container: Any) -> None:
        discretizer, nodes = operator.raw_operator, Nodes(scope, container)
        rows, kind = _rows(operator, nodes)
        datatype, ordinal = _output_datatype(operator), discretizer.encode == "ordinal"
        parts = []
        for place, edges in enumerate(discretizer.bin_edges_):
            column = nodes.add("Gather", rows, nodes.constant(TensorProto.INT64, [1], [place]), axis=1)
            one = nodes.add("Cast", nodes.add("Equal", column, column), to=datatype)
            steps = _reached_edges(nodes, column, kind, np.asarray(edges)[1:-1])
            reached = None if steps is None else nodes.add("Cast", steps, to=datatype)
            parts.append(_number_of_bin(nodes, one, reached) if ordinal else _flags_of_bins(nodes, one, reached))
        nodes.add("Concat", *parts, output=operator.outputs[0].full_name, axis=1)

    return write_operator


def binarizer_converter(convert: Converter) -> Converter:  # noqa: ARG001 - it takes its place
    """A converter of Binarizer."""

    def write_operator(scope: Any, operator: Any, container: Any) -> None:
        nodes = Nodes(scope, container)
        rows, kind = _rows(operator, nodes)
        threshold = float(operator.raw_operator.threshold)
        limit = threshold if kind == TensorProto.DOUBLE else float(round_down(np.array([threshold]))[0])
        above = nodes.add("Greater", rows, nodes.constant(kind, [], [limit]))
        nodes.add("Cast", above, output=operator.outputs[0].full_name, to=_output_datatype(operator))

    return write_operator


def _rows(operator: Any, nodes: Nodes) -> tuple[str, int]:
    """All inputs side by side [N, columns], and their datatype: integers as doubles."""
    from skl2onnx.common.data_types import FloatTensorType

    kind = TensorProto.DOUBLE
    if all(isinstance(each.type, FloatTensorType) for each in operator.inputs):
        kind = TensorProto.FLOAT
    columns = [nodes.add("Cast", each.full_name, to=kind) for each in operator.inputs]
    return nodes.add("Concat", *columns, axis=1), kind


def _output_datatype(operator: Any) -> int:
    from skl2onnx.common.data_types import DoubleTensorType

    return TensorProto.DOUBLE if isinstance(operator.outputs[0].type, DoubleTensorType) else TensorProto.FLOAT


def _reached_edges(nodes: Nodes, column: str, kind: int, edges: Tensor) -> str | None:
    """Which of the edges a column's numbers reach [N, edges]; None if there is none."""
    if not len(edges):
        return None
    limits = edges if kind == TensorProto.DOUBLE else round_up(edges)
    return nodes.add("GreaterOrEqual", column, nodes.constant(kind, [1, len(limits)], limits))


def _number_of_bin(nodes: Nodes, one: str, reached: str | None) -> str:
    """The number of the bin [N, 1]: how many edges are reached."""
    if reached is None:
        return nodes.add("Sub", one, one)
    return nodes.add("ReduceSum", reached, nodes.constant(TensorProto.INT64, [1], [1]), keepdims=1)


def _flags_of_bins(nodes: Nodes, one: str, reached: str | None) -> str:
    """1 for the bin, 0 for the others [N, bins]."""
    if reached is None:
        return one
    below = nodes.add("Concat", one, reached, axis=1)
    above = nodes.add("Concat", reached, nodes.add("Sub", one, one), axis=1)
    return nodes.add("Sub", below, above)
