"""The month's plots: a line by day, the days on which something was planted and found, as SVG for the docs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

WIDTH, HEIGHT = 640, 180
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 24, 24
COLORS = ("#2563eb", "#d97706", "#059669")
PLANTED, FOUND = "#6b7280", "#dc2626"
_TICKS = 4


class Plot(NamedTuple):
    """Series by day, from day 1 on, from 0 to 1; None is a day without. `planted` and `found` are days."""

    title: str
    series: Mapping[str, Sequence[float | None]]
    planted: int
    found: int


def draw(plot: Plot) -> str:
    """It as SVG: plain marks, a white ground, no scripts and no fonts."""
    days = max(len(values) for values in plot.series.values())
    marks = "".join((*_scale(), *_days(days), *_events(plot, days), *_lines(plot, days)))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
        f' font-size="10" font-family="sans-serif"><title>{plot.title}</title>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>{marks}</svg>\n'
    )


def _x(day: float, days: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (day - 0.5) / days


def _y(value: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(value, 1.0)


def _scale() -> Iterator[str]:
    for tick in range(_TICKS + 1):
        value = tick / _TICKS
        y = _y(value)
        yield f'<path stroke="#e5e7eb" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 3:.1f}" text-anchor="end">{value:.3g}</text>'


def _days(days: int) -> Iterator[str]:
    for day in (1, *range(5, days + 1, 5)):
        yield f'<text x="{_x(day, days):.1f}" y="{HEIGHT - 8}" text-anchor="middle">day {day}</text>'


def _events(plot: Plot, days: int) -> Iterator[str]:
    for day, color, word, height in ((plot.planted, PLANTED, "begins", 10), (plot.found, FOUND, "found", 20)):
        x = _x(day, days)
        yield f'<path stroke="{color}" stroke-dasharray="4 3" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
        yield f'<text x="{x + 3:.1f}" y="{height}" fill="{color}">{word}</text>'


def _lines(plot: Plot, days: int) -> Iterator[str]:
    for place, (color, (name, values)) in enumerate(zip(COLORS, plot.series.items(), strict=False)):
        yield f'<text x="{LEFT + 120 * place}" y="10" fill="{color}">{name}</text>'
        path, pen = [], "M"
        for day, value in enumerate(values, start=1):
            if value is None:
                pen = "M"
            else:
                path.append(f"{pen}{_x(day, days):.1f} {_y(value):.1f}")
                pen = "L"
        yield f'<path fill="none" stroke="{color}" stroke-width="2" d="{"".join(path)}"/>'
