"""What `onnxlet predict` sends: a TensorFlow Serving body as it is, or a picture or the rows of a CSV file in one."""

from __future__ import annotations

import io
import json
from binascii import b2a_base64
from typing import Any

from onnxlet.batch.formats import find_type, read_all
from onnxlet.batch.formats.chunks import CHUNK_ROWS, Chunk, ParsedRows
from onnxlet.batch.inputs import Inputs
from onnxlet.batch.sources import BytesSource
from onnxlet.errors import InvalidInputError
from onnxlet.values.tensors import Tensors


def is_json(body: bytes) -> bool:
    """Whether a file is a JSON object, which is a body already; else it is taken for CSV."""
    return body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{"


def encode_picture(picture: bytes) -> bytes:
    """A picture as a body."""
    return json.dumps({"instances": [{"b64": b2a_base64(picture, newline=False).decode()}]}).encode()


def encode_csv(text: bytes, inputs: Inputs) -> bytes:
    """The rows of a CSV file as a body. Raises InvalidInputError naming the first row that is bad."""
    return json.dumps({"signature_name": inputs.signature_name, "instances": read_csv(text, inputs)}).encode()


def read_csv(text: bytes, inputs: Inputs) -> list[Any]:
    """The rows of a CSV file as `instances`. Raises InvalidInputError naming the first row that is bad."""
    if text.lstrip()[:2] in {b"[[", b"[{"}:
        raise InvalidInputError('a JSON body is an object: write {"instances": …} around these rows')
    table = find_type("rows.csv").format.open_table(BytesSource(text), inputs)
    instances: list[Any] = []
    for rows, chunk in read_all(table, io.BytesIO(), CHUNK_ROWS):
        parsed = rows.parse(chunk)
        _refuse_bad_rows(chunk, parsed)
        for batch in parsed.batches:
            instances += _to_instances(batch.inputs, named=inputs.columns is not None)
    return instances


def _refuse_bad_rows(chunk: Chunk, parsed: ParsedRows) -> None:
    bad = min((*chunk.bad, *parsed.bad), key=lambda row: row.row, default=None)
    if bad is not None:
        column = f", column {bad.column!r}" if bad.column else ""
        raise InvalidInputError(f"row {bad.row}{column}: {bad.error}; `onnxlet score` sets such rows aside")


def _to_instances(tensors: Tensors, *, named: bool) -> list[Any]:
    columns = {name: [_to_json(value) for value in tensor.tolist()] for name, tensor in tensors.items()}
    if len(columns) == 1 and not named:
        return list(next(iter(columns.values())))
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _to_json(value: Any) -> Any:  # noqa: ANN401 - a JSON value
    """The value, or null for what stands for a missing one."""
    return None if value == "" or value != value else value  # noqa: PLR0124 - so NaN is found
