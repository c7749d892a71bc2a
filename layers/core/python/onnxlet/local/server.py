"""The local server's process: a socket, uvicorn on it, and an orderly end."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from collections.abc import Callable

import uvicorn

from onnxlet.errors import InvalidInputError, UnavailableError
from onnxlet.local.dispatcher import create_asgi
from onnxlet.settings import Settings

PORT = 8080
KEEP_ALIVE = 75
"""Seconds that an idle connection stays open: longer than clients keep theirs, so that it is they who close."""
GRACE = 10
"""Seconds that requests get to end once the server shall."""
BACKLOG = 2048
LAST_PORT = 65535

_ANYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - names what such a host means


def serve(
    settings: Settings,
    host: str = "127.0.0.1",
    port: int = PORT,
    *,
    who: str = "",
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Answer on `host` and `port` (0: any free one) until the process is interrupted or terminated.

    `on_ready` gets the URL as soon as requests are answered there; without it, a line on standard error says so.
    Raises InvalidInputError for a host that is not this machine's, UnavailableError if the port is taken.
    """
    application = create_asgi(settings, who=who)
    with _listen(host, port) as listening:
        url = f"http://{_ANYWHERE.get(host) or _literal(host)}:{listening.getsockname()[1]}"
        config = uvicorn.Config(
            application,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=GRACE,
        )
        server = _Server(config, lambda: (on_ready or _tell)(url))
        # Once it has shut down, uvicorn raises the signal again that made it.
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listening])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= LAST_PORT:
        raise InvalidInputError(f"there is no port {port}: they go from 0 (any that is free) to {LAST_PORT}", port=port)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=host == "::")
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise UnavailableError(
                f"port {port} of {host!r} is not to be had ({os.strerror(error.errno)}): choose another, or 0 for any "
                "that is free",
                port=port,
            ) from error
        raise InvalidInputError(f"cannot listen on host {host!r}: {error.strerror}", host=host) from error


def _literal(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _tell(url: str) -> None:
    sys.stderr.write(
        f"onnxlet answers at {url}: predictions below /v1/models, the registry at /docs (Ctrl-C ends it)\n"
    )
    sys.stderr.flush()
