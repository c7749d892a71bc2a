"""A worker: uvicorn over one listening socket, in this process, until a signal ends it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from typing import cast

import uvicorn

from onnxlet.local.asgi import Application
from onnxlet.local.http_protocol import LimitedProtocol
from onnxlet.local.limits import Limits

KEEP_ALIVE = 75
"""Seconds that an idle connection stays open: longer than clients keep theirs, so that it is they who close."""
GRACE = 10
"""Seconds that requests get to end once the server shall."""


def work(application: Application, listening: socket.socket, limits: Limits, on_ready: Callable[[], None]) -> None:
    """Answer what comes to `listening` until SIGINT or SIGTERM, which is raised again at the end.

    `on_ready` is called as soon as requests are answered.
    """
    config = uvicorn.Config(
        application,
        http=cast("type[LimitedProtocol]", partial(LimitedProtocol, limits=limits)),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
    )
    _Server(config, on_ready).run(sockets=[listening])


class _Server(uvicorn.Server):
    """Tells when it answers, which an application cannot know: it is started before its socket is."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()
