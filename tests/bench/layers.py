"""Row 12: what the built layers and functions weigh, unzipped."""

from __future__ import annotations

from pathlib import Path

from cold import BUILD
from row import Row

FUNCTIONS = {
    "Predict": ("CoreLayer", "EngineLayer", "MediaLayer"),
    "Api": ("CoreLayer", "WebLayer"),
    "Score": ("CoreLayer", "EngineLayer", "TabularLayer", "MediaLayer"),
}


def _megabytes(directory: Path) -> float:
    return sum(file.lstat().st_size for file in directory.rglob("*") if not file.is_dir()) / 1e6


def layer_rows() -> list[Row]:
    """Row 12, from the last `make build`."""
    if not BUILD.is_dir():
        raise RuntimeError("nothing is built: run 'make build' first")
    parts = {
        name: _megabytes(BUILD / name) for name in sorted({part for parts in FUNCTIONS.values() for part in parts})
    }
    functions = {
        name: _megabytes(BUILD / name) + sum(parts[layer] for layer in layers) for name, layers in FUNCTIONS.items()
    }
    return [
        Row(12, "core + engine layers", parts["CoreLayer"] + parts["EngineLayer"], 116, "MB", parts={**parts}),
        # 33.1 MiB
        Row(12, "tabular layer", parts["TabularLayer"], 35, "MB"),
        Row(12, "media layer", parts["MediaLayer"], 31, "MB"),
        Row(12, "largest function with its layers", max(functions.values()), 180, "MB", parts={**functions}),
    ]
