"""The data plane: one HTTP request in, one answer out, whatever happens. It knows no framework and no Lambda.

Paths belong to protocols, as the table in `protocols` says. What all protocols share is done here: sizes, compression,
HEAD and OPTIONS, and the last resort for errors that nobody foresaw.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from time import monotonic, time
from typing import TYPE_CHECKING, Any, cast

import orjson

from onnxlet.dataplane import answering
from onnxlet.dataplane.memory import keep_freed_memory
from onnxlet.dataplane.messages import Request, Response
from onnxlet.dataplane.protocols import entry_at
from onnxlet.errors import (
    ExecutionError,
    InternalError,
    InvalidInputError,
    MethodNotAllowedError,
    OnnxletError,
    RequestTooLargeError,
    ResponseTooLargeError,
)
from onnxlet.serving.predictor import Predictor
from onnxlet.telemetry import ALIAS, MODEL, VERSION, log
from onnxlet.telemetry.recording import Observation, Prediction
from onnxlet.values.headers import REQUEST_ID, ROUTING_KEY, TRACE
from onnxlet.values.refs import parse_ref
from onnxlet.values.request_ids import request_id

if TYPE_CHECKING:
    from onnxlet.dataplane.protocols.interface import WireProtocol
    from onnxlet.dataplane.protocols.tensorflow_serving.body import Call
    from onnxlet.serving.model import Model

MB = 1_000_000
MAX_REQUEST = 6 * MB
"""Bytes of a body, before and after decompression: what Lambda takes in one event."""
MAX_RESPONSE = 5 * MB + MB // 2
"""Bytes of an answer as Lambda carries it: its limit is 6 MB with the envelope and the escapes of JSON."""
MAX_CARRIED = 6_200_000
"""Bytes of an answer inside Lambda's own, which is JSON again: at most 6,291,556, of which the envelope takes some."""
COMPRESS_FROM = 64 * 1024
"""Bytes from which an answer is compressed for those who take it: below, gzip takes longer than the bytes it saves."""
MAX_MEMBERS = 64
"""Members that a gzip body may have: each costs a copy of those that follow."""
_COMPRESSION = 1

_ENCODING = "content-encoding"
_ROUTING_KEY = ROUTING_KEY.lower()
_OK = 200
_OURS = 500
"""From this status on it is not the caller who is wrong."""
_METHODS = "GET, HEAD, OPTIONS, POST"


class DataPlane:
    """Answers requests with a predictor's models."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._append = predictor.telemetry.observe
        keep_freed_memory()

    def answer(self, request: Request) -> Response:
        """Answer a request. It never raises: what goes wrong is an answer too.

        What it took and gave is appended to the telemetry, which others read when this request is over.
        """
        is_post = request.method == "POST"
        try:
            protocol = _protocol_at(request.path)
            try:
                if is_post and _ENCODING not in request.headers and len(request.body) <= MAX_REQUEST:
                    response = protocol.answer(self._predictor, request)
                else:
                    response = self._answer_unusual(protocol, request)
            except OnnxletError as refused:
                # else its traceback holds this frame, which holds the response, which holds the error
                response = protocol.refuse(refused.with_traceback(None))
            body = response.body
            if not is_post or not isinstance(body, bytes) or len(body) >= COMPRESS_FROM:
                response = _finish(protocol, request, response)
        except Exception as unforeseen:  # noqa: BLE001 - the outermost door
            response = _answer_unforeseen(request, unforeseen)
        if not request.id:
            request.id = request_id(None)
        headers = response.headers
        headers[REQUEST_ID] = request.id
        if request.trace:
            headers[TRACE] = request.trace
        error = response.error
        if is_post:
            body = response.body
            self._observe(request, response.status, error, len(body) if isinstance(body, bytes) else 0)
        if error is not None and response.status >= _OURS:
            _log_refusal(request, response.status, error)
        return response

    def refuse(self, path: str, error: OnnxletError, answered: Response | None = None) -> Response:
        """The answer of a door that cannot read a request to `path`, or cannot carry what was answered there."""
        headers = {} if answered is None else answered.headers
        kept = {name: value for name, value in headers.items() if name.startswith("X-Onnxlet-")}
        return _protocol_at(path).refuse(error, kept)

    def invoke(self, event: Mapping[str, Any], known_id: str = "") -> dict[str, Any]:
        """Answer a direct invocation: `{"model": ref, "instances" or "inputs": …}` in, TensorFlow Serving's body with
        `model_version` out; `known_id` is what the invocation is found by, unless the event has a fit `request_id`,
        which the answer repeats. Raises the errors that `answer` would write.
        """
        sent = event.get("request_id")
        request = Request("POST", "", id=request_id(sent if isinstance(sent, str) else None, known_id))
        try:
            answer, size = self._invoke(request, event)
        except OnnxletError as error:
            self._observe(request, answering.status_of(error), error, 0)
            raise
        self._observe(request, _OK, None, size)
        return answer

    def _invoke(self, request: Request, event: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
        """The answer, and how many bytes it had as JSON."""
        ref = event["model"]
        if not isinstance(ref, str):
            raise InvalidInputError("'model' must be a string: a name, 'name:version' or 'name@alias'")
        from onnxlet.dataplane.protocols.tensorflow_serving.body import read_document

        parsed = parse_ref(ref)
        request.model = parsed.model
        served = request.served = self._predictor.served(parsed)
        due = monotonic() + served.model.run_deadline
        call = read_document(event, served.model)
        try:
            body = self._predict(request, call, served.model, due)
        except ExecutionError:  # Lambda logs what is raised, and ONNX Runtime's words can repeat the input
            raise ExecutionError("the model failed on this input: over HTTP the answer says why") from None
        if monotonic() > due:
            raise served.model.overdue()
        _check_size(body, b",:")  # the runtime writes a space behind each
        answer: dict[str, Any] = _parsed(body)
        answer["model_version"] = served.version
        if "request_id" in event:
            answer["request_id"] = request.id
        if served.stale:
            answer["stale"] = True
        if served.fallback:
            answer["fallback"] = True
        return answer, len(body)

    @staticmethod
    def _predict(request: Request, call: Call, model: Model, due: float) -> bytes:
        """The answer to a direct invocation as TensorFlow Serving's JSON, with what explains it if asked for."""
        from onnxlet.dataplane.protocols.tensorflow_serving.body import write_answer

        before = monotonic()
        outputs = model.predict(call.inputs, call.signature, due=due)
        request.prediction = Prediction(call.signature, call.inputs, outputs, monotonic() - before)
        body = write_answer(outputs, rows=call.rows)
        if call.explain is None:
            return body
        from onnxlet.dataplane.protocols.tensorflow_serving.explanation import add_explanations

        return add_explanations(body, call, model, due)

    def _observe(self, request: Request, status: int, error: OnnxletError | None, size: int) -> None:
        """Append what the answer of `size` bytes gave, and what it took."""
        prediction, served, headers = request.prediction, request.served, request.headers
        if prediction is not None and served is not None and served.model.withhold is not None:
            prediction = served.model.withhold(prediction)
        self._append(
            Observation(
                time(),
                request.id,
                request.trace,
                request.model,
                served,
                prediction,
                status,
                None if error is None else type(error),
                len(request.body),
                size,
                monotonic() - request.began,
                1,
                headers[_ROUTING_KEY] if _ROUTING_KEY in headers else None,  # noqa: SIM401 - `get` is slower
            )
        )

    def _answer_unusual(self, protocol: WireProtocol, request: Request) -> Response:
        """Answer what is no POST, too large, or compressed. Raises as the protocol does."""
        if len(request.body) > MAX_REQUEST:
            raise _request_too_large()
        encoding = request.headers.get(_ENCODING)
        if encoding:
            request.body = _decompressed(request.body, encoding)
        if request.method == "OPTIONS":
            return _answer_options(protocol, request)
        return protocol.answer(self._predictor, request)


class _Unclaimed:
    """What answers where no protocol does."""

    def answer(self, _: Predictor, request: Request) -> Response:
        return self.refuse(answering.no_route(request.path))

    def refuse(self, error: OnnxletError, headers: dict[str, str] | None = None) -> Response:
        return answering.refuse(error, headers)


_UNCLAIMED = _Unclaimed()


@lru_cache(maxsize=512)
def _protocol_at(path: str) -> WireProtocol:
    entry = entry_at(path)
    return _UNCLAIMED if entry is None else cast("WireProtocol", import_module(f"{entry.package}.protocol"))


def _answer_unforeseen(request: Request, error: Exception) -> Response:
    """The answer when nobody knows what went wrong: the log has it, the caller learns nothing internal."""
    import logging

    logging.getLogger(__name__).error(
        "unforeseen error", exc_info=error, extra={"path": request.path, "request_id": request.id}
    )
    internal = InternalError("internal error")
    try:
        return _protocol_at(request.path).refuse(internal)
    except Exception:  # noqa: BLE001 - the protocol itself may be what fails
        return answering.refuse(internal)


def _log_refusal(request: Request, status: int, error: OnnxletError) -> None:
    """Log in one line what is our fault; what nobody foresaw is in the log already."""
    if isinstance(error, InternalError):
        return
    facts = {"status": status, "problem": error.slug(), "request_id": request.id, "trace": request.trace}
    facts[MODEL] = request.model
    if request.served is not None:
        facts |= {VERSION: request.served.version, ALIAS: request.served.alias}
    extra = {name: value for name, value in facts.items() if value}
    log(__name__).error("%s: %s", error.title, error.detail, extra=extra)


def _finish(protocol: WireProtocol, request: Request, response: Response) -> Response:
    """The response as it is carried: compressed where that is worth it, without what HEAD does not get."""
    if request.method == "HEAD":
        response.drop_body()
    body = response.body
    if not isinstance(body, bytes) or len(body) < COMPRESS_FROM:
        return response
    try:
        if _takes_gzip(request.headers.get("accept-encoding", "")):
            response.body = _compress(body)
            response.headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        elif len(body) > MAX_CARRIED // 2 and response.text() is None:
            _check_size_in_base64(body)
        else:
            _check_size(body, b'"\\')  # each is escaped in Lambda's answer
    except ResponseTooLargeError as error:
        return protocol.refuse(error, response.headers)
    return response


def _compress(body: bytes) -> bytes:
    import zlib

    gzip = zlib.compressobj(_COMPRESSION, wbits=31)
    compressed = gzip.compress(body) + gzip.flush()
    _check_size_in_base64(compressed)
    return compressed


def _check_size_in_base64(body: bytes) -> None:
    """Refuse an answer that Lambda could not carry, since base64 makes it a third longer."""
    if len(body) * 4 // 3 > MAX_RESPONSE:
        raise _response_too_large(len(body) * 4 // 3)


def _check_size(body: bytes, doubled: bytes) -> None:
    """Refuse an answer that Lambda could not carry as text, in which the bytes `doubled` take one more."""
    size = len(body)
    if size > MAX_CARRIED // 2:
        carried = size + sum(body.count(byte) for byte in doubled)
        if size > MAX_RESPONSE or carried > MAX_CARRIED:
            raise _response_too_large(size)


def _answer_options(protocol: WireProtocol, request: Request) -> Response:
    """TensorFlow Serving's answer to a preflight; as there, cross-origin calls are off by default."""
    if request.headers.get("origin", "").lower().startswith(("http://", "https://")):
        return Response(200, b"", {"Allow": _METHODS})
    error = MethodNotAllowedError("OPTIONS needs an Origin header with an http or https origin")
    return protocol.refuse(error, {"Allow": _METHODS})


def _request_too_large() -> RequestTooLargeError:
    return RequestTooLargeError(
        f"request too large: at most {MAX_REQUEST:,} bytes are taken, before and after decompression: "
        "send fewer rows per call, or score a file in batch"
    )


def _response_too_large(size: int) -> ResponseTooLargeError:
    return ResponseTooLargeError(
        f"response too large: {size:,} bytes, at most {MAX_RESPONSE:,} (less with many quotes) can be answered: "
        "send fewer rows per call, "
        "ask for fewer outputs, accept gzip, or score a file in batch",
        size=size,
    )


def _takes_gzip(accepted: str) -> bool:
    for offer in accepted.lower().split(","):
        coding, _, weight = offer.partition(";")
        if coding.strip() in ("gzip", "*"):
            return weight.replace(" ", "").rstrip("0") not in ("q=", "q=0.")
    return False


def _decompressed(body: bytes, encoding: str) -> bytes:
    """The body that was sent compressed; never more of it than the limit is held in memory."""
    import zlib

    coding = encoding.strip().lower()
    if coding == "identity":
        return body
    if coding not in ("gzip", "x-gzip"):
        raise InvalidInputError(f"content-encoding '{coding[:40]}' is not known here: send gzip, or plain bytes")
    if not body:
        return body
    plain = bytearray()
    for _ in range(MAX_MEMBERS):
        stream = zlib.decompressobj(wbits=31)
        try:
            plain += stream.decompress(body, MAX_REQUEST - len(plain) + 1)
        except zlib.error as error:
            raise InvalidInputError(f"the body is not gzip: {error}") from None
        if len(plain) > MAX_REQUEST:
            raise _request_too_large()
        if not stream.eof:
            raise InvalidInputError("the gzip body ends too soon")
        body = stream.unused_data
        if not body:
            return bytes(plain)
    raise InvalidInputError(f"the gzip body has more than {MAX_MEMBERS} members: compress it as one")


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:  # NaN and the infinities
        import json

        parsed = json.loads(body)
    return dict(parsed)
