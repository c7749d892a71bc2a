"""Charts as inline SVG in the page's colours, each with a title and a description for screen readers.

Texts of models and data are escaped here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

WIDTH = 640
LEFT = 150
RIGHT = 70
LINE = 22
LETTER = 6.8
"""The width of a letter, about."""

Pairs = Sequence[tuple[str, Sequence[float | None]]]


def bars(
    title: str,
    rows: Pairs,
    stages: Sequence[str],
    *,
    most: float,
    form: str = "{:.3f}",
    colour: int = 0,
    left: int = LEFT,
) -> str:
    """Horizontal bars from 0 to `most`: for each row one per stage.

    The first stage has the page's colour number `colour`. `form` formats values, `left` is the room for row names.
    """
    parts, top = [], 8.0
    across = (WIDTH - left - RIGHT) / (most or 1)
    thick = LINE * 0.8 / max(len(stages), 1) if len(stages) > 1 else LINE * 0.6
    for name, values in rows:
        parts.append(_text(left - 8, top + LINE * 0.65 + 2, name, anchor="end", room=left))
        for index, value in enumerate(values):
            if value is not None:
                width = max(value, 0) * across
                y = top + 3 + index * thick
                box = f'x="{left}" y="{y:.1f}" width="{width:.1f}" height="{thick - 1:.1f}"'
                parts.append(f'<rect class="s{index + colour}" {box}/>')
        shown = [value for value in values if value is not None]
        if shown:
            x = left + max(0.0, *shown) * across + 6
            parts.append(_text(x, top + LINE * 0.65 + 2, form.format(shown[-1])))
        top += LINE + 4
    described = "; ".join(f"{name}: " + ", ".join(_describe_values(stages, values, form)) for name, values in rows)
    return _figure(title, described, parts, top + 4, stages, colour=colour)


def whiskers(
    title: str, rows: Sequence[tuple[str, Sequence[tuple[float, float, float]]]], stages: Sequence[str]
) -> str:
    """Intervals: each row has its own scale, and on it a point (value, low, high) for each stage."""
    parts, top = [], 6.0
    for name, points in rows:
        low, high = min(point[1] for point in points), max(point[2] for point in points)
        span = (high - low) or abs(high) or 1.0
        middle = top + len(points) * 14 / 2
        parts.append(_text(LEFT - 8, middle + 5, name, anchor="end"))
        for index, (value, start, end) in enumerate(points):
            y = top + 7 + index * 14
            x, x1, x2 = (LEFT + 60 + (v - low) / span * (WIDTH - LEFT - RIGHT - 120) for v in (value, start, end))
            parts.append(f'<line class="l{index}" x1="{x1:.1f}" y1="{y:.1f}" x2="{x2:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<circle class="s{index}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>')
        parts.append(_text(LEFT + 52, middle + 5, f"{low:.4g}", anchor="end", kind="faint"))
        parts.append(_text(WIDTH - RIGHT - 52, middle + 5, f"{high:.4g}", kind="faint"))
        top += len(points) * 14 + 12
    described = "; ".join(
        f"{name}: "
        + ", ".join(f"{stage} {p[0]:.4g} ({p[1]:.4g} to {p[2]:.4g})" for stage, p in zip(stages, points, strict=True))
        for name, points in rows
    )
    return _figure(title, described, parts, top, stages)


def curve(title: str, lines: Mapping[str, Sequence[tuple[float, float]]], *, across: str, up: str) -> str:
    """Lines through points (x, y) of the unit square, and its diagonal; `across` and `up` name the axes."""
    side, left, top = 300, 60, 10
    parts = [
        f'<rect class="frame" x="{left}" y="{top}" width="{side}" height="{side}"/>',
        f'<line class="grid" x1="{left}" y1="{top + side}" x2="{left + side}" y2="{top}"/>',
    ]
    for tick in (0, 0.25, 0.5, 0.75, 1):
        parts.append(_text(left - 6, top + side * (1 - tick) + 4, f"{tick:g}", anchor="end", kind="faint"))
        parts.append(_text(left + side * tick, top + side + 16, f"{tick:g}", anchor="middle", kind="faint"))
    for index, points in enumerate(lines.values()):
        at = [(left + side * x, top + side * (1 - y)) for x, y in points]
        parts.append(f'<polyline class="l{index}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in at)}"/>')
        parts += [f'<circle class="s{index}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in at]
    parts.append(_text(left + side / 2, top + side + 34, across, anchor="middle", room=side))
    parts.append(
        f'<text transform="translate(16 {top + side / 2}) rotate(-90)" text-anchor="middle">{escape(up)}</text>'
    )
    described = "; ".join(
        f"{stage}: " + ", ".join(f"{y:.2f} at {x:.2f}" for x, y in points) for stage, points in lines.items()
    )
    return _figure(title, f"{up} by {across}. {described}", parts, top + side + 42, list(lines))


def _describe_values(stages: Sequence[str], values: Sequence[float | None], form: str) -> list[str]:
    pairs = zip(stages, values, strict=True)
    return [f"{stage} {form.format(value)}" for stage, value in pairs if value is not None]


def _text(x: float, y: float, text: str, *, anchor: str = "start", kind: str = "", room: int = LEFT) -> str:
    fitting = int(room / LETTER)
    shown = text if len(text) <= fitting else text[: fitting - 1] + "…"
    classed = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{classed}>{escape(shown)}</text>'


def _figure(
    title: str, described: str, parts: Sequence[str], height: float, stages: Sequence[str], *, colour: int = 0
) -> str:
    keys = "".join(
        f'<span><i class="s{index}"></i>{escape(stage)}</span>' for index, stage in enumerate(stages, colour)
    )
    legend = f'<p class="legend">{keys}</p>' if len(stages) > 1 else ""
    return (
        f'<figure><figcaption>{escape(title)}</figcaption>{legend}<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img">'
        f"<title>{escape(title)}</title><desc>{escape(described)}</desc>{''.join(parts)}</svg></figure>"
    )
