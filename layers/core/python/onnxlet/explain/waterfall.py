"""Waterfalls: from the expected value to the answer, a bar for each column. The SVG needs no font and no script.

Texts of models and data are escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from onnxlet.errors import MissingExtraError
from onnxlet.values.plain_text import escape as escape_control

MOST_BARS = 12
"""Columns with a bar of their own; the others share one."""
WIDTH, LEFT, RIGHT, LINE = 680, 230, 90, 24
LONGEST = 32
"""Characters of a label."""
_UP, _DOWN, _GREY = "#b2182b", "#2166ac", "#666666"


class Bar(NamedTuple):
    """A column, its value in the row as people read it, its attribution, and half of its interval if there is one."""

    name: str
    value: str
    attribution: float
    half: float | None = None


class Waterfall(NamedTuple):
    """What is drawn of one row and class."""

    title: str
    unit: str
    bars: Sequence[Bar]
    expected: float
    prediction: float

    def shown(self) -> list[Bar]:
        """The bars, the largest first."""
        return _largest(self.bars)

    def ends(self) -> list[float]:
        """Where these begin, and where the last ends."""
        return list(accumulate((bar.attribution for bar in self.shown()), initial=self.expected))


def draw_waterfall(waterfall: Waterfall) -> str:
    """It as SVG."""
    title, unit, _, expected, prediction = waterfall
    shown, ends = waterfall.shown(), waterfall.ends()
    low, high = min(*ends, prediction), max(*ends, prediction)
    scale = (WIDTH - LEFT - RIGHT) / ((high - low) or 1.0)

    def place(value: float) -> float:
        return LEFT + (value - low) * scale

    parts = [_text(8, 18, title, weight="bold"), _marked(place(expected), 30, f"expected {expected:.4g}")]
    top = 52
    for bar, start in zip(shown, ends, strict=False):
        stop = start + bar.attribution
        colour = _UP if bar.attribution > 0 else _DOWN
        left, width = min(place(start), place(stop)), abs(place(stop) - place(start))
        label = bar.name if not bar.value else f"{bar.name} = {bar.value}"
        parts.append(_text(LEFT - 8, top + 14, _short(label), anchor="end"))
        parts.append(
            f'<rect x="{left:.1f}" y="{top + 3}" width="{max(width, 0.5):.1f}" height="{LINE - 8}" fill="{colour}"/>'
        )
        if bar.half is not None:
            parts.append(_whisker(place(stop), bar.half * scale, top + LINE / 2 - 1))
        parts.append(_text(max(place(start), place(stop)) + 5, top + 14, f"{bar.attribution:+.3g}", colour=colour))
        top += LINE
    parts.append(_marked(place(prediction), top + 8, f"answer {prediction:.4g} ({unit})"))
    height = top + 36
    described = "; ".join(f"{bar.name} {bar.attribution:+.3g}" for bar in shown)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" font-family="sans-serif" font-size="12"><title>{_plain(title)}</title>'
        f"<desc>expected {expected:.4g}; {_plain(described)}; answer {prediction:.4g}</desc>"
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>{"".join(parts)}</svg>'
    )


def plot_waterfall(waterfall: Waterfall, path: Path) -> None:
    """It as a PNG, by matplotlib. Raises MissingExtraError where that is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(
            "PNG is drawn by matplotlib, which is not installed: pip install matplotlib, or draw .svg"
        ) from error
    shown, ends = waterfall.shown(), waterfall.ends()
    figure = Figure(figsize=(8, 1.2 + 0.3 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    colours = [_UP if bar.attribution > 0 else _DOWN for bar in shown]
    labels = [_short(f"{bar.name} = {bar.value}" if bar.value else bar.name) for bar in shown]
    axes.barh(range(len(shown)), [bar.attribution for bar in shown], left=ends[:-1], color=colours)
    axes.set_yticks(range(len(shown)), labels)
    axes.invert_yaxis()
    axes.axvline(waterfall.expected, color=_GREY, linewidth=0.8)
    axes.set_xlabel(f"{waterfall.expected:.4g} expected, {waterfall.prediction:.4g} answered, in {waterfall.unit}")
    axes.set_title(waterfall.title)
    figure.savefig(path)


def _largest(bars: Sequence[Bar]) -> list[Bar]:
    ordered = sorted(bars, key=lambda bar: -abs(bar.attribution))
    if len(ordered) <= MOST_BARS:
        return ordered
    rest = ordered[MOST_BARS - 1 :]
    others = Bar(f"{len(rest)} other columns", "", sum(bar.attribution for bar in rest))
    return [*ordered[: MOST_BARS - 1], others]


def _marked(x: float, y: float, text: str) -> str:
    anchor = "start" if x < WIDTH / 2 else "end"
    line = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y}" y2="{y + 18}" stroke="{_GREY}"/>'
    return line + _text(x + (5 if anchor == "start" else -5), y + 12, text, anchor=anchor, colour=_GREY)


def _whisker(x: float, half: float, y: float) -> str:
    return f'<line x1="{x - half:.1f}" x2="{x + half:.1f}" y1="{y}" y2="{y}" stroke="black" stroke-width="1.5"/>'


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", colour: str = "black", weight: str = "normal"
) -> str:
    look = f'text-anchor="{anchor}" fill="{colour}" font-weight="{weight}"'
    return f'<text x="{x:.1f}" y="{y}" {look}>{_plain(text)}</text>'


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _plain(text: str) -> str:
    return escape(escape_control(text))
