"""S3 played by moto's server, whose conditional writes are as atomic as S3's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Lock, Thread
from typing import Any

import requests
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line per request costs as much as the request

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@contextmanager
def s3_server() -> Iterator[str]:
    """The URL of an S3 server on a free port, in which every object is lost at the end."""
    moto = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, _one_at_a_time(moto), threaded=True, request_handler=MotoRequestHandler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    requests.get(url, timeout=60).raise_for_status()  # moto loads its S3 at the first request, which takes seconds
    try:
        yield url
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _one_at_a_time(application: Application) -> Application:
    """Requests of many threads in turn: S3's conditional writes are atomic, moto's are a check and then a write."""
    lock = Lock()

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with lock:
            return list(application(environ, start_response))

    return serve
