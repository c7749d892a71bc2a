"""A twin at work, in this process, with functions in processes of their own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from moto.sqs.models import sqs_backends
from moto.stepfunctions.models import stepfunctions_backends

from models import tiny
from onnxlet.local.twin.cloud import Cloud
from onnxlet.local.twin.running import copy_registry, run_twin
from onnxlet.local.twin.wiring import read_wiring
from onnxlet.store import open_store
from twins import ROOT, Said, Start


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def start(tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """A model `diagnosis` is in production; AWS's clients in this process ask the twin."""
    monkeypatch.setenv("ONNXLET_CACHE_DIR", str(tmp_path / "cache"))
    source = open_store((tmp_path / "store").as_uri())
    tiny.publish(source, "diagnosis", tiny.classifier_package(tmp_path / "model"))
    with ExitStack() as twins:
        for backends in (sqs_backends, stepfunctions_backends):
            # moto's server runs in this process, which outlives it
            twins.callback(backends["123456789012"]["us-east-1"].reset)

        def start(template: Path = ROOT / "template.yaml", **parameters: str) -> Cloud:
            bucket = f"twin-{uuid.uuid4().hex}"
            wiring = read_wiring(template, bucket, parameters)
            twin = run_twin(wiring, tmp_path, said.append, port=0, bucket=bucket, retry_after=1)
            cloud = twins.enter_context(twin)
            for name, value in cloud.environment.items():
                monkeypatch.setenv(name, value)
            copy_registry(source, open_store(cloud.store), lambda _done, _total: None)
            return cloud

        yield start


@pytest.fixture
def cloud(start: Start) -> Cloud:
    return start()
