"""Compare answers: how far apart two graphs' outputs are, how often their labels agree."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.steps import Names
from onnxlet.values.manifest import Tolerance
from onnxlet.values.tensors import Tensor, Tensors


@dataclass(frozen=True)
class Comparison:
    """What two sets of answers to the same rows have in common."""

    rows: int
    largest_distance: float
    """Between two floats, absolute."""
    largest_relative_distance: float
    """The same, relative to what was expected."""
    outside: int
    """Floats that differ by more than the tolerance."""
    label_agreement: float | None
    """Share of everything else (class values, integers, texts) that is equal; None if there is nothing else."""

    @property
    def within_tolerance(self) -> bool:
        """Whether nothing differs that matters."""
        return self.outside == 0 and self.label_agreement in (None, 1.0)

    def __str__(self) -> str:
        text = (
            f"answers differ by up to {self.largest_distance:.2g} ({self.largest_relative_distance:.2g} relative), "
            f"{self.outside} of them beyond the tolerance"
        )
        return text if self.label_agreement is None else f"{text}, and {self.label_agreement:.2%} of the labels agree"

    def metrics(self) -> dict[str, float]:
        """The figures to record."""
        figures = {
            "largest_distance": self.largest_distance,
            "largest_relative_distance": self.largest_relative_distance,
        }
        return figures if self.label_agreement is None else {**figures, "label_agreement": self.label_agreement}


def compare(expected: Tensors, actual: Tensors, tolerance: Tolerance) -> Comparison:
    """Compare the outputs that `expected` names, row by row. Raises InvalidInputError where shapes differ."""
    absolute = relative = 0.0
    outside = disagreeing = discrete = 0
    for name, tensor in expected.items():
        if actual[name].shape != tensor.shape:
            raise InvalidInputError(
                f"the output {name!r} has the shape {list(actual[name].shape)} where {list(tensor.shape)} is expected"
            )
        if tensor.dtype.kind == "f":
            distance = distances(tensor, actual[name])
            absolute = max(absolute, float(distance.max(initial=0.0)))
            scale = np.maximum(np.abs(np.nan_to_num(tensor.astype(np.float64))), tolerance.absolute)
            relative = max(relative, float((distance / scale).max(initial=0.0)))
            outside += int((distance > tolerance.absolute + tolerance.relative * scale).sum())
        else:
            discrete += tensor.size
            disagreeing += int((tensor != actual[name]).sum())
    rows = max(len(tensor) if tensor.ndim else 1 for tensor in expected.values())
    return Comparison(rows, absolute, relative, outside, 1 - disagreeing / discrete if discrete else None)


def distances(expected: Tensor, actual: Tensor) -> Tensor:
    """|expected - got|, element by element; equal infinities and two NaN are 0 apart, one NaN is infinitely far."""
    left, right = expected.astype(np.float64), actual.astype(np.float64)
    with np.errstate(invalid="ignore"):
        distance = np.abs(left - right)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    return np.where(same, 0.0, np.where(np.isnan(distance), np.inf, distance))


def accept_tied_labels(expected: Tensors, actual: Tensors, targets: Iterable[Names], *, margin: float) -> Tensors:
    """`got` with the expected labels in rows whose two largest probabilities are nearer than `margin`.

    There either label is right: which one comes out is a matter of rounding.
    """
    accepted = dict(actual)
    for names in targets:
        if names.probabilities not in expected:
            continue
        ranked = np.sort(expected[names.probabilities], axis=1)
        if ranked.shape[1] > 1:
            tied = ranked[:, -1] - ranked[:, -2] <= margin
            accepted[names.label] = np.where(tied, expected[names.label], actual[names.label])
    return accepted
