"""One reading: something that TensorBoard shows of a run at a step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from onnxlet.monitor.tensorboard.summaries import Value
from onnxlet.values.tables import Block, Facts, Table


class Reading(NamedTuple):
    """A value of a run; `at` is in seconds since the epoch."""

    run: str
    step: int
    at: float
    value: Value


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown, whatever its cells hold."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def markdown_block(block: Block) -> str:
    """A block of the report in Markdown; plots have no text."""
    if isinstance(block, Table):
        return markdown_table(block.head, block.rows) if block.rows else ""
    if isinstance(block, Facts):
        return "\n".join(f"- {_cell(name)}: {_cell(told)}" for name, told in block.pairs if told not in {None, ""})
    return block.text()


def _cell(value: object) -> str:
    told = "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
    return " ".join(told.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").split())
