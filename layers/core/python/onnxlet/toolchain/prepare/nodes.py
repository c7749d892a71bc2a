"""Nodes that compute what output steps declare: links, and calibrations in double precision as the steps have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import helper, numpy_helper

from onnxlet.steps.calibration import Platt

DOUBLE = np.dtype(np.float64)
OPERATORS = {"sigmoid": "Sigmoid", "softmax": "Softmax"}


class Nodes(NamedTuple):
    """Nodes in their order, and the constants that they read."""

    each: list[onnx.NodeProto]
    constants: list[onnx.TensorProto]


Write = Callable[[str, str], Nodes]
"""Nodes from a tensor to one that is called otherwise; names between them begin with the first."""


def write_link(link: str, last: int) -> Write:
    """A sigmoid, or a softmax over the `last` dimension."""
    attributes: dict[str, Any] = {"axis": last} if link == "softmax" else {}
    return lambda free, name: Nodes([helper.make_node(OPERATORS[link], [free], [name], **attributes)], [])


def write_temperature(temperature: float, dtype: np.dtype[Any]) -> Write:
    """The softmax of the logarithms of probabilities [N, classes] divided by a temperature."""

    def write(free: str, name: str) -> Nodes:
        made = _Chain(free)
        double = made.cast(free, DOUBLE)
        logits = made.add("Div", made.add("Log", double), made.constant(temperature))
        made.cast(made.add("Softmax", logits, axis=1), dtype, name)
        return Nodes(made.nodes, made.constants)

    return write


def write_platt(calibration: Platt, dtype: np.dtype[Any]) -> Write:
    """The second class's probability [N, 2] through Platt's sigmoid, and the rest of it to 1."""

    def write(free: str, name: str) -> Nodes:
        made = _Chain(free)
        share = made.cast(made.add("Gather", free, made.constant([1]), axis=1), DOUBLE)
        one = made.constant(1.0)
        score = share
        if calibration.of == "logit":
            score = made.add("Sub", made.add("Log", share), made.add("Log", made.add("Sub", one, share)))
        score = made.add("Mul", score, made.constant(calibration.slope))
        second = made.add("Sigmoid", made.add("Add", score, made.constant(calibration.intercept)))
        both = made.add("Concat", made.add("Sub", one, second), second, axis=1)
        made.cast(both, dtype, name)
        return Nodes(made.nodes, made.constants)

    return write


class _Chain:
    """Nodes that are written one after the other."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """A node; its output's name."""
        name = name or f"{self._prefix}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def cast(self, tensor: str, dtype: np.dtype[Any], name: str = "") -> str:
        """The tensor as another datatype."""
        return self.add("Cast", tensor, name=name, to=helper.np_dtype_to_tensor_dtype(dtype))

    def constant(self, value: float | list[int]) -> str:
        """A constant; its name."""
        name = f"{self._prefix}_c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value), name))
        return name
