"""Cases: a model that a framework trains, saves and answers with, and rows that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SEED = 0


@dataclass(frozen=True)
class Fresh:
    """Rows that nobody chose, converted or judged by, and what the framework's own public call answers to them.

    `labels` are what a classifier predicts; `numbers` its probabilities [rows, classes], else what it predicts; or what
    methods give, by their names. Where a version gives several outputs, `numbers` name these.
    """

    rows: Any
    labels: Any = None
    numbers: Any = None


@dataclass(frozen=True)
class Trained:
    """A model in memory, or as its framework saved it. `alone` lets the framework answer one row."""

    source: Any
    data: Any
    target: Any
    alone: Callable[[], object]
    fresh: Fresh | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """What `onnxlet.toolchain.convert.convert` is told besides."""


@dataclass(frozen=True)
class Case:
    """One row of the table. `train` works in a folder of its own."""

    name: str
    framework: str
    data: str
    train: Callable[[Path], Trained]
    refused: str = ""
    """What a refusal says, of a model that must not be converted."""
    cause: str = ""
    """Why it misses the targets, should it, and what to do about that."""
