"""Pictures in tables: a column that names their files, and what a version's own step makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.steps import Steps
from onnxlet.toolchain.workbench.table import Table, quoted
from onnxlet.values.signature import IMAGES, Signature
from onnxlet.values.tensors import Tensors

COLUMN = "image"
"""The column that names files, where there are several besides the targets."""


def picture_files(table: Table, targets: Sequence[str]) -> list[Path]:
    """The files of a table's rows, from its own folder on. Raises InvalidInputError where no column names them."""
    columns = [name for name in table.columns if name not in targets]
    if COLUMN not in columns and len(columns) != 1:
        raise InvalidInputError(
            f"{table.name!r} has the columns {quoted(columns)} besides the target: call the one that names the files "
            f"of pictures {COLUMN!r}"
        )
    folder = Path() if table.path is None else table.path.parent
    return [folder / cell for cell in table.column(COLUMN if COLUMN in columns else columns[0])]


def picture_bytes(files: Sequence[Path]) -> Iterator[bytes]:
    """Their contents, one by one. Raises InvalidInputError for one that cannot be read."""
    for row, file in enumerate(files, start=1):
        with naming_row(row):
            try:
                yield file.read_bytes()
            except OSError as error:
                raise InvalidInputError(f"the file cannot be read: {error.strerror}") from error


@contextmanager
def naming_row(row: int) -> Iterator[None]:
    """Say of which row's picture an error is; its file's name may be somebody's."""
    try:
        yield
    except InvalidInputError as error:
        raise InvalidInputError(f"row {row}: {error.detail}", row=row) from error


def read_pictures(table: Table, targets: Sequence[str], steps: Steps, graph: Signature) -> Tensors:
    """The graph's inputs for the pictures of a table's rows, as the steps make them. Raises InvalidInputError."""
    preprocessor = steps.preprocessor(IMAGES, graph)
    (name,) = steps.encoded
    rows: list[Tensors] = []
    for row, data in enumerate(picture_bytes(picture_files(table, targets)), start=1):
        sent: Tensors = {name: np.array([data], dtype=object)}
        with naming_row(row):
            rows.append(sent if preprocessor is None else preprocessor(sent))
    return {name: np.concatenate([each[name] for each in rows]) for name in rows[0]}
