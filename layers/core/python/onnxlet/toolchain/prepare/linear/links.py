"""Links: what makes a served output of linear scores. The graph is not read for that: what it answers to rows tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from onnxlet.values.tensors import Tensor

ABSOLUTE, RELATIVE = 1e-4, 1e-3
"""How near a link must come to the answers."""
_TWO = 2


class Link(NamedTuple):
    """The scores of an output's columns are the operation's scores · `matrix`, in `unit`."""

    unit: str
    matrix: Tensor


def find_link(scores: Tensor, output: Tensor, plain: str) -> Link | None:
    """The link that makes `output` [N] or [N, columns] of scores [N, scores]; None if none does, or several do.

    `plain` is the unit where the output is the score itself.
    """
    wanted = output.reshape(len(output), -1).astype(np.float64)
    found: list[Link] = []
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for link, inverse in _candidates(scores.shape[1], wanted.shape[1], plain):
            made = inverse(scores @ link.matrix)
            if made.shape == wanted.shape and np.allclose(made, wanted, atol=ABSOLUTE, rtol=RELATIVE):
                found.append(link)
    return found[0] if len(found) == 1 else None


Inverse = Callable[[Tensor], Tensor]


def _candidates(scores: int, columns: int, plain: str) -> Iterator[tuple[Link, Inverse]]:
    if scores == columns:
        same = np.eye(scores)
        yield Link(plain, same), lambda score: score
        yield Link("log", same), np.exp
        yield Link("log-odds", same), _logistic
        if scores == _TWO:
            yield Link("log-odds", np.array([[1.0, -1.0], [-1.0, 1.0]])), _logistic
        else:
            yield Link("log-odds", same), _shares_of_logistic
            yield Link("logit", same), _softmax
    elif (scores, columns) == (1, _TWO):
        yield Link("log-odds", np.array([[-1.0, 1.0]])), _logistic
    elif columns == 1:
        for score in range(scores):
            chosen = np.eye(scores)[:, score : score + 1]
            yield Link(plain, chosen), lambda score: score
            yield Link("log-odds", chosen), _logistic


def _logistic(score: Tensor) -> Tensor:
    share: Tensor = 1 / (1 + np.exp(-score))
    return share


def _shares_of_logistic(score: Tensor) -> Tensor:
    each = _logistic(score)
    shares: Tensor = each / each.sum(axis=1, keepdims=True)
    return shares


def _softmax(score: Tensor) -> Tensor:
    powers = np.exp(score - score.max(axis=1, keepdims=True))
    shares: Tensor = powers / powers.sum(axis=1, keepdims=True)
    return shares
