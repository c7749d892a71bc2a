"""Probing inputs: random inputs of several sizes, to see whether a free dimension really is free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.convert.trained_model import ModelRows
from onnxlet.toolchain.workbench.random_inputs import draw_tensor
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import VARIABLE, Tensors

if TYPE_CHECKING:
    from onnxlet.toolchain.convert.networks.network import Network

RANDOM_ROWS = 8
BATCHES = (1, 3)
SIZES = (16, 24, 32, 5, 3, 64, 96, 224)
"""Sizes tried for free dimensions other than rows, until the network accepts two of them."""
SKEWS = (8, 0)
"""What is added to an image's width, so that width and height are not taken for each other."""
WIDTH = 3
"""The axis of an image's width."""
FAR = (1, 100)
"""By what random numbers are multiplied: a sigmoid gives probabilities of any, and a sum soon leaves 0 to 1."""
INTEGERS = 2
"""Random integers are smaller, unless the network knows their range."""


def find_random_inputs(
    network: Network, specs: tuple[TensorSpec, ...], *, rows: int = RANDOM_ROWS, seed: int
) -> Tensors:
    """Draw random inputs that the network accepts. Raises InvalidInputError with its first error if it accepts none."""
    first_error = ""
    for size, skew in product(SIZES, SKEWS):
        inputs = network.random_inputs(fill_free_dimensions(specs, rows, size, skew), seed=seed)
        try:
            network.run(inputs)
        except InvalidInputError as error:
            first_error = first_error or error.detail
            continue
        return inputs
    raise InvalidInputError(f"the model takes no random inputs of the shapes that it says: {first_error}; give --data")


def vary_sizes(network: Network, specs: tuple[TensorSpec, ...], inputs: Tensors, *, seed: int) -> tuple[ModelRows, ...]:
    """Fewer rows of the inputs if rows are free, and random inputs of another size if other dimensions are free."""
    variations: list[ModelRows] = []
    if all(spec.batched for spec in specs):
        rows = min(len(tensor) for tensor in inputs.values())
        variations += [
            ModelRows({name: tensor[:count] for name, tensor in inputs.items()}) for count in BATCHES if count < rows
        ]
    if any(VARIABLE in spec.shape[1:] for spec in specs):
        known = {name: tensor.shape[1:] for name, tensor in inputs.items()}
        variations += _rows_of_another_size(network, specs, known, seed)
    return tuple(variations)


def answer_far_inputs(network: Network, inputs: Tensors) -> Iterator[Tensors]:
    """The answers to random inputs of the same shapes, and to such that are far off; to none that it refuses."""
    shapes = {name: (RANDOM_ROWS, *tensor.shape[1:]) for name, tensor in inputs.items()}
    drawn = network.random_inputs(shapes, seed=0)
    for scale in FAR:
        far = {
            name: tensor * tensor.dtype.type(scale) if tensor.dtype.kind == "f" else tensor
            for name, tensor in drawn.items()
        }
        try:
            yield network.run(far)
        except InvalidInputError:
            # a network may take fewer rows, or fewer values, than it declares
            return


def fill_free_dimensions(
    specs: tuple[TensorSpec, ...], rows: int, size: int, skew: int = 0
) -> dict[str, tuple[int, ...]]:
    """The inputs' shapes with `rows` and `size` for free dimensions; an image's width is larger by `skew`."""
    free = {0: rows, WIDTH: size + skew}
    return {
        spec.name: tuple(
            free.get(axis, size) if declared == VARIABLE else declared for axis, declared in enumerate(spec.shape)
        )
        for spec in specs
    }


def random_tensors(specs: Mapping[str, TensorSpec], shapes: Mapping[str, tuple[int, ...]], *, seed: int) -> Tensors:
    """Draw random tensors of these shapes and of the specs' datatypes."""
    random = np.random.default_rng(seed)
    return {name: draw_tensor(specs[name], shape, INTEGERS, random) for name, shape in shapes.items()}


def _rows_of_another_size(
    network: Network, specs: tuple[TensorSpec, ...], known: dict[str, tuple[int, ...]], seed: int
) -> Iterator[ModelRows]:
    for size, skew in product(SIZES, SKEWS):
        shapes = fill_free_dimensions(specs, BATCHES[-1], size, skew)
        if all(shape[1:] == known[name] for name, shape in shapes.items()):
            continue
        inputs = network.random_inputs(shapes, seed=seed)
        try:
            network.run(inputs)
        except InvalidInputError:
            # a network may well take fewer sizes than it declares
            continue
        yield ModelRows(inputs, "random")
        return
