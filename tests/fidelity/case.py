"""Cases: a model that a framework trains, saves and answers with, and the rows that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SEED = 0


@dataclass(frozen=True)
class Trained:
    """A model as its framework saved it. `alone` lets the framework answer one row."""

    source: Path
    data: Path
    target: str | tuple[str, ...] | None
    alone: Callable[[], object]
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
