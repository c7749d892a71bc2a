"""Plots as SVG: plain marks in one file, without scripts, fonts or colors from elsewhere. Terminals show none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 640, 220
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 34
_INNER = WIDTH - LEFT - RIGHT
_TALL = HEIGHT - TOP - BOTTOM
COLORS = ("#2563eb", "#d97706", "#059669", "#dc2626", "#7c3aed", "#0891b2", "#be185d", "#65a30d")
_TICKS = 4
_NAMES = 8
_GAP = 0.15


class Lines(NamedTuple):
    """Series over the days `at`, on a scale from 0 on; None is a gap. `floor` is a line that others are held to."""

    title: str
    at: Sequence[str]
    series: Mapping[str, Sequence[float | None]]
    floor: float | None = None

    def text(self) -> str:
        """Nothing: tables beside it tell the same."""
        return ""

    def html(self) -> str:
        """A figure; nothing without values."""
        values = [value for series in self.series.values() for value in series if value is not None]
        if not values:
            return ""
        top = max([*values, self.floor or 0.0]) * 1.05 or 1.0
        marks = [*_scale(top), *_names(self.at, ends=True)]
        if self.floor is not None:
            height = _height(self.floor, top)
            marks.append(f'<path stroke="#dc2626" stroke-dasharray="4 3" d="M{LEFT} {height:.1f}H{WIDTH - RIGHT}"/>')
        for color, series in zip(_colors(), self.series.values(), strict=False):
            places = [(_along(place, len(self.at)), value) for place, value in enumerate(series)]
            marks.extend(_line(places, top, color))
        return _figure(self.title, marks, self.series)


class Bars(NamedTuple):
    """Shares of named bins, one bar for each series beside each other; the series are counts."""

    title: str
    bins: Sequence[str]
    series: Mapping[str, Sequence[int]]

    def text(self) -> str:
        """Nothing: tables beside it tell the same."""
        return ""

    def html(self) -> str:
        """A figure; nothing without counts."""
        shares = {name: [count / (sum(counts) or 1) for count in counts] for name, counts in self.series.items()}
        top = max((share for series in shares.values() for share in series), default=0.0) * 1.05
        if not top:
            return ""
        step = _INNER / len(self.bins)
        width = step * (1 - _GAP) / len(shares)
        marks = [*_scale(top), *_names(self.bins)]
        for number, (color, (name, series)) in enumerate(zip(_colors(), shares.items(), strict=False)):
            for place, share in enumerate(series):
                left, height = LEFT + step * (place + _GAP / 2) + width * number, _height(share, top)
                told = escape(f"{self.bins[place]}: {share:.1%} ({name})")
                marks.append(
                    f'<rect x="{left:.1f}" y="{height:.1f}" width="{width:.1f}" height="{TOP + _TALL - height:.1f}"'
                    f' fill="{color}"><title>{told}</title></rect>'
                )
        return _figure(self.title, marks, shares)


def _figure(title: str, marks: Sequence[str], series: Mapping[str, object]) -> str:
    legend = "".join(
        f'<span style="color:{color}">■ {escape(name)}</span> ' for color, name in zip(_colors(), series, strict=False)
    )
    drawn = "".join(marks)
    return (
        f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img"'
        f' font-size="10" font-family="sans-serif"><title>{escape(title)}</title>{drawn}</svg>'
        f"<figcaption>{escape(title)}: {legend}</figcaption></figure>"
    )


def _colors() -> Iterator[str]:
    while True:
        yield from COLORS


def _height(value: float, top: float) -> float:
    return TOP + _TALL * (1 - value / top)


def _along(place: int, count: int) -> float:
    return LEFT + _INNER * (place + 0.5) / count


def _scale(top: float) -> Iterator[str]:
    for tick in range(_TICKS + 1):
        value = top * tick / _TICKS
        height = _height(value, top)
        yield f'<path stroke="#8884" d="M{LEFT} {height:.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text x="{LEFT - 6}" y="{height + 3:.1f}" text-anchor="end" fill="currentColor">{value:.2g}</text>'


def _names(names: Sequence[str], *, ends: bool = False) -> Iterator[str]:
    """Some of the names below the plot, as many as have room; with `ends` the last is among them."""
    every = max(1, -(-len(names) // _NAMES))
    chosen = {*range(0, len(names), every), *([len(names) - 1] if ends and every > 1 else [])}
    for place in sorted(chosen):
        yield (
            f'<text x="{_along(place, len(names)):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle"'
            f' fill="currentColor">{escape(names[place][:14])}</text>'
        )


def _line(places: Sequence[tuple[float, float | None]], top: float, color: str) -> Iterator[str]:
    """Points, and lines between those that follow each other."""
    before: tuple[float, float] | None = None
    for along, value in places:
        if value is None:
            before = None
            continue
        height = _height(value, top)
        yield f'<circle cx="{along:.1f}" cy="{height:.1f}" r="2.5" fill="{color}"/>'
        if before is not None:
            start = f"M{before[0]:.1f} {before[1]:.1f}"
            yield f'<path fill="none" stroke="{color}" stroke-width="1.5" d="{start}L{along:.1f} {height:.1f}"/>'
        before = along, height
