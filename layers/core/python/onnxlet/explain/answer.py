"""What is told of an explained answer."""

from __future__ import annotations

import msgspec

from onnxlet.errors import InvalidInputError
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

    Of pictures the players are the cells of a `grid`, row by row, whose attributions are slopes and do not sum; and
    `pictures` are what the model saw, levels [height, width, 1 or 3] from 0 to 255. `overlays` are PNGs of each under
    the heatmap of its largest prediction, where a request asks for them.
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
    grid: tuple[int, int] | None = None
    pictures: tuple[Tensor, ...] = ()
    overlays: tuple[bytes, ...] = ()

    @property
    def heatmaps(self) -> Tensor:
        """The attributions of pictures as maps [N, classes, rows, columns]. Raises InvalidInputError for others."""
        if self.grid is None:
            raise InvalidInputError("only pictures have heatmaps")
        return self.attributions.transpose(0, 2, 1).reshape(len(self.attributions), -1, *self.grid)

    def overlay(self, row: int = 0, of: str | int | None = None) -> bytes:
        """A PNG of a picture as the model saw it, under the heatmap of one class: by its name or position, or that of
        the largest prediction. Raises InvalidInputError for what is no picture, and for classes that are not explained.
        """
        from onnxlet.explain.pictures.overlay import draw_overlay

        if not self.pictures and of is None and self.overlays:
            return self.overlays[row]
        if of is None:
            of = int(self.predictions[row].argmax())
        names = list(self.classes)
        if of not in names and not (isinstance(of, int) and 0 <= of < len(names)):
            raise InvalidInputError(f"there is no heatmap of {str(of)[:80]!r}, only of {', '.join(map(repr, names))}")
        if not self.pictures:
            raise InvalidInputError("the picture is not here: ask for it with overlay=True, or explain it where it is")
        column = names.index(of) if isinstance(of, str) else of
        return draw_overlay(self.pictures[row], self.heatmaps[row, column])


class Planned(msgspec.Struct, frozen=True, eq=False):
    """What explaining rows will give, before there are any: an explanation of none, and what each row will cost.

    `cost` counts rows that the model is asked about for each that is explained, at most.
    """

    explanation: Explanation
    cost: int
