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
    """How far two sets of answers to the same rows are apart."""

    rows: int
    largest_distance: float
    """The largest absolute difference of two floats."""
    largest_relative_distance: float
    """The largest difference relative to the expected float."""
    outside: int
    """The number of floats that differ by more than the tolerance."""
    label_agreement: float | None
    """The share of equal values among all others: class values, integers, texts. None if there are none."""

    @property
    def within_tolerance(self) -> bool:
        """Whether all floats are within the tolerance and all other values are equal."""
        return self.outside == 0 and self.label_agreement in (None, 1.0)

    def __str__(self) -> str:
        text = (
            f"answers differ by up to {self.largest_distance:.2g} ({self.largest_relative_distance:.2g} relative), "
            f"{self.outside} of them beyond the tolerance"
        )
        return text if self.label_agreement is None else f"{text}, and {self.label_agreement:.2%} of the labels agree"

    def metrics(self) -> dict[str, float]:
        """The distances and the agreement, by name, as an evaluation records them."""
        figures = {
            "largest_distance": self.largest_distance,
            "largest_relative_distance": self.largest_relative_distance,
        }
        return figures if self.label_agreement is None else {**figures, "label_agreement": self.label_agreement}


def compare(expected: Tensors, actual: Tensors, tolerance: Tolerance) -> Comparison:
    """Compare the outputs that `expected` has, element by element. Raises InvalidInputError where shapes differ."""
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
    """|expected - actual|, element by element: 0 for two NaN and for equal infinities, infinite for one NaN."""
    left, right = expected.astype(np.float64), actual.astype(np.float64)
    with np.errstate(invalid="ignore"):
        distance = np.abs(left - right)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    return np.where(same, 0.0, np.where(np.isnan(distance), np.inf, distance))


def accept_tied_labels(expected: Tensors, actual: Tensors, targets: Iterable[Names], *, margin: float) -> Tensors:
    """Return `actual` with the expected label in tied rows: their two largest probabilities differ by at most `margin`.

    Either label is right there; rounding decides which one comes out.
    """
    accepted = dict(actual)
    for names in targets:
        if names.probabilities not in expected:
            continue
        ranked = np.sort(expected[names.probabilities], axis=1)
        if ranked.shape[1] > 1 and actual[names.label].shape == expected[names.label].shape:
            tied = ranked[:, -1] - ranked[:, -2] <= margin
            accepted[names.label] = np.where(tied, expected[names.label], actual[names.label])
    return accepted
