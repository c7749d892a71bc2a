"""A call of one node: its inputs and attributes, as the translations of operators read them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import tensorflow as tf
from onnx import helper

from onnxlet.errors import ConversionError
from onnxlet.values.tensors import Tensor

ML = "ai.onnx.ml"
MICROSOFT = "com.microsoft"


@dataclass(frozen=True)
class NodeCall:
    """A node and its inputs: numpy arrays are constants, all others are TensorFlow's tensors."""

    node: onnx.NodeProto
    inputs: Sequence[Any]
    opset: int
    """The version of the default operator set."""
    stored: Callable[[str, Tensor], Any]
    """Returns a constant for use in operators; a large one becomes a variable of the SavedModel."""
    run_subgraph: Callable[[onnx.GraphProto, dict[str, Any]], list[Any]]
    """Computes a subgraph of the node, such as a loop's body, with these inputs by name."""

    def has(self, index: int) -> bool:
        """Whether the node has an input at this position."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def __getitem__(self, index: int) -> Any:
        """An input as a tensor, or a constant."""
        value = self.inputs[index]
        return self.stored(self.node.input[index], value) if isinstance(value, np.ndarray) else value

    def all(self) -> list[Any]:
        """All inputs."""
        return [self[index] for index in range(len(self.inputs))]

    def optional(self, index: int, default: Any = None) -> Any:
        """An input, or the default where it was left out."""
        return self[index] if self.has(index) else default

    def static(self, index: int) -> Tensor:
        """The value of an input that is known without data. Raises ConversionError if it depends on the data."""
        value = self.inputs[index]
        known = value if isinstance(value, np.ndarray) else tf.get_static_value(value)
        if known is None:
            raise self.refuse(f"computes its input {index} from the data, which TensorFlow wants to know beforehand")
        return np.asarray(known)

    def numbers(self, index: int, count: int) -> list[Any]:
        """The `count` numbers of an input: as Python's where they are known, as scalar tensors where they are not."""
        value = self.inputs[index]
        known = value if isinstance(value, np.ndarray) else tf.get_static_value(value)
        if known is not None:
            return list(np.asarray(known).tolist())
        # TensorFlow knows sizes in part only where they are a shape
        sizes = tf.zeros(value).shape.as_list() if value.dtype.is_integer else [None] * count
        return [one if size is None else size for one, size in zip(tf.unstack(value, count), sizes, strict=True)]

    def integers(self, index: int, attribute: str) -> list[int] | None:
        """Integers that are an attribute in older operator sets and an input in newer ones."""
        if self.has(index):
            return [int(value) for value in self.static(index).reshape(-1)]
        listed: list[int] | None = self.attribute(attribute)
        return listed

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute's value; texts are str, tensors numpy arrays."""
        for attribute in self.node.attribute:
            if attribute.name == name:
                value = helper.get_attribute_value(attribute)
                return _plain(value)
        return default

    def rank(self, index: int = 0) -> int:
        """How many dimensions an input has. Raises ConversionError if that is not known."""
        value = self.inputs[index]
        rank = value.ndim if isinstance(value, np.ndarray) else value.shape.rank
        if rank is None:
            raise self.refuse("gets a tensor of which TensorFlow does not know how many dimensions it has")
        return int(rank)

    def refuse(self, why: str) -> ConversionError:
        """An error that names the operator."""
        domain = f"{self.node.domain}." if self.node.domain else ""
        return ConversionError(
            f"operator '{domain}{self.node.op_type}' (node {self.node.name or self.node.output[0]!r}) {why}",
            operator=self.node.op_type,
        )


Operator = Callable[[NodeCall], Any]
"""Returns the node's output, or a tuple of several."""

OPERATORS: dict[tuple[str, str], Operator] = {}
"""By domain and name."""


def operator(*names: str, domain: str = "") -> Callable[[Operator], Operator]:
    """Register the function as what computes these operators."""

    def register(function: Operator) -> Operator:
        OPERATORS.update({(domain, name): function for name in names})
        return function

    return register


def shape_of(tensor: Any) -> list[Any]:
    """A tensor's sizes: numbers where they are known, scalar tensors where not."""
    tensor = tf.convert_to_tensor(tensor)
    dynamic = tf.shape(tensor)
    return [dynamic[axis] if size is None else size for axis, size in enumerate(tensor.shape)]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    return value
