"""AWS's services on this machine, played by moto's server.

Everything in it is lost at the end. Requests are answered one at a time, because S3's conditional writes are atomic
and moto's are a look and then a write. Moto keeps executions of state machines and runs none, unless it is told to.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Lock, Thread
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.stepfunctions.models import stepfunctions_backends
from werkzeug.serving import make_server

from onnxlet.errors import UnavailableError
from onnxlet.local.twin.message_moves import play_message_moves

_Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@contextmanager
def serve_aws(port: int = 0) -> Iterator[str]:
    """The URL of a server on a port of this machine (0: a free one). Raises UnavailableError if the port is taken."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line for each request costs as much as the request
    moto = play_message_moves(_one_at_a_time(DomainDispatcherApplication(create_backend_app)))
    try:
        server = make_server("127.0.0.1", port, moto, threaded=True, request_handler=MotoRequestHandler)
    except (OSError, SystemExit) as error:  # werkzeug exits where a port is taken
        raise UnavailableError(f"port {port} is taken: name another one, or 0 for any") from error
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def end_execution(arn: str, status: str, *, output: str | None = None, error: str = "", cause: str = "") -> None:
    """Note the end of an execution that runs; there is no request for that."""
    _, _, _, region, account, *_ = arn.split(":")
    execution = stepfunctions_backends[account][region].describe_execution(arn)
    if execution.status == "RUNNING":
        execution.status, execution.stop_date = status, datetime.now(UTC)
        execution.output, execution.error, execution.cause = output, error or None, cause or None


def _one_at_a_time(application: _Application) -> _Application:
    lock = Lock()

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        with lock:
            return iter(list(application(environ, start_response)))

    return serve
