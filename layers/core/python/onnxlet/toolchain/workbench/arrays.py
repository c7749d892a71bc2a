"""Arrays: tensors by name with the same number of rows, read from a .npz file as numpy.savez writes it."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.workbench.directory import source_digest
from onnxlet.toolchain.workbench.table import Table, quoted, read_table
from onnxlet.values.tensors import Tensor

ZIP = b"PK"
"""The first bytes of a .npz file, which is a zip archive."""


@dataclass(frozen=True)
class Arrays:
    """Tensors by name; the first dimension of each is the number of rows."""

    name: str
    columns: Mapping[str, Tensor]
    rows: int
    digest: str = ""
    """The digest of the file, or of what the caller holds."""

    def column(self, name: str) -> list[str]:
        """The elements of the array [rows] as text. Raises InvalidInputError if there is no such array."""
        return [str(value) for value in self._flat(name).tolist()]

    def array(self, name: str) -> Tensor:
        """The array [rows, …]. Raises InvalidInputError if there is none."""
        if name not in self.columns:
            raise InvalidInputError(f"{self.name!r} has no array {name!r}; it has {quoted(self.columns)}", array=name)
        return self.columns[name]

    def wide(self, name: str) -> Tensor | None:
        """The array if it has more than one value per row."""
        tensor = self.array(name)
        return tensor if tensor.size != self.rows else None

    def numbers(self, name: str) -> Tensor:
        """The array [rows] as float64. Raises InvalidInputError if it holds texts."""
        flat = self._flat(name)
        if flat.dtype.kind == "O":
            raise InvalidInputError(f"the array {name!r} holds texts where numbers are needed", array=name)
        return flat.astype(np.float64)

    def _flat(self, name: str) -> Tensor:
        tensor = self.array(name)
        if tensor.size != self.rows:
            raise InvalidInputError(
                f"the array {name!r} has the shape {list(tensor.shape)} where [{self.rows}] is needed", array=name
            )
        return tensor.reshape(-1)


def read_data(path: Path) -> Table | Arrays:
    """Read a .npz file, or else a CSV file. Raises InvalidInputError for a file that is neither."""
    try:
        with path.open("rb") as file:
            magic = file.read(len(ZIP))
    except OSError as error:
        raise InvalidInputError(f"cannot read the data {str(path)!r}: {error.strerror}", path=str(path)) from error
    return read_arrays(path) if magic == ZIP else read_table(path)


def read_arrays(path: Path) -> Arrays:
    """Read a .npz file. Raises InvalidInputError for another file, pickled arrays and arrays of unequal length."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, AttributeError) as error:
        raise InvalidInputError(f"cannot read the arrays in {str(path)!r}: {error}", path=str(path)) from error
    return arrays_of(arrays, path.name, str(path), source_digest(path) or "")


def arrays_of(arrays: Mapping[str, Tensor], name: str, place: str, digest: str) -> Arrays:
    """The arrays by name, from `place`. Raises InvalidInputError if they are of unequal length."""
    counts = {len(tensor) if tensor.ndim else 0 for tensor in arrays.values()}
    if len(counts) != 1 or counts == {0}:
        raise InvalidInputError(
            f"the arrays in {place!r} must have one first dimension, which counts rows: "
            + ", ".join(f"{each!r} {list(tensor.shape)}" for each, tensor in arrays.items()),
            path=place,
        )
    texts = {each: tensor.astype(object) for each, tensor in arrays.items() if tensor.dtype.kind == "U"}
    return Arrays(name, {**arrays, **texts}, counts.pop(), digest)
