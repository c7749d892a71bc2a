"""What tests share: the three stores, S3 played by moto's server."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import pytest
import requests
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from onnxlet.store import Store, open_store

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line per request costs as much as the request

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The URL of an S3 server, one per test process, in which every object is lost at the end."""
    moto = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, _one_at_a_time(moto), threaded=True, request_handler=MotoRequestHandler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    requests.get(url, timeout=60).raise_for_status()  # moto loads its S3 at the first request, which takes seconds
    yield url
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def s3_environment(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The endpoint, with AWS's environment variables pointing at it, for subprocesses as well."""
    for variable in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    return s3_endpoint


@pytest.fixture
def s3_store_url(s3_environment: str) -> str:
    """The URL of a store in a fresh bucket."""
    bucket = f"test-{uuid.uuid4().hex}"
    requests.put(f"{s3_environment}/{bucket}", timeout=60).raise_for_status()
    return f"s3://{bucket}/some/prefix"


@pytest.fixture
def directory_url(tmp_path: Path) -> str:
    """The URL of a directory store that nothing was written to yet."""
    return (tmp_path / "store").as_uri()


@pytest.fixture
def store() -> Store:
    """A fresh store in memory."""
    return open_store(f"memory://{uuid.uuid4().hex}")


def _one_at_a_time(application: Application) -> Application:
    """Requests of many threads in turn: S3's conditional writes are atomic, moto's are a check and then a write."""
    lock = Lock()

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with lock:
            return list(application(environ, start_response))

    return serve
