"""The report's plots as pictures. Pillow draws them, which TensorBoard brings along."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any, NamedTuple

from onnxlet.errors import MissingExtraError
from onnxlet.monitor.report.plots import COLORS, Bars, Lines
from onnxlet.monitor.tensorboard.summaries import Picture
from onnxlet.values.tables import Block

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 44, 30
_INNER = WIDTH - LEFT - RIGHT
_FLOOR = HEIGHT - BOTTOM
_PAPER, _INK, _FAINT, _LIMIT = "#ffffff", "#222222", "#dddddd", "#dc2626"
_TICKS = 4
_LINE = 14
_LONGEST = 22
"""Characters of a name in the legend."""


class Drawn(NamedTuple):
    """A picture, and what it is of."""

    title: str
    picture: Picture


def draw_block(block: Block) -> Drawn | None:
    """A block of the report that is a plot, as a picture; None for any other. Raises MissingExtraError."""
    draw = PLOTS.get(type(block))
    return None if draw is None else draw(block)


def _draw_lines(plot: Lines) -> Drawn | None:
    values = [value for series in plot.series.values() for value in series if value is not None]
    if not values:
        return None
    canvas = _Canvas(plot.title, plot.series, max([*values, plot.floor or 0.0]) * 1.05 or 1.0)
    canvas.name_ends(plot.at)
    if plot.floor is not None:
        canvas.line([(LEFT, canvas.height(plot.floor)), (WIDTH - RIGHT, canvas.height(plot.floor))], _LIMIT)
    for color, series in zip(_colors(plot.series), plot.series.values(), strict=True):
        step = _INNER / len(series)
        run: list[tuple[float, float]] = []
        for place, value in enumerate([*series, None]):
            if value is not None:
                run.append((LEFT + step * (place + 0.5), canvas.height(value)))
                canvas.dot(*run[-1], color)
            elif run:
                canvas.line(run, color)
                run = []
    return Drawn(plot.title, canvas.picture())


def _draw_bars(plot: Bars) -> Drawn | None:
    shares = {name: [count / (sum(counts) or 1) for count in counts] for name, counts in plot.series.items()}
    top = max((share for series in shares.values() for share in series), default=0.0)
    if not top:
        return None
    canvas = _Canvas(plot.title, plot.series, top * 1.05)
    canvas.name_ends(plot.bins)
    step = _INNER / len(plot.bins)
    width = step * 0.85 / len(shares)
    for number, (color, series) in enumerate(zip(_colors(shares), shares.values(), strict=True)):
        for place, share in enumerate(series):
            left = LEFT + step * (place + 0.075) + width * number
            canvas.bar(left, width, share, color)
    return Drawn(plot.title, canvas.picture())


PLOTS: dict[type[Block], Callable[[Any], Drawn | None]] = {Lines: _draw_lines, Bars: _draw_bars}
"""Who draws what: another kind of plot is a line here."""


class _Canvas:
    """A white picture with a title, a legend, and a scale from 0 to `top`."""

    def __init__(self, title: str, names: Mapping[str, object], top: float) -> None:
        try:
            from PIL import Image, ImageDraw, ImageFont
        except ImportError as error:
            raise MissingExtraError(
                "plots need Pillow: pip install 'onnxlet[tensorboard]'", extra="tensorboard"
            ) from error
        self._image: Any = Image.new("RGB", (WIDTH, HEIGHT), _PAPER)
        self._font: Any = ImageFont.load_default(size=11)
        self._draw: Any = ImageDraw.Draw(self._image)
        self._top = top
        self._write(LEFT, 6, title)
        for tick in range(_TICKS + 1):
            y = self.height(top * tick / _TICKS)
            self.line([(LEFT, y), (WIDTH - RIGHT, y)], _FAINT)
            self._write(6, y - 6, f"{top * tick / _TICKS:.2g}")
        x = float(LEFT)
        for color, name in zip(_colors(names), names, strict=True):
            shown = name[:_LONGEST]
            self._write(x, 6 + _LINE, shown, color)
            x += self._draw.textlength(shown, font=self._font) + _LINE

    def height(self, value: float) -> float:
        """Where a value lies."""
        return _FLOOR - (_FLOOR - TOP) * value / self._top

    def name_ends(self, names: Sequence[str]) -> None:
        """Write the first and the last name below."""
        self._write(LEFT, _FLOOR + 6, names[0])
        if len(names) > 1:
            self._write(WIDTH - RIGHT - self._draw.textlength(names[-1], font=self._font), _FLOOR + 6, names[-1])

    def line(self, places: Sequence[tuple[float, float]], color: str) -> None:
        """Draw a line through places."""
        self._draw.line(places, fill=color, width=2 if color not in {_FAINT, _LIMIT} else 1)

    def dot(self, x: float, y: float, color: str) -> None:
        """Draw a place."""
        self._draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=color)

    def bar(self, left: float, width: float, value: float, color: str) -> None:
        """Draw a bar from 0 on."""
        self._draw.rectangle((left, self.height(value), left + width, _FLOOR), fill=color)

    def picture(self) -> Picture:
        """What was drawn."""
        out = BytesIO()
        self._image.save(out, format="PNG")
        return Picture(self._image.width, self._image.height, out.getvalue())

    def _write(self, x: float, y: float, words: str, color: str = _INK) -> None:
        self._draw.text((x, y), words, fill=color, font=self._font)


def _colors(names: Mapping[str, object]) -> list[str]:
    return [COLORS[place % len(COLORS)] for place in range(len(names))]
