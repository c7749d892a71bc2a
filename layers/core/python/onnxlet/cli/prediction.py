"""One question to a model, in this process or over HTTP: a TensorFlow Serving body or a CSV file in, an answer out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from onnxlet.batch.inputs import Inputs, inputs_of
from onnxlet.cli.http_client import request_json
from onnxlet.cli.request_body import encode_csv, is_json
from onnxlet.errors import OnnxletError
from onnxlet.serving.model import COLUMNS, SERVING_DEFAULT
from onnxlet.values.datatypes import DATATYPES
from onnxlet.values.manifest import Column
from onnxlet.values.signature import TensorSpec

if TYPE_CHECKING:
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
    request = body if is_json(body) else encode_csv(body, inputs_of(model))
    call = read_body(request, model)
    outputs = model.predict(call.inputs, call.signature)
    document = json.loads(write_answer(outputs, rows=call.rows))
    return Prediction(document, str(model.manifest.version), served.stale, served.fallback)


def predict_over_http(url: str, ref: Ref, body: bytes) -> Prediction:
    """Ask a server at `url`. Raises UnavailableError if none answers, OnnxletError with what it says if it refuses."""
    address = f"{url.rstrip('/')}/v1/models/{quote(ref.model)}"
    if ref.version is not None:
        address += f"/versions/{ref.version}"
    elif ref.alias is not None:
        address += f"/labels/{quote(ref.alias)}"
    if not is_json(body):
        body = encode_csv(body, _decode_metadata(request_json(address + "/metadata")[0]))
    document, headers = request_json(address + ":predict", body)
    return Prediction(
        document,
        version=headers.get("X-Onnxlet-Model-Version", "unknown"),
        stale=headers.get("X-Onnxlet-Stale") == "true",
        fallback=headers.get("X-Onnxlet-Fallback") == "true",
    )


def _decode_metadata(metadata: dict[str, Any]) -> Inputs:
    """A model's inputs as a server's metadata has them.

    It has neither defaults nor what may be missing: every column is needed, and of null cells the server judges.
    """
    try:
        signatures = metadata["metadata"]["signature_def"]["signature_def"]
        name = COLUMNS if COLUMNS in signatures else SERVING_DEFAULT
        specs = tuple(_decode_spec(*item) for item in signatures[name]["inputs"].items())
    except (KeyError, TypeError, ValueError) as error:
        raise OnnxletError("the server's metadata is not TensorFlow Serving's: send a JSON body instead") from error
    columns = None
    if name == COLUMNS:
        columns = tuple(Column(each.name, each.datatype, missing=each.type.kind in "fs") for each in specs)
    return Inputs(name, specs, (), columns, {}, None)


def _decode_spec(name: str, spec: dict[str, Any]) -> TensorSpec:
    names = {datatype.tensorflow: datatype.name for datatype in DATATYPES.values()}
    return TensorSpec(name, names[spec["dtype"]], tuple(int(part["size"]) for part in spec["tensor_shape"]["dim"]))
