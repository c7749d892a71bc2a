"""A small HTTP/1.1 load client: some keep-alive connections, each sending the next request when its answer is there."""

from __future__ import annotations

import asyncio
import time

import uvloop


class _Connection(asyncio.Protocol):
    def __init__(self, request: bytes, deadline: float, done: asyncio.Future[None]) -> None:
        self._request, self._deadline, self._done = request, deadline, done
        self._buffer = b""
        self._length = -1
        self.answers = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment] # a TCP connection's is one
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._length < 0:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._buffer[:end].lower()
            if not head.startswith(b"http/1.1 200"):
                self._finish(RuntimeError(self._buffer.decode(errors="replace")))
                return
            self._length = end + 4 + int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        if len(self._buffer) < self._length:
            return
        self._buffer, self._length = b"", -1
        self.answers += 1
        if time.perf_counter() < self._deadline:
            self._transport.write(self._request)
        else:
            self._finish(None)

    def _finish(self, error: Exception | None) -> None:
        self._transport.close()
        if not self._done.done():
            if error:
                self._done.set_exception(error)
            else:
                self._done.set_result(None)


def requests_per_second(port: int, path: str, body: bytes, *, connections: int, seconds: float) -> float:
    """Answers per second that 127.0.0.1:`port` gave. Raises RuntimeError with the first answer that is no 200."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    request = head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body

    async def run() -> float:
        loop = asyncio.get_running_loop()
        started = time.perf_counter()
        protocols = []
        for _ in range(connections):
            done: asyncio.Future[None] = loop.create_future()
            protocol = _Connection(request, started + seconds, done)
            await loop.create_connection(lambda protocol=protocol: protocol, "127.0.0.1", port)  # type: ignore[misc]
            protocols.append((protocol, done))
        await asyncio.gather(*(done for _, done in protocols))
        return sum(protocol.answers for protocol, _ in protocols) / (time.perf_counter() - started)

    return uvloop.run(run())
