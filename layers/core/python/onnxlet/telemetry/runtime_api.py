"""What an internal extension says to Lambda: it registers, and asks for the next invocation.

Source: "Using the Lambda Extensions API to create extensions" of the Lambda developer guide. http.client takes 20 ms to
import, which every cold start would pay, and `socket` two; so this is the little of HTTP/1.0 that asking a neighbour on
the same machine takes: the connection's end is the end of the answer.
"""

from __future__ import annotations

import _socket
from typing import Any

import msgspec

PATH = "/2020-01-01/extension/"
NAME = "onnxlet-telemetry"
SECONDS = 5.0
"""What the neighbour gets for an answer; but for the next invocation it may be waited for ever."""


class RuntimeApiError(Exception):
    """Lambda's own API refuses, or does not answer in time."""


class RuntimeApi:
    """Lambda's API at an address `host:port`, once the extension is registered there for invocations."""

    def __init__(self, address: str) -> None:
        """Raises RuntimeApiError."""
        host, _, port = address.rpartition(":")
        self._address = (host, int(port))
        body = b'{"events":["INVOKE"]}'
        head, _ = self._ask("POST", "register", f"Lambda-Extension-Name: {NAME}", body)
        lines = (line.partition(b":") for line in head.split(b"\r\n"))
        found = [value for name, _, value in lines if name.lower() == b"lambda-extension-identifier"]
        if not found:
            raise RuntimeApiError("Lambda gave the extension no identifier")
        self._identifier = found[0].strip().decode()

    def next_event(self) -> Waiting:
        """Say that this extension is done with the invocation, and ask for the next."""
        return Waiting(self._send("GET", "event/next", f"Lambda-Extension-Identifier: {self._identifier}"))

    def _ask(self, method: str, path: str, header: str, body: bytes = b"") -> tuple[bytes, bytes]:
        return Waiting(self._send(method, path, header, body)).read()

    def _send(self, method: str, path: str, header: str, body: bytes = b"") -> _socket.socket:
        try:
            connection = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
            connection.settimeout(SECONDS)
            connection.connect(self._address)
            head = f"{method} {PATH}{path} HTTP/1.0\r\nHost: {self._address[0]}\r\n{header}\r\n"
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        except OSError as error:
            raise RuntimeApiError(f"Lambda's runtime API cannot be asked: {error}") from error
        return connection


class Waiting:
    """An answer that has not come yet."""

    def __init__(self, connection: _socket.socket) -> None:
        self._connection = connection

    def begin(self) -> None:
        """Wait, for as long as it takes, until the answer begins; nothing of it is read."""
        self._connection.settimeout(None)
        self._connection.recv(1, _socket.MSG_PEEK)
        self._connection.settimeout(SECONDS)

    def event(self) -> dict[str, Any]:
        """The event that was answered. Raises RuntimeApiError."""
        event: dict[str, Any] = msgspec.json.decode(self.read()[1])
        return event

    def read(self) -> tuple[bytes, bytes]:
        """Head and body of the answer. Raises RuntimeApiError unless it says that all is well."""
        answer = b""
        try:
            while chunk := self._connection.recv(65536):
                answer += chunk
        except OSError as error:
            raise RuntimeApiError(f"Lambda's runtime API does not answer: {error}") from error
        finally:
            self._connection.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        if head.split(b" ", 2)[1:2] != [b"200"]:
            said = head.partition(b"\r\n")[0].decode(errors="replace")
            raise RuntimeApiError(f"Lambda's runtime API answered {said!r}")
        return head, body
