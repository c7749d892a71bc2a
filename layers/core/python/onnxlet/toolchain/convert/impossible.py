"""What no classifier answers, however badly it was trained: it stops a conversion."""

from __future__ import annotations

from math import e

import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.steps.classification import PROBABILITIES
from onnxlet.values.tensors import Tensor, Tensors

SUM = 1e-3
"""How far from 1 the sum of probabilities may be."""
ROUNDING = 1e-4
EVEN = 0.5
HIGHEST = e / (e + 1)
"""What a sigmoid makes of 1; of 0 it makes a half."""


def check_sums(expected: Tensors, own: Tensors) -> None:
    """Raise InvalidInputError for expected probabilities that do not sum to 1, where the model's `own` do."""
    for name in expected:
        if name.startswith(PROBABILITIES) and _sum_to_one(own[name]) and not _sum_to_one(expected[name]):
            sums = _finite(expected[name]).sum(axis=1)
            raise InvalidInputError(
                f"the {name} that were expected sum to {sums.min():.4g} to {sums.max():.4g}, and probabilities of "
                "classes sum to 1: give what predict_proba answered"
            )


def describe_doubled_link(probabilities: Tensor) -> str:
    """What shows that probabilities went through a sigmoid or softmax twice; empty if nothing does.

    They are [rows, classes], or [rows, 1] of the second of two classes. A probability is from 0 to 1, and so what a
    second sigmoid makes of it is from 0.5 to 0.7311, a second softmax of K at most e / (e + K - 1).
    """
    known = _finite(probabilities)
    classes = known.shape[1]
    highest = HIGHEST if classes == 1 else e / (e + classes - 1)
    lowest = EVEN if classes == 1 else 0.0
    # what always answers alike has learned nothing, and shows nothing
    if not known.size or not np.ptp(known, axis=0).any():
        return ""
    if known.max() > highest + ROUNDING or known.min() < lowest - ROUNDING:
        return ""
    twice = "a sigmoid" if classes == 1 else f"a softmax of {classes} classes"
    bounds = f"between {EVEN} and {highest:.4f}" if classes == 1 else f"at most {highest:.4f}"
    found = f"{known.min():.4g} to {known.max():.4g}"
    return f"all probabilities are {bounds} ({found}), as those are that went through {twice} twice"


def check_link(doubled: str) -> None:
    """Raise InvalidInputError, with what answers it, where probabilities look as if linked twice."""
    if doubled:
        raise InvalidInputError(
            f"{doubled}; if the model really gives these, say --outputs-are probabilities, if they are its logits, "
            "--outputs-are logits; or convert the model itself, or give --expected, what it answered where it was "
            "trained"
        )


def _sum_to_one(probabilities: Tensor) -> bool:
    return bool((np.abs(_finite(probabilities).sum(axis=1) - 1) < SUM).all())


def _finite(probabilities: Tensor) -> Tensor:
    known: Tensor = probabilities[np.isfinite(probabilities).all(axis=1)].astype(np.float64)
    return known
