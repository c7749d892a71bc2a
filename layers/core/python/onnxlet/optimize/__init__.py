"""Optimize a converted model: 8-bit integers for its weights, where that is smaller, not slower and as good."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from onnxlet.manifest import Draft


def optimize(
    directory: Path,
    output: Path | None = None,
    *,
    data: Path | None = None,
    target: str | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> Draft:
    """Quantize the converted model in `directory` where that pays; write to `output`, or in its place.

    `data` is a CSV file with a header, better of rows that were held out: the answers are compared on it, and with a
    `target` column measured before and after. Without it there are just the golden rows to compare. The draft says what
    was done, or why nothing was. Raises InvalidInputError for no converted model, or one that is quantized already.
    """
    from onnxlet.optimize.optimization import Optimizing

    return Optimizing(directory, data, target, on_progress or _silent).write(output or directory)


def _silent(_: str) -> None:
    """Nobody listens."""
