"""The local server: an address, and one worker or several that answer there."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable

from onnxlet.errors import InvalidInputError
from onnxlet.local.guard import Guard
from onnxlet.local.limits import Limits
from onnxlet.local.listening import is_exposed, listen, url_of
from onnxlet.serving.artifact_cache import claim_directory
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

    Who may ask is said by `settings`: a token, names of the server, origins; see `guard`. Where other machines reach it
    and there is no token, a warning on standard error says what that means, and the registry cannot be changed.
    `who` is written into the history of what is moved over HTTP. Several `workers` are processes of their own, each
    with its own models; a program that asks for them starts below `if __name__ == "__main__":`, as multiprocessing
    wants it. `on_ready` gets the URL as soon as requests are answered there, by every worker; without it, a line on
    standard error says so.
    Raises InvalidInputError for a host that is not this machine's, a store's URL or a name, origin or token that can be
    none, or a store in memory for several workers; UnavailableError if the port is taken, the cache folder can be
    changed by others, or a worker ends before it answers.
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
        exposed = is_exposed(sockets[0])
        # what every worker would refuse is better said before there are any
        Guard(settings, host, exposed=exposed)
        claim_directory(settings.cache_folder)
        if exposed and not settings.token:
            _warn(host, url)

        def ready() -> None:
            (on_ready or _announce)(url)

        if workers > 1:
            from onnxlet.local.supervisor import WorkerSetup, supervise

            setup = WorkerSetup(settings=settings, host=host, exposed=exposed, who=who, limits=limits or Limits())
            supervise(setup, sockets, ready)
        else:
            from onnxlet.local.dispatcher import create_asgi
            from onnxlet.local.worker import work

            # Once it has shut down, uvicorn raises the signal again that made it.
            with contextlib.suppress(KeyboardInterrupt):
                application = create_asgi(settings, host, exposed=exposed, who=who)
                work(application, sockets[0], limits or Limits(), ready)


def _warn(host: str, url: str) -> None:
    sys.stderr.write(
        f"WARNING: other machines reach this server ({host or 'all addresses'}, port {url.rpartition(':')[2]}), and\n"
        "WARNING: it asks nobody who they are: whoever reaches it may predict and read the registry. The registry\n"
        "WARNING: cannot be changed here unless a token is asked for: set ONNXLET_TOKEN, or give --token.\n"
    )
    sys.stderr.flush()


def _announce(url: str) -> None:
    sys.stderr.write(
        f"onnxlet answers at {url}: predictions below /v1/models and /v2/models, the registry at /docs "
        "(Ctrl-C ends it)\n"
    )
    sys.stderr.flush()
