"""Lines between points, as numpy.interp draws them, for many columns at once; pieces are found by bisection.

A table has a row of numbers for each column, all of one length. To be looked up in one Gather they stand one after the
other, each filled up to a power of two, so that halving needs no case at an end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

from onnxlet.toolchain.convert.scikit_learn.nodes import Nodes
from onnxlet.values.tensors import Tensor


class Pieces:
    """Where numbers [N, columns] stand among the limits [columns, pieces] of each column, which ascend.

    A number is in the last piece whose limit it reaches; in the first one if it reaches none, or is NaN.
    """

    def __init__(self, nodes: Nodes, numbers: str, limits: Tensor) -> None:
        self._nodes = nodes
        columns, self._count = limits.shape
        self._filled = 1 << max(self._count - 1, 0).bit_length()
        starts = self._filled * np.arange(columns)
        self._index = self._bisect(numbers, limits, self._whole(starts[None]))

    def look_up(self, values: Tensor) -> str:
        """The values [columns, pieces, ...] of the pieces that the numbers are in [N, columns, ...]."""
        rest = values.shape[2:]
        filled = self._fill(np.asarray(values, dtype=np.float64), 0.0)
        return self._nodes.add("Gather", self._nodes.doubles(filled.reshape(-1, *rest)), self._index)

    def _bisect(self, numbers: str, limits: Tensor, starts: str) -> str:
        nodes = self._nodes
        table = nodes.doubles(self._fill(limits, np.inf).reshape(-1))
        index, step = starts, self._filled // 2
        while step:
            further = nodes.add("Add", index, self._whole([step]))
            reached = nodes.add("GreaterOrEqual", numbers, nodes.add("Gather", table, further))
            index = nodes.add("Where", reached, further, index)
            step //= 2
        # infinity reaches what the table was filled up with
        return nodes.add("Min", index, nodes.add("Add", starts, self._whole([self._count - 1])))

    def _fill(self, values: Tensor, filler: float) -> Tensor:
        more = [(0, 0), (0, self._filled - self._count), *[(0, 0)] * (values.ndim - 2)]
        return np.pad(np.asarray(values, dtype=np.float64), more, constant_values=filler)

    def _whole(self, values: Any) -> str:
        return self._nodes.constant(TensorProto.INT64, list(np.shape(values)), values)


def interpolate(nodes: Nodes, numbers: str, xs: Tensor, ys: Tensor) -> str:
    """For numbers [N, columns] the ys of the line through the points (xs, ys) [columns, points] of their column.

    xs ascend, and may repeat: then the last of them counts. Beyond the points the line is level.
    """
    pieces = Pieces(nodes, numbers, xs)
    widths, heights = np.diff(xs, append=xs[:, -1:]), np.diff(ys, append=ys[:, -1:])
    slopes = np.divide(heights, widths, out=np.zeros_like(widths, dtype=np.float64), where=widths > 0)
    way = nodes.add("Sub", numbers, pieces.look_up(xs))
    line = nodes.add("Add", nodes.add("Mul", pieces.look_up(slopes), way), pieces.look_up(ys))
    above = nodes.add("GreaterOrEqual", numbers, nodes.doubles(xs[None, :, -1]))
    line = nodes.add("Where", above, nodes.doubles(ys[None, :, -1]), line)
    below = nodes.add("Less", numbers, nodes.doubles(xs[None, :, 0]))
    return nodes.add("Where", below, nodes.doubles(ys[None, :, 0]), line)
