"""LocalOutlierFactor for new rows, whose distances skl2onnx 1.20 has with the wrong sign.

How dense the neighbours lie compared with the row (Breunig, Kriegel, Ng, Sander: LOF, 2000), in double precision as
LocalOutlierFactor.decision_function computes it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert.scikit_learn.nodes import Nodes
from onnxlet.values.tensors import Tensor

_FLATTEST = 1e-10


def declare(operator: Any) -> None:
    """Declare a label and a score."""
    from skl2onnx.common.data_types import Int64TensorType

    operator.outputs[0].type = Int64TensorType([None, 1])
    operator.outputs[1].type.shape = [None, 1]


def convert(scope: Any, operator: Any, container: Any) -> None:
    """Write the search for neighbours, and the label and score by their densities. Raises ConversionError."""
    from skl2onnx.common.data_types import guess_proto_type

    factor, nodes = operator.raw_operator, Nodes(scope, container)
    if factor.effective_metric_ != "euclidean":
        raise ConversionError(
            f"the LocalOutlierFactor measures distances by {factor.effective_metric_!r}, which has no ONNX form here: "
            "fit it with the metric it has by default"
        )
    rows = nodes.add("Cast", operator.inputs[0].full_name, to=TensorProto.DOUBLE)
    distances, neighbours = _nearest(nodes, rows, factor)
    reach_of_known = _double(nodes, factor._distances_fit_X_[:, factor.n_neighbors_ - 1])
    reach = nodes.add("Max", distances, nodes.add("Gather", reach_of_known, neighbours))
    last_axis = nodes.constant(TensorProto.INT64, [1], [1])
    spread = nodes.add("Add", nodes.add("ReduceMean", reach, last_axis, keepdims=1), _double(nodes, [_FLATTEST]))
    density = nodes.add("Gather", _double(nodes, factor._lrd), neighbours)  # noqa: SLF001 - same
    ratio = nodes.add("ReduceMean", nodes.add("Mul", density, spread), last_axis, keepdims=1)
    score = nodes.add("Sub", _double(nodes, [-factor.offset_]), ratio)
    outlying = nodes.add("Less", score, _double(nodes, [0.0]))
    signs = [nodes.constant(TensorProto.INT64, [1], [sign]) for sign in (-1, 1)]
    nodes.add("Where", outlying, *signs, output=operator.outputs[0].full_name)
    nodes.add("Cast", score, to=guess_proto_type(operator.outputs[1].type), output=operator.outputs[1].full_name)


def _nearest(nodes: Nodes, rows: str, factor: Any) -> tuple[str, str]:
    """The distances of the nearest known rows [N, neighbours], and which these are."""
    known = np.asarray(factor._fit_X, dtype=np.float64)  # noqa: SLF001 - there is no public way
    own = nodes.add("ReduceSumSquare", rows, nodes.constant(TensorProto.INT64, [1], [1]), keepdims=1)
    products = nodes.add("MatMul", rows, _double(nodes, -2 * known.T))
    squares = nodes.add("Add", nodes.add("Add", products, own), _double(nodes, np.square(known).sum(axis=1)))
    # rounding may leave less than nothing
    squares = nodes.add("Max", squares, _double(nodes, [0.0]))
    count = nodes.constant(TensorProto.INT64, [1], [factor.n_neighbors_])
    nearest, indices = nodes.add_both("TopK", squares, count, axis=1, largest=0, sorted=1)
    return nodes.add("Sqrt", nearest), indices


def _double(nodes: Nodes, values: Tensor | list[float]) -> str:
    return nodes.constant(TensorProto.DOUBLE, list(np.shape(values)), values)
