"""What callers hand over (data frames, arrays, columns, records) as the bodies of TensorFlow Serving requests.

Columns travel whole (`inputs`), which is the shortest; where cells are missing, as one object a row (`instances`),
because only there null means a missing value.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from onnxlet.client.metadata import Metadata
from onnxlet.errors import InvalidInputError
from onnxlet.values.signature import COLUMNS, IMAGES, SERVING_DEFAULT, TensorSpec
from onnxlet.values.spelling import did_you_mean_each
from onnxlet.values.tensors import Tensor

MATRIX = 2
"""Dimensions of a table."""

_EXACT = 2**53
"""Below this a whole float is certainly the integer that was meant."""
_JSON_KINDS = "biufOUST"
"""Kinds of numpy arrays whose elements JSON can say."""
_NAMED = 5
"""Names that an error lists."""


class Rows(ABC):
    """What requests are made of. `signature` is the one that the rows are for."""

    count: int
    signature: str
    most: int | None = None
    """Rows of a request at most, where their bytes are not all that counts."""

    @abstractmethod
    def part(self, start: int, stop: int) -> dict[str, Any]:
        """The member of a request with the rows from `start` to `stop`."""

    def body(self, start: int, stop: int) -> bytes:
        """The request with those rows. Raises InvalidInputError for values that JSON cannot say."""
        return _encode({"signature_name": self.signature, **self.part(start, stop)})


class TensorRows(Rows):
    """The rows of the one tensor that a model takes."""

    def __init__(self, tensor: Tensor, spec: TensorSpec) -> None:
        if not tensor.ndim:
            raise InvalidInputError("this is a single value: pass an array or a list, with one entry per row")
        self.count, self.signature = len(tensor), SERVING_DEFAULT
        self._tensor = _cast(tensor, spec)

    def part(self, start: int, stop: int) -> dict[str, Any]:
        """A slice of the tensor."""
        return {"inputs": self._tensor[start:stop]}


class ColumnRows(Rows):
    """Rows of columns by name, or of several tensors, for a signature with the inputs `specs`."""

    def __init__(
        self, columns: Mapping[str, Tensor], signature: str, specs: Sequence[TensorSpec], *, nullable: bool
    ) -> None:
        by_name = {spec.name: spec for spec in specs}
        unknown = [name for name in columns if name not in by_name]
        if unknown:
            raise _unknown_names(unknown, columns, by_name)
        single = [name for name, column in columns.items() if not column.ndim]
        if single:
            raise InvalidInputError(f"{_name_some(single)} is a single value: pass a list, with one entry per row")
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) > 1:
            raise InvalidInputError(f"the columns differ in length: {lengths}")
        self.count, self.signature = next(iter(lengths.values()), 0), signature
        self._columns = {name: _cast(column, by_name[name]) for name, column in columns.items()}
        self._missing = {name: _find_missing(column) for name, column in columns.items() if nullable}

    def part(self, start: int, stop: int) -> dict[str, Any]:
        """A slice of each column; an object for each row if a cell of these rows is missing."""
        columns = {name: column[start:stop] for name, column in self._columns.items()}
        missing = {name: mask[start:stop] for name, mask in self._missing.items() if mask[start:stop].any()}
        if not missing:
            return {"inputs": columns}
        cells = [_cells(column, missing.get(name)) for name, column in columns.items()]
        return {"instances": [dict(zip(columns, row, strict=True)) for row in zip(*cells, strict=True)]}


class InstanceRows(Rows):
    """Rows as TensorFlow Serving's `instances` have them; what an object leaves out has its default on the server."""

    def __init__(self, instances: Sequence[Any], signature: str) -> None:
        self.count, self.signature = len(instances), signature
        self._instances = instances

    def part(self, start: int, stop: int) -> dict[str, Any]:
        """Some of the rows."""
        return {"instances": self._instances[start:stop]}


class PictureRows(Rows):
    """Pictures, as bytes or files, for the one input that takes them."""

    most = 8

    def __init__(self, pictures: Sequence[bytes | str | Path]) -> None:
        self.count, self.signature = len(pictures), IMAGES
        self._pictures = pictures

    def part(self, start: int, stop: int) -> dict[str, Any]:
        """Some of them, read now. Raises InvalidInputError for a file that cannot be read."""
        return {"instances": [_read_picture(picture) for picture in self._pictures[start:stop]]}


def read_rows(X: Any, metadata: Metadata) -> Rows:  # noqa: ANN401, N803 - whatever scikit-learn takes, by its name there
    """The rows of a data frame, an array, columns by name, or a list of rows, of records, or of pictures.

    Raises InvalidInputError for anything else.
    """
    if hasattr(X, "columns") and hasattr(X, "__getitem__"):
        return _read_columns(_split_frame(X), metadata)
    if isinstance(X, Mapping):
        return _read_columns({str(name): _to_array(column) for name, column in X.items()}, metadata)
    listed = isinstance(X, Sequence) and not isinstance(X, str | bytes)
    if listed and X and IMAGES in metadata.signatures and all(isinstance(row, bytes | str | Path) for row in X):
        return PictureRows(X)
    if listed and X and all(isinstance(row, Mapping) for row in X):
        return _read_records(X, metadata)
    if listed or hasattr(X, "__array__"):
        return _read_array(_to_array(X), metadata)
    raise InvalidInputError(f"rows are a DataFrame, an array, a dict of columns or a list, not {type(X).__name__!r}")


def _split_frame(frame: Any) -> dict[str, Tensor]:  # noqa: ANN401 - pandas, polars
    names = list(frame.columns)
    if not all(isinstance(name, str) for name in names):
        raise InvalidInputError(
            "the frame's columns have no names: pass frame.to_numpy() for rows in the model's own order"
        )
    if len(set(names)) < len(names):
        raise InvalidInputError("two columns of the frame have the same name")
    return {name: _to_array(frame[name]) for name in names}


def _read_records(records: Sequence[Mapping[str, Any]], metadata: Metadata) -> Rows:
    signature = _choose_signature(records[0], metadata)
    known = [spec.name for spec in metadata.signatures[signature].inputs]
    if records[0] and set(known).isdisjoint(records[0]):
        raise _unknown_names(list(records[0]), records[0], known)
    if not _takes_null(signature, metadata):
        return InstanceRows([dict(record) for record in records], signature)
    clean = [{name: None if _is_missing(cell) else cell for name, cell in record.items()} for record in records]
    return InstanceRows(clean, signature)


def _read_columns(columns: Mapping[str, Tensor], metadata: Metadata) -> Rows:
    signature = _choose_signature(columns, metadata)
    specs = metadata.signatures[signature].inputs
    return ColumnRows(columns, signature, specs, nullable=_takes_null(signature, metadata))


def _read_array(array: Tensor, metadata: Metadata) -> Rows:
    """Rows in the model's own order; by name where a model that has names would need them for missing cells."""
    columns, inputs = metadata.columns, metadata.inputs
    if columns and array.ndim == MATRIX and (len(inputs) > 1 or _find_missing(array).any()):
        if array.shape[1] != len(columns):
            raise InvalidInputError(f"the model takes {len(columns)} columns, these rows have {array.shape[1]}")
        named = {spec.name: array[:, place] for place, spec in enumerate(columns)}
        return ColumnRows(named, COLUMNS, columns, nullable=True)
    if len(inputs) > 1:
        named_inputs = _name_some(spec.name for spec in inputs)
        raise InvalidInputError(f"the model takes {named_inputs}: pass a dict with an array for each")
    return TensorRows(array, inputs[0])


def _choose_signature(names: Iterable[str], metadata: Metadata) -> str:
    """The signature that these names are for: the first that takes one of them, else the columns."""
    given = set(names)
    known = (
        name for name, signature in metadata.signatures.items() if given & {spec.name for spec in signature.inputs}
    )
    return next(known, COLUMNS if metadata.columns else SERVING_DEFAULT)


def _takes_null(signature: str, metadata: Metadata) -> bool:
    """Whether the server takes null for a missing value: in columns, but not in tensors, where there is NaN."""
    return bool(metadata.columns) and metadata.signatures[signature].inputs == metadata.columns


def _unknown_names(unknown: Sequence[str], given: Iterable[str], known: Iterable[str]) -> InvalidInputError:
    """The error for names that the model does not know. They are quoted only beside one that it knows: without a header
    they are somebody's values.
    """
    takes = list(known)
    names = _name_some(unknown) if not set(takes).isdisjoint(given) else f"any of these {len(unknown)} names"
    return InvalidInputError(
        f"the model does not know {names}, only {_name_some(takes)}{did_you_mean_each(takes, unknown)}"
    )


def _name_some(names: Iterable[str]) -> str:
    shown = list(islice(names, _NAMED + 1))
    return ", ".join(map(repr, shown[:_NAMED])) + (" …" if len(shown) > _NAMED else "")


def _read_picture(picture: bytes | str | Path) -> bytes:
    if isinstance(picture, bytes):
        return picture
    try:
        return Path(picture).read_bytes()
    except OSError as error:
        raise InvalidInputError(f"cannot read the picture {str(picture)!r}: {error.strerror}") from error


# --- cells ------------------------------------------------------------------------------------------------------------


def _to_array(values: Any) -> Tensor:  # noqa: ANN401 - a list, an array, a column of a frame
    """The values as an array. Those of a list stay what they are: numpy would find one type for all of them."""
    array: Tensor = np.asarray(values, dtype=None if hasattr(values, "__array__") else object)
    if array.dtype.kind not in _JSON_KINDS:
        raise InvalidInputError(f"no model takes values of type {array.dtype}: make numbers or texts of them")
    return array


def _find_missing(array: Tensor) -> Tensor:
    """Where the array holds NaN, None or pandas' NA."""
    if array.dtype.kind == "f":
        return np.isnan(array)
    if array.dtype.kind == "O":
        return np.array([_is_missing(value) for value in array.ravel()], dtype=bool).reshape(array.shape)
    return np.zeros(array.shape, dtype=bool)


def _is_missing(value: object) -> bool:
    if isinstance(value, float | np.floating):
        return bool(np.isnan(value))
    return value is None or type(value).__name__ in {"NAType", "NaTType"}


def _cast(array: Tensor, spec: TensorSpec) -> Tensor:
    """Numbers as JSON must say them for a datatype: whole floats as integers, truth values as 0 and 1.

    In a data frame a column of integers is one of floats as soon as a cell is missing.
    """
    kind = spec.type.kind
    if array.dtype.kind == "b" and kind in "if":
        return array.astype(np.int8)
    if array.dtype.kind == "f" and kind == "i":
        present = array[~np.isnan(array)]
        if (np.abs(present) < _EXACT).all() and (present == np.trunc(present)).all():
            return np.nan_to_num(array).astype(np.int64)
    return array


def _cells(column: Tensor, missing: Tensor | None) -> list[Any]:
    """The elements, None where one is missing."""
    cells: list[Any] = column.tolist()
    return cells if missing is None else [None if gone else cell for cell, gone in zip(cells, missing, strict=True)]


# --- JSON -------------------------------------------------------------------------------------------------------------


def _encode(document: dict[str, Any]) -> bytes:
    """The document as JSON; numbers have the digits that read back to the same value, NaN and Infinity are words."""
    try:
        inputs = document.get("inputs")
        if inputs is not None and all(map(_is_plain, inputs.values() if isinstance(inputs, dict) else [inputs])):
            # numpy arrays straight, single precision with its own few digits; but it knows no NaN and no Infinity
            return orjson.dumps(document, default=_to_json, option=orjson.OPT_SERIALIZE_NUMPY)
        return json.dumps(document, default=_to_json, ensure_ascii=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"the rows cannot be said in JSON: {str(error).lower()}") from error


def _is_plain(array: Tensor) -> bool:
    return array.dtype.kind in "biu" or (array.dtype.kind == "f" and bool(np.isfinite(array).all()))


def _to_json(value: Any) -> Any:  # noqa: ANN401 - what JSON has no word for
    if isinstance(value, bytes):
        import base64

        return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is neither a number nor a text")
