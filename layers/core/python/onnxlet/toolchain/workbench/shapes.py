"""The shapes that a graph's outputs really have, whatever its file declares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from onnxlet.errors import ExecutionError, InvalidInputError
from onnxlet.serving.engine import Engine
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import VARIABLE, Tensor, Tensors

if TYPE_CHECKING:
    import onnx


def observed_outputs(engine: Engine, inputs: Tensors) -> tuple[TensorSpec, ...]:
    """The outputs with the shapes that they have when the graph runs on `inputs`, and on longer ones.

    A dimension that changes with the inputs is free (-1). What the file declares is kept where no run contradicts it.
    """
    runs = list(_runs(engine, inputs))
    return tuple(
        TensorSpec(spec.name, spec.datatype, _shape(spec.shape, [run[spec.name].shape for run in runs]))
        for spec in engine.signature.outputs
    )


def declare_shape(value: onnx.ValueInfoProto, shape: Sequence[int]) -> None:
    """Declare a value's shape; -1 is a dimension of any size."""
    declared = value.type.tensor_type.shape
    declared.Clear()
    for size in shape:
        dimension = declared.dim.add()
        if size >= 0:
            dimension.dim_value = size


def _runs(engine: Engine, inputs: Tensors) -> Iterator[Tensors]:
    """Run on the inputs, then on inputs doubled along the first free dimension, then along all free dimensions."""
    yield engine.run(inputs)
    free = {
        spec.name: [axis for axis, size in enumerate(spec.shape) if size == VARIABLE]
        for spec in engine.signature.inputs
    }
    if not any(free.values()):
        return
    for axes in ({name: axes[:1] if axes[:1] == [0] else [] for name, axes in free.items()}, free):
        longer = {name: _double(tensor, axes[name]) for name, tensor in inputs.items()}
        try:
            yield engine.run(longer)
        except (ExecutionError, InvalidInputError):
            # a graph may well take fewer sizes than it declares
            continue


def _double(tensor: Tensor, axes: list[int]) -> Tensor:
    for axis in axes:
        tensor = np.concatenate([tensor, tensor], axis=axis)
    return tensor


def _shape(declared: tuple[int, ...], shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    if any(len(shape) != len(shapes[0]) for shape in shapes):
        return declared
    observed = tuple(sizes[0] if len(set(sizes)) == 1 else VARIABLE for sizes in zip(*shapes, strict=True))
    if len(declared) != len(observed):
        # undeclared, or wrongly: a first dimension of one row says nothing
        return observed
    return tuple(d if d in (o, VARIABLE) else o for d, o in zip(declared, observed, strict=True))
