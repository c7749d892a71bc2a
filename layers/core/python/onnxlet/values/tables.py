"""Tables and lists of facts, as aligned text for terminals and as HTML for notebooks and reports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple, Protocol

from onnxlet.values.plain_text import escape as escape_control


class Table(NamedTuple):
    """Rows under the names of their columns."""

    head: Sequence[str]
    rows: Sequence[Sequence[object]]

    def text(self) -> str:
        """Aligned columns; nothing if there are no rows."""
        return format_table([name.upper() for name in self.head], self.rows)

    def html(self) -> str:
        """An HTML table, every cell escaped; nothing if there are no rows."""
        if not self.rows:
            return ""
        head = "".join(f"<th>{escape(name)}</th>" for name in self.head)
        rows = ("".join(f"<td>{_escape(cell)}</td>" for cell in row) for row in self.rows)
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


class Facts(NamedTuple):
    """Names and what they are; those without a value are not shown."""

    pairs: Sequence[tuple[str, object]]

    def text(self) -> str:
        """A line for each."""
        return format_facts(self.pairs)

    def html(self) -> str:
        """An HTML table of two columns, every cell escaped."""
        shown = [(name, value) for name, value in self.pairs if value not in {None, ""}]
        rows = "".join(f"<tr><th>{escape(name)}</th><td>{_escape(value)}</td></tr>" for name, value in shown)
        return f"<table><tbody>{rows}</tbody></table>" if rows else ""


class Block(Protocol):
    """What is shown of something, as text and as HTML; both are empty where there is nothing to show."""

    def text(self) -> str:
        """Lines for a terminal."""

    def html(self) -> str:
        """HTML for a notebook."""


def format_blocks(blocks: Iterable[Block], between: str = "\n\n") -> str:
    """The blocks as text, those that are empty left out."""
    return between.join(text for block in blocks if (text := block.text()))


def format_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns under their names, aligned: numbers to the right. No rows: an empty text. Each row is one line."""
    head = list(map(escape_control, head))
    lines = [["" if cell is None else escape_control(str(cell)) for cell in row] for row in rows]
    if not lines:
        return ""
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    right = [all(_is_number(cell) for cell in column if cell) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if flush_right else cell.ljust(width)
            for cell, width, flush_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in [head, *lines]
    )


def format_facts(pairs: Iterable[tuple[str, object]]) -> str:
    """Names and what they are, aligned, a line for each; pairs without a value are left out."""
    facts = [(escape_control(name), escape_control(str(value))) for name, value in pairs if value not in {None, ""}]
    width = max((len(name) for name, _ in facts), default=0)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in facts)


def format_size(count: int) -> str:
    """Bytes as people read them: `1.2 MB`."""
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:  # noqa: PLR2004 - what kilo means
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def _is_number(text: str) -> bool:
    return text.removeprefix("-").replace(".", "", 1).isdigit()


def _escape(cell: object) -> str:
    return "" if cell is None else escape(escape_control(str(cell)))
