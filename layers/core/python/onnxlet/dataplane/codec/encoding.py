"""From tensors to JSON, as bytes.

Floats of 32 bits are written as the shortest decimals that read back as the same 32 bits: 0.1, not 0.10000000149011612.
Whole floats keep their `.0`, and NaN and the infinities are written as TensorFlow Serving's tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np
import orjson

from onnxlet.values.tensors import Tensor

_NUMERIC = "biuf"


def encode_tensor(tensor: Tensor, *, binary: bool = False) -> bytes:
    """A tensor as nested lists; strings as {"b64": …} if `binary`."""
    if tensor.dtype.kind not in _NUMERIC:
        return orjson.dumps(_in_base64(tensor.tolist()) if binary else tensor.tolist())
    if not tensor.ndim:
        return encode_tensor(tensor.reshape(1))[1:-1]
    written = orjson.dumps(np.ascontiguousarray(tensor), option=orjson.OPT_SERIALIZE_NUMPY)
    # orjson writes null for what is not finite, and a tensor of numbers has no other null
    return written if tensor.dtype.kind != "f" or ord("n") not in written else _with_tokens(written, tensor)


def _with_tokens(written: bytes, tensor: Tensor) -> bytes:
    tokens = [
        b"NaN" if np.isnan(number) else b"Infinity" if number > 0 else b"-Infinity"
        for number in tensor[~np.isfinite(tensor)].tolist()
    ]
    parts = written.split(b"null")
    return parts[0] + b"".join(chain.from_iterable(zip(tokens, parts[1:], strict=True)))


def _in_base64(value: Any) -> Any:  # noqa: ANN401 - nested lists of str, or one str
    if isinstance(value, list):
        return [_in_base64(item) for item in value]
    import binascii

    return {"b64": binascii.b2a_base64(value.encode(), newline=False).decode()}


def encode_rows(tensor: Tensor, *, binary: bool = False) -> list[bytes]:
    """The JSON of each row of a tensor, in order."""
    if not len(tensor):
        return []
    if tensor.dtype.kind not in _NUMERIC:
        if tensor.ndim > 1 or binary:
            return [orjson.dumps(_in_base64(row) if binary else row) for row in tensor.tolist()]
        strings = tensor.tolist()
        written = {string: orjson.dumps(string) for string in set(strings)}
        return [written[string] for string in strings]
    if tensor.ndim == 1:
        return encode_tensor(tensor)[1:-1].split(b",")
    if tensor.ndim == 2:  # noqa: PLR2004 - a list of flat lists
        return encode_tensor(tensor)[1:-1].replace(b"],[", b"]\n[").split(b"\n")
    return [encode_tensor(row) for row in tensor]


def encode_records(columns: Mapping[str, list[bytes]]) -> bytes:
    """A list of objects, from the JSON of each column's rows; all columns have as many rows."""
    rows = len(next(iter(columns.values())))
    if not rows:
        return b"[]"
    width = 2 * len(columns)
    pieces = [b""] * (rows * width)
    opening = b"},{"
    for position, (name, written) in enumerate(columns.items()):
        pieces[2 * position :: width] = [opening + orjson.dumps(name) + b":"] * rows
        pieces[2 * position + 1 :: width] = written
        opening = b","
    pieces[0] = pieces[0][2:]
    return b"[" + b"".join(pieces) + b"}]"
