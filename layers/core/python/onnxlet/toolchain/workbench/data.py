"""Data: what a tool is given rows by, be it a file or what the caller holds: a DataFrame, an array, arrays by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.workbench.arrays import Arrays, arrays_of, read_data
from onnxlet.toolchain.workbench.table import Table, quoted
from onnxlet.toolchain.workbench.truth import targets_of
from onnxlet.values.digests import parts_digest
from onnxlet.values.tensors import Tensor

HELD = "the data"
"""What data in memory are called in messages."""
TARGET = "target"
"""The name of a target that was given as values without a name."""
TEXT = "text"
"""The name of a column of texts that was given without one."""
PAIR = (TEXT, "text_pair")
"""The names of two columns of texts that were given without any, as transformers calls them."""
MATRIX = 2


class DataFrame(Protocol):
    """What is used of pandas' DataFrame."""

    columns: Any
    iloc: Any

    def to_numpy(self, dtype: Any = None) -> Tensor:
        """The values [rows, columns]."""


Data = Path | Table | Arrays | DataFrame | Tensor | Mapping[str, Any] | Sequence[str]
"""A CSV or .npz file, a DataFrame, an array [rows, columns], arrays by name, or texts."""
Target = Any
"""Names of columns, or values: an array [rows] or [rows, targets], a pandas Series or DataFrame."""
Judge = Data | tuple[Data, Target]
"""Rows that only judge, with their target in them, or beside them."""


def open_data(
    data: Data, target: Target, names: Sequence[str] = (), *, tensors: bool = False
) -> tuple[Table | Arrays, tuple[str, ...]]:
    """The rows, and the names of the targets among their columns.

    Values of targets are put beside the columns. `names` are those that a model has for its features or inputs, for
    arrays that come without. `tensors`: the model reads tensors, so arrays by name stay such. Raises InvalidInputError
    for what holds no rows, and for columns of unequal length.
    """
    given = _is_values(target)
    if isinstance(data, Path | Table | Arrays):
        cells = read_data(data) if isinstance(data, Path) else data
        if given:
            raise InvalidInputError("data from a file have their target in it: name its column")
        return cells, targets_of(target)
    texts = _texts_of(data)
    if tensors and not _is_frame(data) and texts is None and not _are_columns_of_texts(data, names):
        return _open_arrays(data, target, names)
    if texts is not None:
        own = names if len(names) == texts.shape[1] and not tensors else ()
        names = own or (PAIR if texts.shape[1] > 1 else (str(getattr(data, "name", None) or TEXT),))
        data = texts
    frame = _own_frame(data, names)
    columns = dict(zip(_column_names(frame, names), _columns_of(frame), strict=True))
    values = _named_values(target, columns) if given else {}
    cells = _table(columns | values, frame)
    return cells, tuple(values) if given else targets_of(target)


def open_judge(judge: Judge, target: Target) -> tuple[Data, Target]:
    """Rows that only judge, and the target in them, which is named as in the other rows, or given beside them.

    Raises InvalidInputError where the target is given as values, and that of these rows is not.
    """
    if isinstance(judge, tuple):
        return judge
    if _is_values(target):
        raise InvalidInputError("the target is given as values: give judge=(rows, target) as well")
    return judge, target


def _is_values(target: Target) -> bool:
    """Whether the target is given by its values rather than by name."""
    if target is None or isinstance(target, str):
        return False
    return not isinstance(target, list | tuple) or any(not isinstance(each, str) for each in target)


def _is_frame(data: Any) -> bool:
    return hasattr(data, "columns") and hasattr(data, "iloc")


def _texts_of(data: Any) -> Any:
    """Texts [rows, 1], be they in a list, an array or a pandas Series; pairs [rows, 2] of them; None for all else."""
    if _is_frame(data) or isinstance(data, Mapping | str) or not len(data):
        return None
    if all(isinstance(text, str) for text in data):
        return np.asarray(data, dtype=object)[:, None]
    if all(
        isinstance(row, tuple) and len(row) == len(PAIR) and all(isinstance(text, str) for text in row) for row in data
    ):
        return np.array(data, dtype=object)
    return None


def _are_columns_of_texts(data: Any, names: Sequence[str]) -> bool:
    """Whether these are columns by other names than those of the inputs, and hold texts."""
    if not names or not isinstance(data, Mapping) or not set(names).isdisjoint(map(str, data)):
        return False
    return any(np.asarray(column).dtype.kind in "OU" for column in data.values())


def _own_frame(data: Any, names: Sequence[str]) -> Any:
    """The DataFrame or the matrix that holds the columns."""
    if _is_frame(data):
        return data
    if isinstance(data, Mapping):
        import pandas as pd

        try:
            return pd.DataFrame(dict(data))
        except ValueError as error:
            raise InvalidInputError(f"the arrays do not make a table of columns: {error}") from error
    matrix = np.asarray(data)
    if matrix.ndim != MATRIX or not len(matrix):
        raise InvalidInputError(
            f"the data have the shape {list(matrix.shape)} where [rows, columns] are needed: give a DataFrame, an "
            "array with two dimensions, or arrays by name"
        )
    if names and matrix.shape[1] != len(names):
        raise InvalidInputError(
            f"the data have {matrix.shape[1]} columns, the model has {len(names)} features: {quoted(names)}"
        )
    return matrix


def _column_names(frame: Any, names: Sequence[str]) -> list[str]:
    if not _is_frame(frame):
        return list(names) or [f"x{index}" for index in range(frame.shape[1])]
    spelled = [str(name) for name in frame.columns]
    if len(set(spelled)) != len(spelled):
        # by their places: where the header is missing, names are somebody's values
        place = next(place for place, name in enumerate(spelled) if name in spelled[:place])
        raise InvalidInputError(f"columns {spelled.index(spelled[place]) + 1} and {place + 1} have the same name")
    return spelled


def _columns_of(frame: Any) -> Iterator[Any]:
    for index in range(frame.shape[1]):
        yield frame.iloc[:, index] if _is_frame(frame) else frame[:, index]


def _named_values(target: Any, columns: Mapping[str, Any]) -> dict[str, Any]:
    """The values of targets by name: their own where they have some that no column has."""
    if _is_frame(target):
        named = dict(zip(_column_names(target, ()), _columns_of(target), strict=True))
    else:
        values = np.asarray(target)
        own = getattr(target, "name", None)
        wide = values.ndim == MATRIX and values.shape[1] > 1
        each = values.T if wide else [values.reshape(-1)]
        named = {f"{TARGET}{index}" if wide else str(own or TARGET): column for index, column in enumerate(each)}
    return {_free_name(name, columns): column for name, column in named.items()}


def _free_name(name: str, taken: Mapping[str, Any]) -> str:
    while name in taken:
        name += "_"
    return name


def _table(columns: Mapping[str, Any], frame: Any) -> Table:
    """Cells as a CSV file would hold them, beside the caller's own values. Raises InvalidInputError."""
    cells = {name: [_cell(value) for value in _values(column)] for name, column in columns.items()}
    counts = {name: len(column) for name, column in cells.items()}
    if len(set(counts.values())) > 1:
        raise InvalidInputError(
            f"data and target differ in length: {', '.join(f'{name!r} {count}' for name, count in counts.items())}"
        )
    rows = next(iter(counts.values()), 0)
    if not rows:
        raise InvalidInputError("the data hold no rows")
    return Table(HELD, cells, rows, _digest(cells), own=frame)


def _values(column: Any) -> Iterable[Any]:
    """Plain Python values: a Series of any type, or an array."""
    listed: Iterable[Any] = column.tolist()
    return listed


def _cell(value: Any) -> str:
    """A value as text; a missing one is empty."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return ""
    if isinstance(value, float):
        return "" if np.isnan(value) else repr(float(value))
    return str(value)


def _open_arrays(data: Any, target: Target, names: Sequence[str]) -> tuple[Arrays, tuple[str, ...]]:
    """Tensors by the names of a model's inputs."""
    if isinstance(data, Mapping):
        arrays = {str(name): np.asarray(tensor) for name, tensor in data.items()}
    elif len(names) == 1:
        arrays = {names[0]: np.asarray(data)}
    else:
        raise InvalidInputError(f"the model has several inputs: give arrays by name, for {quoted(names)}")
    given = _is_values(target)
    values = _arrays_of_targets(target, arrays) if given else {}
    together = arrays | values
    digest = parts_digest(part for name in sorted(together) for part in _bytes_of(name, together[name]))
    return arrays_of(together, HELD, HELD, digest), tuple(values) if given else targets_of(target)


def _arrays_of_targets(target: Target, arrays: Mapping[str, Any]) -> dict[str, Tensor]:
    """The values of targets by name; an array of several values per row stays one."""
    values = np.asarray(target)
    if not _is_frame(target) and values.size > len(values):
        return {_free_name(TARGET, arrays): values}
    return {name: np.asarray(column) for name, column in _named_values(target, arrays).items()}


def _bytes_of(name: str, tensor: Tensor) -> tuple[bytes, ...]:
    texts = tensor.dtype.kind in "OU"
    content = "\0".join(map(str, tensor.ravel().tolist())).encode() if texts else np.ascontiguousarray(tensor).tobytes()
    return f"{name} {tensor.dtype} {tensor.shape}\n".encode(), content


def _digest(cells: Mapping[str, list[str]]) -> str:
    return parts_digest("\0".join([name, *column, ""]).encode() for name, column in cells.items())
