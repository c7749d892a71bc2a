"""What answers are judged as, where the steps tell of no classes: told by shapes, the truth, and what the user says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.values.contract import TaskKind
from onnxlet.values.tensors import Tensor, Tensors

FEWEST_DIMENSIONS = 16
"""Vectors of at least so many numbers are taken for embeddings, where there is no truth."""
IMAGE = 4
"""Answers with at least so many dimensions have positions, and are no vectors."""
MOST_CLASSES = 256
"""More channels than these are features, and no classes."""


@dataclass(frozen=True)
class Hints:
    """What is known of a network's answers beside themselves."""

    task: TaskKind | None = None
    """What the user says, or the model."""
    labels: tuple[str, ...] = ()
    truth: tuple[int, ...] | None = None
    """The shape of the target; None without one."""
    numbers: bool = False
    """Whether the target holds numbers between whole ones, which are no classes."""
    class_axis: int | None = None
    """Where the framework puts channels; None: it is not known."""


def class_axis_of(answers: Tensors, hints: Hints) -> tuple[str, int] | None:
    """The output that scores classes at each position, and the dimension that counts them; None if there is none.

    Raises InvalidInputError if the user says that there is one.
    """
    if hints.task not in (None, "segmentation") or (hints.numbers and hints.task is None):
        return None
    said = hints.task == "segmentation"
    for name, tensor in answers.items():
        if tensor.dtype.kind == "f" and tensor.ndim > 2:  # noqa: PLR2004 - rows, classes, positions
            axis = _class_axis(tensor, hints, said=said)
            if axis is not None:
                return name, axis
    if said:
        shapes = ", ".join(f"{name!r} {list(tensor.shape)}" for name, tensor in answers.items())
        raise InvalidInputError(f"segmentation scores classes at positions, [rows, classes, …]; there are {shapes}")
    return None


def default_task(answers: Tensors, *, truth: bool) -> TaskKind:
    """How answers without classes are judged."""
    floats = [tensor for tensor in answers.values() if tensor.dtype.kind == "f"]
    single = len(answers) == 1 and len(floats) == 1
    if single and (truth or floats[0].size == len(floats[0])):
        return "regression"
    flat = single and floats[0].ndim > 2  # noqa: PLR2004 - a vector at each position may as well be classes
    if floats and not flat and all(_are_vectors(tensor) for tensor in floats):
        return "embedding"
    return "tensors"


def _are_vectors(tensor: Tensor) -> bool:
    return 1 < tensor.ndim < IMAGE and tensor.shape[-1] >= FEWEST_DIMENSIONS


def _class_axis(tensor: Tensor, hints: Hints, *, said: bool) -> int | None:
    last = tensor.ndim - 1
    usual = 1 if hints.class_axis == 1 else last if hints.class_axis == -1 else None
    axes = [axis for axis in dict.fromkeys((usual or 1, 1, last)) if tensor.shape[axis] <= MOST_CLASSES]
    known = [axis for axis in axes if _fits_labels(tensor.shape[axis], hints.labels)] if hints.labels else axes
    told = bool(hints.labels)
    if hints.truth is not None and len(hints.truth) > 1:
        known = [axis for axis in known if _fits_truth(tensor.shape, axis, hints.truth)]
        told = True
    if told:
        return known[0] if known else None
    if said:
        return usual if usual in axes else _smaller(tensor, axes)
    if tensor.ndim < IMAGE or hints.truth is not None:
        return None
    chosen = usual if usual is not None and usual in axes else _smaller(tensor, axes)
    # one channel may as well be a picture
    return chosen if chosen is not None and tensor.shape[chosen] > 1 else None


def _smaller(tensor: Tensor, axes: Sequence[int]) -> int | None:
    return min(axes, key=lambda axis: tensor.shape[axis], default=None)


def _fits_labels(size: int, labels: Sequence[str]) -> bool:
    return size == len(labels) or (size == 1 and len(labels) == 2)  # noqa: PLR2004


def _fits_truth(shape: tuple[int, ...], axis: int, truth: tuple[int, ...]) -> bool:
    """Whether the truth counts the same positions, with the dimension of classes or without it."""
    positions = tuple(size for index, size in enumerate(shape) if index != axis)
    return truth in (positions, shape) or tuple(size for size in truth if size != 1) == tuple(
        size for size in positions if size != 1
    )


def flatten_positions(tensor: Tensor, axis: int) -> Tensor:
    """The scores as [rows * positions, classes]."""
    moved = np.moveaxis(tensor, axis, -1)
    flat: Tensor = moved.reshape(-1, moved.shape[-1])
    return flat
