"""Random inputs: tensors of a signature's datatypes and shapes, for graphs of which nothing more is known."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from onnxlet.errors import ExecutionError, InvalidInputError, RejectedModelError
from onnxlet.serving.engine import Engine
from onnxlet.values.signature import Signature, TensorSpec
from onnxlet.values.tensors import DATATYPES, VARIABLE, Tensor, Tensors

INTEGERS = 10
"""Random integers are smaller: they may be positions in a short vocabulary."""
SIZES = (16, 1, 8, 32, 2, 64, 224)
"""Sizes tried for free dimensions other than the rows."""


def random_inputs(engine: Engine, *, seed: int, rows: int = 1) -> Tensors:
    """Draw random inputs that the graph runs on, trying several sizes for its free dimensions.

    Raises RejectedModelError if it fails on all of them.
    """
    first_error = ""
    for size, integers in product(SIZES, (INTEGERS, 1)):
        inputs = draw_inputs(engine.signature, rows=rows, size=size, integers=integers, seed=seed)
        try:
            engine.run(inputs)
        except (ExecutionError, InvalidInputError) as error:
            first_error = first_error or error.detail
            continue
        return inputs
    raise RejectedModelError(f"the model fails on random inputs within its own signature: {first_error}")


def draw_inputs(signature: Signature, *, rows: int, size: int, integers: int, seed: int) -> Tensors:
    """Draw random tensors of the signature's shapes: `rows` for a free first dimension, `size` for other free ones.

    Integers are drawn from 0 to `integers` - 1.
    """
    random = np.random.default_rng(seed)
    return {spec.name: draw_tensor(spec, _shape(spec, rows, size), integers, random) for spec in signature.inputs}


def draw_tensor(spec: TensorSpec, shape: Sequence[int], integers: int, random: np.random.Generator) -> Tensor:
    """Draw a random tensor of the spec's datatype: normal floats, integers below `integers`, booleans or texts."""
    datatype = DATATYPES[spec.datatype]
    if datatype.kind == "f":
        return random.standard_normal(shape).astype(datatype.numpy)
    if datatype.kind == "b":
        return random.integers(0, 2, shape).astype(bool)
    values = random.integers(0, integers, shape)
    if datatype.kind == "s":
        return np.array([f"text {value}" for value in values.ravel()], dtype=object).reshape(shape)
    return values.astype(datatype.numpy)


def _shape(spec: TensorSpec, rows: int, size: int) -> tuple[int, ...]:
    free = (rows if axis == 0 else size for axis in range(len(spec.shape)))
    return tuple(
        chosen if declared == VARIABLE else declared for declared, chosen in zip(spec.shape, free, strict=True)
    )
