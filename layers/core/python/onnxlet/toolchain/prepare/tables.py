"""Tables for explanations, made of the very graph that is published: what a method keeps that knows a kind of model."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import onnx

from onnxlet.explain.background import decode_background
from onnxlet.explain.document import read_document, write_document
from onnxlet.steps import Steps
from onnxlet.values.keys import EXPLAIN
from onnxlet.values.manifest import Draft
from onnxlet.values.tensors import Tensors

TABLES: dict[str, str] = {
    "linear": "onnxlet.toolchain.prepare.linear.table",
    "trees": "onnxlet.toolchain.prepare.trees.table",
}
"""By the word that a manifest keeps a table under: the module whose `build` makes it, or tells why not."""
MOST_BYTES = 2**29
"""Graphs that are larger are networks, which no table is made of."""


class Built(NamedTuple):
    """A table, as the manifest keeps it, and its artifacts by name; names begin with `explain.`."""

    table: dict[str, Any]
    artifacts: dict[str, bytes]


class Published(NamedTuple):
    """What a table is made of: the graph as it is published, where it lies, the steps around it, and the background's
    rows, columns by name; None if there is no background.
    """

    model: onnx.ModelProto
    path: Path
    draft: Draft
    steps: Steps
    background: Tensors | None


def add_tables(
    draft: Draft, steps: Steps, graph: Path, background: Path | None, folder: Path
) -> tuple[Draft, dict[str, Path]]:
    """The draft with the tables that can be made, and their files, which are written into the folder.

    Where none can be made of a model that is of its kind, a note says why.
    """
    if graph.stat().st_size > MOST_BYTES:
        return draft, {}
    rows = None if background is None else decode_background(background.read_bytes())
    published = Published(onnx.load(graph), graph, draft, steps, rows)
    document, files = read_document(draft.explanations), dict[str, Path]()
    reasons: list[str] = []
    tables = {}
    for name, module in TABLES.items():
        built: Built | str | None = import_module(module).build(published)
        if not isinstance(built, Built):
            reasons += [] if built is None else [built]
            continue
        tables[name] = built.table
        for path, contents in built.artifacts.items():
            if not path.startswith(EXPLAIN):
                raise ValueError(f"an artifact of explanations begins with {EXPLAIN!r}, which {path!r} does not")
            files[path] = folder / path
            files[path].write_bytes(contents)
    draft = msgspec.structs.replace(draft, notes=(*draft.notes, *reasons))
    if not tables:
        return draft, {}
    document = msgspec.structs.replace(document, tables=tables)
    return msgspec.structs.replace(draft, explanations=write_document(document)), files
