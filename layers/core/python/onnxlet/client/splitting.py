"""One prediction over HTTP, in as many requests as its size needs, all answered by one version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from onnxlet.client.responses import Response
from onnxlet.client.transport import Transport
from onnxlet.errors import ConflictError, InvalidInputError, TooLargeError
from onnxlet.values.headers import MODEL_VERSION
from onnxlet.values.refs import Ref

if TYPE_CHECKING:
    from onnxlet.client.rows import Rows

MB = 1_000_000
PART_BYTES = 4 * MB
"""Bytes that one of several requests shall have."""
MAX_BYTES = 6 * MB
"""Bytes that no request of more than one row has: Lambda takes 6 MB, in which quotes and backslashes count twice."""
SAMPLE_ROWS = 64
"""Rows whose size tells that of the others."""
PATIENCE = 1.0
"""Seconds after which a bar shows how far it is."""


class Part(NamedTuple):
    """So many rows, and the response with their predictions."""

    rows: int
    response: Response


def path_of(ref: Ref) -> str:
    """Where TensorFlow Serving's API has what a ref means."""
    path = f"/v1/models/{quote(ref.model)}"
    if ref.version is not None:
        return f"{path}/versions/{ref.version}"
    return path if ref.alias is None else f"{path}/labels/{quote(ref.alias)}"


def predict_in_parts(
    transport: Transport, ref: Ref, rows: Rows, headers: Mapping[str, str], batch_size: int | None = None
) -> list[Part]:
    """The predictions for all rows, at most `batch_size` in a request; a bar shows how far it is if that takes long.

    Raises InvalidInputError if there are none, ConflictError if a version answered after another one had begun, and as
    Transport.call.
    """
    if not rows.count:
        raise InvalidInputError("there are no rows to predict")
    size = _choose_part_rows(rows, batch_size)
    parts = _send_parts(transport, ref, rows, headers, size)
    if size >= rows.count:
        return list(parts)
    from tqdm.auto import tqdm

    answered = []
    with tqdm(total=rows.count, desc=str(ref), unit=" rows", delay=PATIENCE, disable=None) as bar:  # None: not in logs
        for part in parts:
            answered.append(part)
            bar.update(part.rows)
    return answered


def _choose_part_rows(rows: Rows, batch_size: int | None) -> int:
    size = min(rows.count, batch_size or rows.count, rows.most or rows.count)
    if size <= SAMPLE_ROWS:
        return size
    return max(1, min(size, PART_BYTES * SAMPLE_ROWS // _event_bytes(rows.body(0, SAMPLE_ROWS))))


def _send_parts(transport: Transport, ref: Ref, rows: Rows, headers: Mapping[str, str], size: int) -> Iterator[Part]:
    start = 0
    while start < rows.count:
        stop = min(start + size, rows.count)
        response = _send_part(transport, ref, rows.body(start, stop), headers, rows=stop - start)
        if response is None:
            size = (stop - start) // 2
            continue
        version = response.headers.get(MODEL_VERSION)
        if start and ref.version is not None and version not in (None, str(ref.version)):
            raise ConflictError(
                f"rows up to {start} were answered by {ref}, those after it by version {version}: ask again, or ask "
                "for one version"
            )
        if version is not None:
            ref = Ref(ref.model, version=int(version))  # the alias may move on meanwhile
        yield Part(stop - start, response)
        start = stop


def _send_part(
    transport: Transport, ref: Ref, body: bytes, headers: Mapping[str, str], *, rows: int
) -> Response | None:
    """The response; None if these rows, or what is answered to them, are too large for one, and can be parted."""
    if rows > 1 and _event_bytes(body) > MAX_BYTES:
        return None
    try:
        return transport.post(path_of(ref) + ":predict", body, headers)
    except TooLargeError:
        if rows == 1:
            raise
        return None


def _event_bytes(body: bytes) -> int:
    """Bytes that the body takes as a text in an event of Lambda."""
    return len(body) + body.count(b'"') + body.count(b"\\")
