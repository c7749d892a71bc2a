"""One question to a model, in this process or over HTTP: a body, a CSV file or a picture in, an answer out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from onnxlet.batch.inputs import Inputs, inputs_of
from onnxlet.cli.request_body import encode_csv, encode_picture, is_json, read_csv
from onnxlet.steps import Column
from onnxlet.steps.picture_formats import format_of
from onnxlet.values import headers
from onnxlet.values.signature import COLUMNS, SERVING_DEFAULT

if TYPE_CHECKING:
    from onnxlet.client.metadata import Metadata
    from onnxlet.serving.predictor import Predictor
    from onnxlet.values.refs import Ref


@dataclass(frozen=True, slots=True)
class Prediction:
    """A TensorFlow Serving answer, and the version that made it.

    `stale`: the store did not answer, and the version is what was last known. `fallback`: it stands in for the version
    that the alias routes to, which was refused.
    """

    document: dict[str, Any]
    version: str
    stale: bool = False
    fallback: bool = False


def predict_here(predictor: Predictor, ref: Ref, body: bytes) -> Prediction:
    """Load the version that `ref` means and ask it. Any published one will do."""
    from onnxlet.dataplane.protocols.tensorflow_serving.body import read_body, write_answer

    served = predictor.load(ref)
    model = served.model
    body = encode_picture(body) if format_of(body) else body
    request = body if is_json(body) else encode_csv(body, inputs_of(model))
    call = read_body(request, model)
    outputs = model.predict(call.inputs, call.signature)
    document = json.loads(write_answer(outputs, rows=call.rows))
    return Prediction(document, str(model.manifest.version), served.stale, served.fallback)


def predict_over_http(url: str, ref: Ref, body: bytes, auth: str | None = None) -> Prediction:
    """Ask a server at `url`, in several requests if a CSV file needs them; `auth` is that of `onnxlet.connect`.

    Raises UnavailableError if none answers, and as what it refuses the question.
    """
    from onnxlet.client.client import RETRIES, TIMEOUT
    from onnxlet.client.metadata import read_metadata
    from onnxlet.client.rows import InstanceRows
    from onnxlet.client.splitting import path_of, predict_in_parts
    from onnxlet.client.transport import Transport

    transport = Transport(url, auth, timeout=TIMEOUT, retries=RETRIES)
    body = encode_picture(body) if format_of(body) else body
    if is_json(body):
        responses = [transport.post(path_of(ref) + ":predict", body, {})]
    else:
        inputs = _inputs_of(read_metadata(transport.get(path_of(ref) + "/metadata").json()))
        rows = InstanceRows(read_csv(body, inputs), inputs.signature_name)
        responses = [part.response for part in predict_in_parts(transport, ref, rows, {})]
    return Prediction(
        _join([response.json() for response in responses]),
        version=responses[0].headers.get(headers.MODEL_VERSION, "unknown"),
        stale=any(response.headers.get(headers.STALE) == "true" for response in responses),
        fallback=any(response.headers.get(headers.FALLBACK) == "true" for response in responses),
    )


def _join(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Answers to rows that were asked for in parts, as one."""
    if len(documents) == 1:
        return documents[0]
    return {"predictions": [row for document in documents for row in document["predictions"]]}


def _inputs_of(metadata: Metadata) -> Inputs:
    """A model's inputs as a server's metadata has them.

    It has neither defaults nor what may be missing: every column is needed, and of null cells the server judges.
    """
    if not metadata.columns:
        return Inputs(SERVING_DEFAULT, metadata.inputs, (), None, {}, None)
    columns = tuple(Column(spec.name, spec.datatype, missing=spec.type.kind in "fs") for spec in metadata.columns)
    return Inputs(COLUMNS, metadata.columns, (), columns, {}, None)
