"""IsotonicRegression: lines between its thresholds, in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxlet.toolchain.convert.scikit_learn.converters.interpolation import interpolate
from onnxlet.toolchain.convert.scikit_learn.nodes import Nodes


def declare(operator: Any) -> None:
    """Declare one column."""
    from skl2onnx.common.data_types import guess_tensor_type

    kind = type(guess_tensor_type(operator.inputs[0].type))
    operator.outputs[0].type = kind([operator.inputs[0].get_first_dimension(), 1])


def convert(scope: Any, operator: Any, container: Any) -> None:
    """Write the lines; beyond the thresholds they are level, there is no number, or rows are refused."""
    isotonic, nodes = operator.raw_operator, Nodes(scope, container)
    xs = np.asarray(isotonic.X_thresholds_, dtype=np.float64)[None]
    numbers = nodes.rows(operator)
    values = interpolate(nodes, numbers, xs, np.asarray(isotonic.y_thresholds_, dtype=np.float64)[None])
    low, high = nodes.doubles([xs[0, 0]]), nodes.doubles([xs[0, -1]])
    beyond = nodes.add("Or", nodes.add("Less", numbers, low), nodes.add("Greater", numbers, high))
    if isotonic.out_of_bounds == "nan":
        values = nodes.add("Where", beyond, nodes.doubles([np.nan]), values)
    elif isotonic.out_of_bounds == "raise":
        values = nodes.refuse_unless(nodes.add("Not", beyond), values)
    nodes.write_rows(values, operator.outputs[0])
