"""Calibrators of CalibratedClassifierCV, each called by skl2onnx for one class's scores, in double precision.

Isotonic ones are interpolated as scikit-learn does, where skl2onnx takes the nearest step's answer. Of several classes
each has its share of the sum of their logistic functions, which far from the boundary are all too small for a float.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

from onnxlet.toolchain.convert.scikit_learn.converters.known_functions import expit
from onnxlet.toolchain.convert.scikit_learn.nodes import Nodes


def write_isotonic_calibration(  # noqa: PLR0917 - as skl2onnx calls it
    scope: Any, container: Any, model: Any, scores: str, number: int, _: Any, proto_type: int
) -> str:
    """The isotonic calibrator's answers to scores [N, 1].

    Between thresholds x it goes from y to the next in a straight line, which is the sum over all steps of the share of
    the step that lies below the score, times the step's height.
    """
    calibrator = model.calibrators[number]
    x = np.asarray(calibrator.X_thresholds_, dtype=np.float64)
    y = np.asarray(calibrator.y_thresholds_, dtype=np.float64)
    apart = np.diff(x) > 0
    starts, widths, heights = x[:-1][apart], np.diff(x)[apart], np.diff(y)[apart]

    nodes = Nodes(scope, container)
    below = nodes.add("Sub", nodes.add("Cast", scores, to=TensorProto.DOUBLE), nodes.doubles(starts[None]))
    shares = nodes.add("Div", below, nodes.doubles(widths[None]))
    shares = nodes.add("Clip", shares, nodes.doubles(0.0), nodes.doubles(1.0))
    risen = nodes.add("MatMul", shares, nodes.doubles(heights[:, None]))
    return nodes.add("Cast", nodes.add("Add", risen, nodes.doubles(y[:1])), to=proto_type)


def write_sigmoid_calibration(  # noqa: PLR0917 - same
    scope: Any, container: Any, model: Any, scores: str, number: int, proto_type: int
) -> str:
    """The sigmoid calibrator's answers to scores [N, 1]; of several classes, its share of all of theirs.

    Where all of them are nothing each class has as much, as in scikit-learn. skl2onnx divides by the sum once more,
    which is 1 then.
    """
    nodes = Nodes(scope, container)
    calibrators = model.calibrators
    if len(calibrators) == 1:
        return nodes.add("Cast", _chances(nodes, scores, calibrators), to=proto_type)
    (all_scores,) = {node.input[0] for node in container.nodes if scores in node.output}
    chances = _chances(nodes, all_scores, calibrators)
    total = nodes.add("ReduceSum", chances, nodes.constant(TensorProto.INT64, [1], [1]), keepdims=1)
    none = nodes.add("Equal", total, nodes.doubles([0.0]))
    shares = nodes.add("Div", chances, nodes.add("Where", none, nodes.doubles([1.0]), total))
    shares = nodes.add("Where", none, nodes.doubles([1.0 / len(calibrators)]), shares)
    own = nodes.add("Gather", shares, nodes.constant(TensorProto.INT64, [1], [number]), axis=1)
    return nodes.add("Cast", own, to=proto_type)


def _chances(nodes: Nodes, scores: str, calibrators: Any) -> str:
    """Each calibrator's logistic function of its column of scores."""
    slopes = nodes.doubles([[-calibrator.a_ for calibrator in calibrators]])
    offsets = nodes.doubles([[-calibrator.b_ for calibrator in calibrators]])
    doubled = nodes.add("Cast", scores, to=TensorProto.DOUBLE)
    return expit(nodes, nodes.add("Add", nodes.add("Mul", doubled, slopes), offsets))
