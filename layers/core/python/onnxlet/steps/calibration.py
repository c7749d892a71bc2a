"""Calibration: the probability that a score stands for, as it was found on rows that the model was not trained on.

Formulas: temperature, Guo et al., "On Calibration of Modern Neural Networks", 2017; Platt and isotonic, and one against
the rest for more than two classes, as scikit-learn's CalibratedClassifierCV.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec
import numpy as np

from onnxlet.values.tensors import Tensor

MOST_POINTS = 4096
"""Points of an isotonic table."""


class Temperature(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="method", tag="temperature"
):
    """Softmax of the logits divided by `temperature`; more than 1 makes a model less sure. It never changes a label.

    `in_graph`: publishing put it into the graph, whose probabilities are calibrated by now.
    """

    temperature: float
    in_graph: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError for a temperature that is none."""
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError("a temperature is more than 0")


class Platt(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="method", tag="platt"
):
    """`1 / (1 + exp(-(slope * x + intercept)))` of x, a class's `probability` or the `logit` of it.

    scikit-learn keeps both with the other sign: `slope` is -a_, `intercept` is -b_. `in_graph` as of a temperature.
    """

    slope: float
    intercept: float
    of: Literal["logit", "probability"] = "logit"
    in_graph: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError for what is no number, and for a slope that turns the order around."""
        if not np.isfinite([self.slope, self.intercept]).all() or self.slope < 0:
            raise ValueError("slope and intercept are finite, and slope is not less than 0")

    def apply(self, probability: Tensor) -> Tensor:
        """The calibrated probability, element by element."""
        x = _logit(probability) if self.of == "logit" else probability
        with np.errstate(over="ignore", invalid="ignore"):
            # with a slope of 0 the infinite logit of 0 or 1 counts for nothing
            return 1 / (1 + np.exp(-((self.slope * x if self.slope else 0 * probability) + self.intercept)))


class Isotonic(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="method", tag="isotonic"):
    """`y` of a class's probability, by straight lines between the points `x`; beyond the ends it stays as it is there.

    They are scikit-learn's `X_thresholds_` and `y_thresholds_`.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]

    def __post_init__(self) -> None:
        """Raise ValueError for a table that does not rise, or is none."""
        if len(self.x) != len(self.y) or not 0 < len(self.x) <= MOST_POINTS:
            raise ValueError(f"x and y have as many points, at most {MOST_POINTS:,}")
        if not np.isfinite([self.x, self.y]).all() or (np.diff(self.x) < 0).any() or (np.diff(self.y) < 0).any():
            raise ValueError("x and y are finite numbers that rise")
        if self.y[0] < 0 or self.y[-1] > 1:
            raise ValueError("y are probabilities, from 0 to 1")

    def apply(self, probability: Tensor) -> Tensor:
        """The calibrated probability, element by element."""
        return np.interp(probability, self.x, self.y)


OneAgainstRest = Platt | Isotonic
Calibration = Temperature | Platt | Isotonic | tuple[OneAgainstRest, ...]
"""One for all classes, of two the second's; or of more than two one for each, which are then made to sum to 1."""


def is_in_graph(calibration: Calibration | None) -> bool:
    """Whether the graph's probabilities are calibrated."""
    return isinstance(calibration, Temperature | Platt) and calibration.in_graph


def plan_calibration(calibration: Calibration, classes: int) -> Callable[[Tensor], Tensor]:
    """What makes calibrated probabilities [N, classes] of a model's, both float64.

    Raises ValueError where there are not as many as it takes.
    """
    if isinstance(calibration, Temperature):
        return lambda shares: softmax(_log(shares) / calibration.temperature)
    if classes == 2:  # noqa: PLR2004 - the second of two
        if isinstance(calibration, tuple):
            raise ValueError("of two classes the second is calibrated: give one calibration")
        return lambda shares: _pair(calibration.apply(shares[:, 1]))
    if not isinstance(calibration, tuple) or len(calibration) != classes:
        raise ValueError(f"there are {classes} classes: give a temperature, or a list with a calibration for each")
    return lambda shares: _shares([each.apply(shares[:, place]) for place, each in enumerate(calibration)])


def softmax(scores: Tensor, axis: int = -1) -> Tensor:
    """`exp(x) / sum(exp(x))`, from the largest down so that nothing overflows."""
    powers = np.exp(scores - scores.max(axis=axis, keepdims=True))
    made: Tensor = powers / powers.sum(axis=axis, keepdims=True)
    return made


def sigmoid(scores: Tensor) -> Tensor:
    """`1 / (1 + exp(-x))`, without overflow."""
    small = np.exp(-np.abs(scores))
    return np.where(scores >= 0, 1 / (1 + small), small / (1 + small))


def _log(shares: Tensor) -> Tensor:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(shares)


def _logit(probability: Tensor) -> Tensor:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(probability) - np.log1p(-probability)


def _pair(second: Tensor) -> Tensor:
    return np.stack([1 - second, second], axis=1)


def _shares(each: list[Tensor]) -> Tensor:
    """Of each row's probabilities the shares of their sum; where that is 0, equal ones."""
    stacked = np.stack(each, axis=1)
    total = stacked.sum(axis=1, keepdims=True)
    return np.where(total == 0, 1 / len(each), stacked / np.where(total == 0, 1, total))
