"""Random inputs: tensors of a signature's datatypes and shapes, for graphs of which nothing more is known."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import chain, count, cycle, islice, product
from time import monotonic
from typing import NamedTuple

import numpy as np

from onnxlet.errors import ExecutionError, InvalidInputError, RejectedModelError
from onnxlet.serving.engine import Engine
from onnxlet.values.signature import Signature, TensorSpec
from onnxlet.values.tensors import DATATYPES, VARIABLE, Tensor, Tensors

INTEGERS = 10
"""Random integers are smaller: they may be positions in a short vocabulary."""
SIZES = (16, 1, 8, 32, 2, 64, 224, 512)
"""Sizes tried for free dimensions other than the rows, the same for all of them at first."""
MORE_SIZES = (2, 3, 4, 8, 16, 32, 64, 128, 224, 256, 512, 1024)
"""Sizes tried after that, for each of them another."""
MOST_TRIES = 256
MOST_UNANSWERED = 128
"""Tries that are worth it when the graph runs, and answers with NaN alone."""
SEARCH_SECONDS = 10.0
"""How long other sizes are tried."""
MOST_ELEMENTS = 2**22
"""Elements of one random tensor in that search, at most."""
_LIKE_ROWS = 0.5


class _Values(NamedTuple):
    """Integers below `integers`, or each 1; floats around 0, or between `floats` and 1 more."""

    integers: int = INTEGERS
    ones: bool = False
    floats: float | None = None


VALUES = (_Values(), _Values(integers=1), _Values(ones=True), _Values(floats=0.0), _Values(ones=True, floats=1.0))
"""What is tried: shapes and steps may not be 0, thresholds and rates lie between 0 and 1, scales above that."""


def random_inputs(engine: Engine, *, seed: int, rows: int = 1) -> Tensors:
    """Draw random inputs that the graph runs on, trying several sizes for its free dimensions.

    It had better not answer with NaN alone, as graphs do for sounds that are too short. Raises RejectedModelError if it
    fails on all of them.
    """
    first_error, unanswered = "", None
    tries = chain(_of_one_size(engine.signature, rows, seed), _of_several_sizes(engine.signature, rows, seed))
    for number, inputs in enumerate(tries):
        if unanswered is not None and number >= MOST_UNANSWERED:
            break
        try:
            answers = engine.run(inputs)
        except (ExecutionError, InvalidInputError) as error:
            first_error = first_error or error.detail
            continue
        if any(map(has_values, answers.values())):
            return inputs
        unanswered = unanswered or inputs
    if unanswered is not None:
        return unanswered
    raise RejectedModelError(f"the model fails on random inputs within its own signature: {first_error}")


def _of_one_size(signature: Signature, rows: int, seed: int) -> Iterator[Tensors]:
    random = np.random.default_rng(seed)
    for size, values in product(SIZES, VALUES):
        inputs = draw_inputs(signature, rows=rows, size=size, integers=values.integers, seed=seed)
        yield _as_wanted(inputs, values, random)


def _of_several_sizes(signature: Signature, rows: int, seed: int) -> Iterator[Tensors]:
    """Inputs each of whose free dimensions has a size of its own, often that of the rows: states are as many, say."""
    sizes, random = np.random.default_rng(0), np.random.default_rng(seed)
    until = monotonic() + SEARCH_SECONDS
    free = any(VARIABLE in spec.shape for spec in signature.inputs)
    for values in islice(cycle(VALUES), MOST_TRIES if free else 0):
        if monotonic() > until:
            return
        shapes = {spec.name: _mixed_shape(spec, rows, sizes) for spec in signature.inputs}
        if max(map(math.prod, shapes.values())) > MOST_ELEMENTS:
            continue
        inputs = {spec.name: draw_tensor(spec, shapes[spec.name], values.integers, random) for spec in signature.inputs}
        yield _as_wanted(inputs, values, random)


def _mixed_shape(spec: TensorSpec, rows: int, sizes: np.random.Generator) -> tuple[int, ...]:
    """The spec's shape: `rows` for a free first dimension, and as often as not for others."""
    drawn = (rows if axis == 0 or sizes.random() < _LIKE_ROWS else int(sizes.choice(MORE_SIZES)) for axis in count())
    return tuple(size if declared == VARIABLE else declared for declared, size in zip(spec.shape, drawn, strict=False))


def _as_wanted(inputs: Tensors, values: _Values, random: np.random.Generator) -> Tensors:
    """The inputs, with other values where others are wanted."""
    wanted = dict(inputs)
    for name, tensor in inputs.items():
        if values.ones and tensor.dtype.kind in "iu":
            wanted[name] = np.ones_like(tensor)
        elif values.floats is not None and tensor.dtype.kind == "f":
            wanted[name] = np.asarray(values.floats + random.random(tensor.shape), dtype=tensor.dtype)
    return wanted


def has_values(tensor: Tensor) -> bool:
    """Whether a tensor has other values than NaN and infinities."""
    return tensor.dtype.kind != "f" or bool(np.isfinite(tensor).any())


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
