"""Links: how the raw output of trees becomes what is served."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from onnxlet.values.tensors import Tensor

_TWO = 2


class Link(NamedTuple):
    """A link: `served` makes [N, columns] of raw outputs [N, outputs]; `raw` gives the served columns' own raw outputs.

    `unit` is that of these, "" if they are what is served. `slope` is of the served columns by their own raw outputs;
    None where a served column hangs on those of others too.
    """

    served: Callable[[Tensor], Tensor]
    raw: Callable[[Tensor], Tensor]
    unit: str
    slope: Callable[[Tensor], Tensor] | None


def _same(raw: Tensor) -> Tensor:
    return raw


def _sigmoid(raw: Tensor) -> Tensor:
    return np.asarray(0.5 * (1 + np.tanh(raw / 2)))


def _softmax(raw: Tensor) -> Tensor:
    powers = np.exp(raw - raw.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _both(raw: Tensor) -> Tensor:
    """The log-odds of both classes."""
    return np.concatenate([-raw, raw], axis=1)


def _complement(raw: Tensor) -> Tensor:
    return np.concatenate([1 - raw, raw], axis=1)


def _slope_of_sigmoid(raw: Tensor) -> Tensor:
    share = _sigmoid(raw)
    return np.asarray(share * (1 - share))


LINKS: dict[str, Link] = {
    "identity": Link(_same, _same, "", np.ones_like),
    "complement": Link(_complement, _complement, "", np.ones_like),
    "logistic": Link(lambda raw: _sigmoid(_both(raw)), _both, "log-odds", _slope_of_sigmoid),
    "logistic of each": Link(_sigmoid, _same, "log-odds", _slope_of_sigmoid),
    "softmax": Link(_softmax, _same, "logit", None),
    "exponential": Link(np.exp, _same, "log", np.exp),
}
"""By the name that manifests have for it, in the order in which they are tried."""


def served_of(link: Link, raw: Tensor) -> Tensor:
    """Served columns of their own raw outputs [..., columns], where each hangs on its own alone."""
    return raw if not link.unit else np.exp(raw) if link.unit == "log" else _sigmoid(raw)
