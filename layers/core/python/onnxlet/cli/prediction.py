"""One question to a model, in this process or over HTTP: a TensorFlow Serving body or a CSV in, an answer out."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from onnxlet.batch.formats import find_type
from onnxlet.batch.formats.chunks import CHUNK_ROWS
from onnxlet.batch.inputs import Inputs, inputs_of
from onnxlet.batch.sources import BytesSource
from onnxlet.errors import InvalidInputError, OnnxletError, UnavailableError
from onnxlet.serving.model import COLUMNS, SERVING_DEFAULT
from onnxlet.values.datatypes import DATATYPES
from onnxlet.values.manifest import Column
from onnxlet.values.signature import TensorSpec

if TYPE_CHECKING:
    from onnxlet.serving.predictor import Predictor
    from onnxlet.values.refs import Ref
    from onnxlet.values.tensors import Tensors

TIMEOUT = 60.0
"""Seconds that a server may take."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A TensorFlow Serving answer, the version that made it, and what else people should know of it."""

    document: dict[str, Any]
    version: str
    remark: str = ""


def ask_here(predictor: Predictor, ref: Ref, body: bytes) -> Answer:
    """Load the version that `ref` means and ask it. Any published one will do."""
    from onnxlet.dataplane.protocols.tensorflow_serving.body import read_body, write_answer

    served = predictor.load(ref)
    model = served.model
    request = body if _is_json(body) else _body_of_csv(body, inputs_of(model))
    call = read_body(request, model)
    outputs = model.predict(call.inputs, call.signature)
    document = json.loads(write_answer(outputs, rows=call.rows))
    remark = ", because the routed version failed its golden cases" if served.fallback else ""
    return Answer(document, str(model.manifest.version), remark)


def ask_server(url: str, ref: Ref, body: bytes) -> Answer:
    """Ask a server at `url`. Raises UnavailableError if none answers, OnnxletError with what it says if it refuses."""
    address = f"{url.rstrip('/')}/v1/models/{quote(ref.model)}"
    if ref.version is not None:
        address += f"/versions/{ref.version}"
    elif ref.alias is not None:
        address += f"/labels/{quote(ref.alias)}"
    if not _is_json(body):
        body = _body_of_csv(body, _inputs_told(_call(address + "/metadata", None)[0]))
    document, headers = _call(address + ":predict", body)
    remark = ""
    if headers.get("X-Onnxlet-Stale"):
        remark = ", though its store does not answer"
    return Answer(document, headers.get("X-Onnxlet-Model-Version", "unknown"), remark)


def _is_json(body: bytes) -> bool:
    return body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{"


def _body_of_csv(text: bytes, inputs: Inputs) -> bytes:
    """The rows of a CSV as a request. Raises InvalidInputError naming the first row that is bad."""
    if text.lstrip()[:2] in {b"[[", b"[{"}:
        raise InvalidInputError('a JSON body is an object: write {"instances": …} around these rows')
    file = find_type("rows.csv").format.open_file(BytesSource(text), io.BytesIO(), inputs)
    instances: list[Any] = []
    for chunk in file.chunks(CHUNK_ROWS):
        parsed = file.parse(chunk)
        bad = min((*chunk.bad, *parsed.bad), key=lambda row: row.row, default=None)
        if bad is not None:
            where = f", column {bad.column!r}" if bad.column else ""
            raise InvalidInputError(f"row {bad.row}{where}: {bad.error}; `onnxlet score` sets such rows aside")
        for batch in parsed.batches:
            instances += _instances(batch.inputs, named=inputs.columns is not None)
    return json.dumps({"signature_name": inputs.signature_name, "instances": instances}).encode()


def _instances(tensors: Tensors, *, named: bool) -> list[Any]:
    columns = {name: [_cell(value) for value in tensor.tolist()] for name, tensor in tensors.items()}
    if len(columns) == 1 and not named:
        return list(next(iter(columns.values())))
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _cell(value: Any) -> Any:  # noqa: ANN401 - a JSON value
    """The value, or null for what stands for a missing one."""
    return None if value == "" or value != value else value  # noqa: PLR0124 - so NaN is told


def _inputs_told(metadata: dict[str, Any]) -> Inputs:
    """The inputs that a server's metadata tells of.

    It tells neither defaults nor what may be missing: every column is needed, and of null cells the server judges.
    """
    try:
        signatures = metadata["metadata"]["signature_def"]["signature_def"]
        name = COLUMNS if COLUMNS in signatures else SERVING_DEFAULT
        specs = tuple(_spec(*item) for item in signatures[name]["inputs"].items())
    except (KeyError, TypeError, ValueError) as error:
        raise OnnxletError("the server's metadata is not TensorFlow Serving's: send a JSON body instead") from error
    columns = None
    if name == COLUMNS:
        columns = tuple(Column(each.name, each.datatype, missing=each.type.kind in "fs") for each in specs)
    return Inputs(name, specs, (), columns, {}, None)


def _spec(name: str, told: dict[str, Any]) -> TensorSpec:
    names = {datatype.tensorflow: datatype.name for datatype in DATATYPES.values()}
    return TensorSpec(name, names[told["dtype"]], tuple(int(part["size"]) for part in told["tensor_shape"]["dim"]))


def _call(address: str, body: bytes | None) -> tuple[dict[str, Any], Any]:
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    if not address.startswith(("http://", "https://")):
        raise InvalidInputError(f"{address!r} is no address of a server: it starts with http:// or https://")
    request = Request(address, body, {"Content-Type": "application/json"})  # noqa: S310 - the scheme was checked
    try:
        with urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310 - same
            return json.load(response), response.headers
    except HTTPError as error:
        raise OnnxletError(f"the server answered {error.code}: {_said(error.read())}") from error
    except (URLError, HTTPException, OSError) as error:
        raise UnavailableError(f"no server answers at {address!r}: {getattr(error, 'reason', error)}") from error
    except ValueError as error:
        raise OnnxletError("the server's answer is not JSON") from error


def _said(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace")
