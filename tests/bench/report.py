"""The measured rows as Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from row import Row


def _parts(row: Row) -> str:
    shown = (f"{name} {part:.4g}" if isinstance(part, float) else f"{name} {part}" for name, part in row.parts.items())
    return ", ".join(text for text in shown if not text.endswith(" "))


def table(rows: Iterable[Row]) -> list[str]:
    """The table, a line per row."""
    lines = ["| # | what | measured | budget | kept |", "|---|---|---|---|---|"]
    for row in rows:
        bound = f"{'>=' if row.at_least else '<='} {row.budget:.3g}"
        lines.append(f"| {row.row} | {row.name} | {row.value:.3g} {row.unit} | {bound} | {'yes' if row.ok else 'NO'} |")
    return lines


def remaining(rows: Iterable[Row]) -> list[str]:
    """The figures behind each row: what remains between it and its floor or peer."""
    lines = ["## What is in the figures", ""]
    lines += [f"- **{row.row}, {row.name}**: {_parts(row)}" for row in rows if row.parts]
    return lines
