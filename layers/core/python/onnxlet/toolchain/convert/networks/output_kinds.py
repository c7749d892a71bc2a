"""Output kinds: whether class scores are probabilities, logits, or one of these for each label by itself.

Told by what the scores are on all rows; the operator that computed them says nothing, since a clamp or a mean may stand
behind a sigmoid. What the rows leave open the user says.
"""

from __future__ import annotations

import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.values.manifest import OutputsAre
from onnxlet.values.tensors import Tensor

ROUNDING = 1e-4
"""How far beyond 0 and 1 a probability may be."""
SUM = 1e-3
"""How far from 1 the sum of probabilities may be."""
OPTION = "--outputs-are"


def tell_outputs(scores: Tensor, name: str, said: OutputsAre | None, *, by_label: bool | None) -> OutputsAre:
    """What the scores [rows, classes] of an output are; one column is the score of the second of two classes.

    `said` is what the user, or the model, says; `by_label` whether there is a target for each label, None where there
    is none at all. Raises InvalidInputError where the scores contradict what is said, and where they leave it open.
    """
    numbers = scores[np.isfinite(scores).all(axis=1)]
    if not numbers.size:
        return said or "logits"
    if said is not None:
        _check_said(numbers, name, said)
        return said
    shares = _are_shares(numbers)
    if numbers.shape[1] == 1:
        return "probabilities" if shares else "logits"
    if shares and _sum_to_one(numbers):
        return "probabilities"
    if shares and by_label is False:
        raise InvalidInputError(
            f"{name!r} gives numbers from 0 to 1 that do not sum to 1 ({_sums(numbers)}), while one target tells them "
            f"all apart: say {OPTION} independent, which serves each label by itself, or {OPTION} logits"
        )
    if shares or by_label:
        return "independent" if shares else "independent-logits"
    return "logits"


def check_shares(scores: Tensor, name: str) -> None:
    """Raise InvalidInputError where other rows' scores are no probabilities, which those of the data were."""
    numbers = scores[np.isfinite(scores).all(axis=1)]
    if not _are_shares(numbers):
        raise InvalidInputError(
            f"{name!r} gives numbers from 0 to 1 to the data, and from {numbers.min():.4g} to {numbers.max():.4g} to "
            f"other rows, so these may be no probabilities: say {OPTION} logits, or probabilities"
        )


def _check_said(numbers: Tensor, name: str, said: OutputsAre) -> None:
    """Raise InvalidInputError where no such output gives these numbers."""
    shares = _are_shares(numbers)
    if said == "values":
        raise InvalidInputError(
            f"labels name classes, and {OPTION} values says that {name!r} scores none: leave one out"
        )
    if said in ("probabilities", "independent") and not shares:
        other = "logits" if said == "probabilities" else "independent-logits"
        raise InvalidInputError(
            f"{name!r} gives numbers from {numbers.min():.4g} to {numbers.max():.4g}, and probabilities are from 0 to "
            f"1: say {OPTION} {other}"
        )
    if numbers.shape[1] == 1:
        if said.startswith("independent"):
            raise InvalidInputError(f"{name!r} is one number per row, so there are no labels apart: say probabilities")
        return
    summed = shares and _sum_to_one(numbers)
    if said == "probabilities" and not summed:
        raise InvalidInputError(
            f"{name!r} was said to give probabilities, which sum to 1, and these sum to {_sums(numbers)}: say "
            f"{OPTION} independent, or logits"
        )
    if said == "logits" and summed:
        raise InvalidInputError(
            f"{name!r} was said to give logits, and its numbers sum to 1 in every row, as probabilities do: leave "
            f"{OPTION} out"
        )


def _are_shares(numbers: Tensor) -> bool:
    return bool(((numbers >= -ROUNDING) & (numbers <= 1 + ROUNDING)).all())


def _sum_to_one(numbers: Tensor) -> bool:
    return bool((np.abs(numbers.sum(axis=1, dtype=np.float64) - 1) < SUM).all())


def _sums(numbers: Tensor) -> str:
    sums = numbers.sum(axis=1, dtype=np.float64)
    return f"{sums.min():.4g} to {sums.max():.4g}"
