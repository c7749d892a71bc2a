"""Pictures in batch: rows that name files, in a column `image`, and lists of the files of a folder."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.values.tensors import Tensors

COLUMN = "image"
"""The column that names a picture's file, from the list's own folder on."""
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".dcm"})
MOST_BYTES = 256 * 2**20
"""Bytes of a picture's file."""
ROWS_AT_ONCE = 4
"""Pictures of the most pixels that the image step takes at once."""


class UnreadablePictureError(InvalidInputError):
    """A picture's file cannot be read. The words hold nothing of the row."""


def read_files(names: Tensors, folder: Path, encoded: str) -> Tensors:
    """What is in the files that a column names [N], for the input `encoded`. Raises UnreadablePictureError."""
    column = names[COLUMN].ravel()
    contents = np.empty(len(column), dtype=object)
    contents[:] = [_read_file(folder / str(name)) for name in column]
    return {encoded: contents}


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "this is no name of a file"
        raise UnreadablePictureError(f"the picture's file cannot be read: {reason}") from error
    if len(content) > MOST_BYTES:
        raise UnreadablePictureError(f"the picture's file has more than {MOST_BYTES:,} bytes")
    return content


def list_folder(folder: Path) -> bytes:
    """A list of the pictures in a folder and those below it, in the order of their names, as CSV.

    Raises InvalidInputError if there is none.
    """
    found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    names = sorted(path.relative_to(folder).as_posix() for path in found)
    if not names:
        raise InvalidInputError(f"there is no picture in the folder {str(folder)!r}")
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([(COLUMN,), *((name,) for name in names)])
    return text.getvalue().encode("utf-8", "surrogateescape")
