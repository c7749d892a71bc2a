"""What the module `protocol` of a wire protocol's package must have."""

from __future__ import annotations

from typing import Protocol

from onnxlet.dataplane.messages import Request, Response
from onnxlet.errors import OnnxletError
from onnxlet.serving.predictor import Predictor


class WireProtocol(Protocol):
    """One wire format. Modules are its instances: `answer` and `refuse` are functions of the module."""

    def answer(self, predictor: Predictor, request: Request) -> Response:
        """Answer a request to one of the protocol's paths; its body is decompressed already.

        Domain errors are answers too, or may be raised: then `refuse` is asked, but knows no headers. A path that the
        protocol does not have is a RouteNotFoundError.
        """
        ...

    def refuse(self, error: OnnxletError, headers: dict[str, str] | None = None) -> Response:
        """The answer to what went wrong, in the protocol's own error body and under `headers`, if some are known."""
        ...
