"""What tests share: the three stores, S3 played by moto's server."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from hypothesis import HealthCheck, settings

from onnxlet.store import Store, open_store
from s3_server import s3_server

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# how busy a machine is says nothing of a property
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The URL of an S3 server, one per test process, in which every object is lost at the end."""
    with s3_server() as url:
        yield url


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
