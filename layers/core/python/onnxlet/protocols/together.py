"""TensorFlow Serving predictions that arrive together: several requests, one run of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from onnxlet.errors import OnnxletError
from onnxlet.joining import Joining
from onnxlet.messages import Request, Response
from onnxlet.model import Model
from onnxlet.predictor import Predictor
from onnxlet.protocols.instances import Call, read_body, write_answer
from onnxlet.protocols.tfserving import JSON, name_version, parse_call, refuse, resolve


class _Asked(NamedTuple):
    place: int
    call: Call
    headers: dict[str, str]


class Together:
    """Answers what can be answered in company. For one thread."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._joining = Joining()

    def answers(self, requests: Sequence[Request]) -> list[Response | None]:
        """The answers that each request would get alone; None to those that have to be asked alone."""
        answers: list[Response | None] = [None] * len(requests)
        groups: dict[tuple[Model, str], list[_Asked]] = {}
        for place, request in enumerate(requests):
            headers = {"Content-Type": JSON}
            try:
                read = self._read(request, headers)
            except OnnxletError as error:
                answers[place] = refuse(error, headers)
                continue
            if read is not None:
                model, call = read
                groups.setdefault((model, call.signature), []).append(_Asked(place, call, headers))
        for (model, signature), group in groups.items():
            outputs = self._joining.predict(model, signature, [asked.call.inputs for asked in group])
            for asked, tensors in zip(group, outputs, strict=True):
                if tensors is not None:
                    body = write_answer(tensors, rows=asked.call.rows)
                    answers[asked.place] = Response(200, body, asked.headers)
        return answers

    def _read(self, request: Request, headers: dict[str, str]) -> tuple[Model, Call] | None:
        """What a request asks of which model; None if that is no prediction in rows, or of no model to be joined."""
        if request.method != "POST" or "content-encoding" in request.headers:
            return None
        target = parse_call(request.path)
        if target is None:
            return None
        served = resolve(self._predictor, target, request.headers.get("x-onnxlet-routing-key"))
        model = served.model
        if not any(self._joining.may(model, signature) for signature in model.signatures):
            return None
        name_version(served, headers)
        call = read_body(request.body, model)
        return (model, call) if call.rows and self._joining.may(model, call.signature) else None
