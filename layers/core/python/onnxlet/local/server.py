"""The local server: an address, and one worker or several that answer there."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable

from onnxlet.errors import InvalidInputError
from onnxlet.local.limits import Limits
from onnxlet.local.listening import listen, url_of
from onnxlet.settings import Settings
from onnxlet.store import open_store

PORT = 8080


def serve(
    settings: Settings,
    host: str = "127.0.0.1",
    port: int = PORT,
    *,
    who: str = "",
    workers: int = 1,
    limits: Limits | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Answer on `host` and `port` (0: any free one) until the process is interrupted or terminated.

    `who` is written into the history of what is moved over HTTP. Several `workers` are processes of their own, each
    with its own models; a program that asks for them starts below `if __name__ == "__main__":`, as multiprocessing
    wants it. `on_ready` gets the URL as soon as requests are answered there, by every worker; without it, a line on
    standard error says so.
    Raises InvalidInputError for a host that is not this machine's, a store's URL that is none, or a store in memory for
    several workers; UnavailableError if the port is taken, or if a worker ends before it answers.
    """
    if workers < 1:
        raise InvalidInputError(f"{workers} workers cannot answer: ask for at least one", workers=workers)
    store = open_store(settings.store)
    if workers > 1 and store.url.startswith("memory:"):
        raise InvalidInputError(
            f"the store {store.url} is one process's own: serve it with one worker", workers=workers
        )
    with listen(host, port, workers) as sockets:
        url = url_of(host, sockets[0])

        def ready() -> None:
            (on_ready or _announce)(url)

        if workers > 1:
            from onnxlet.local.supervisor import WorkerSetup, supervise

            supervise(WorkerSetup(settings=settings, who=who, limits=limits or Limits()), sockets, ready)
        else:
            from onnxlet.local.dispatcher import create_asgi
            from onnxlet.local.worker import work

            # Once it has shut down, uvicorn raises the signal again that made it.
            with contextlib.suppress(KeyboardInterrupt):
                work(create_asgi(settings, who=who), sockets[0], limits or Limits(), ready)


def _announce(url: str) -> None:
    sys.stderr.write(
        f"onnxlet answers at {url}: predictions below /v1/models and /v2/models, the registry at /docs "
        "(Ctrl-C ends it)\n"
    )
    sys.stderr.flush()
