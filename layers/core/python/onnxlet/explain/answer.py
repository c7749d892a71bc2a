"""What is told of an explained answer."""

from __future__ import annotations

import msgspec

from onnxlet.values.tensors import Tensor


class BackgroundUsed(msgspec.Struct, frozen=True):
    """Which rows stood for "not known": where they come from (`synthetic`, `data` or `random`), how many, which."""

    kind: str
    rows: int
    digest: str


class Explanation(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Attributions of rows, float64, which sum to output minus expected value.

    `attributions` [N, players, classes] and `expected` [classes] are in `unit`, of the output `output`, of which
    `predictions` [N, classes] are the values that were explained. `sum_error` is the largest
    |predictions - expected - sum of attributions|. Where a method samples, `interval` [N, players, classes] is half of
    the width of the 95 % interval, `residual` [N, classes] what did not sum before it was spread, and `pairs` the
    fewest pairs of permutations that a row got. `unreliable`: these are too few for the interval to hold.
    `rows` are the places, among those that were sent, of the rows that are explained: all, unless a request asks for
    those above a threshold. `evaluations` counts rows that the model was asked about.
    """

    method: str
    output: str
    unit: str
    rows: tuple[int, ...]
    players: tuple[str, ...]
    classes: tuple[str, ...]
    attributions: Tensor
    expected: Tensor
    predictions: Tensor
    sum_error: float
    background: BackgroundUsed | None = None
    seed: int | None = None
    interval: Tensor | None = None
    residual: Tensor | None = None
    pairs: int | None = None
    unreliable: bool = False
    evaluations: int = 0
