"""Capture in processes: the predict function's and the local server's, ended, killed, and without a right to write."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from captures import captured
from doors import COLUMNS, FEATURES, Shop
from onnxlet.store import open_store
from runtime_api import Function, RuntimeApiStandIn, running
from scripted import serving

TESTS = Path(__file__).parents[2]
FOLDER = TESTS.parent / "functions" / "predict"
EVENT: dict[str, Any] = json.loads((TESTS / "events" / "predict-http-api.json").read_text())
POLICY: dict[str, Any] = {
    "columns": {COLUMNS[0]: {"rule": "round", "digits": 0}, COLUMNS[1]: "drop"},
    "outputs": {"label": "keep"},
    "request_id": "keep",
}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Where the classifier with its policy lies."""
    url = (tmp_path / "store").as_uri()
    Shop(open_store(url), tmp_path / "shop").publish_diagnosis(policy=POLICY)
    return {"ONNXLET_STORE": url, "ONNXLET_CACHE_DIR": str(tmp_path / "cache")}


@contextmanager
def started(environ: dict[str, str], rows: int) -> Iterator[tuple[RuntimeApiStandIn, Function]]:
    limits = {"ONNXLET_TELEMETRY_ROWS": str(rows), "ONNXLET_TELEMETRY_SECONDS": "600"}
    with RuntimeApiStandIn() as api, running(api, FOLDER, environ | limits) as function:
        yield api, function


def rows_in(environ: dict[str, str]) -> int:
    return len(captured(open_store(environ["ONNXLET_STORE"]), "diagnosis"))


def test_sigterm_writes_what_is_left(environ: dict[str, str]) -> None:
    with started(environ, rows=100) as (api, function):
        for _ in range(6):
            assert api.invoke(EVENT).answer["statusCode"] == 200
        assert rows_in(environ) == 0
        function.process.send_signal(signal.SIGTERM)
        assert function.wait() == 0
    assert rows_in(environ) == 6
    row = captured(open_store(environ["ONNXLET_STORE"]), "diagnosis")[0]
    assert row["id"] == "request-1"
    assert row["columns"] == {COLUMNS[0]: 18}


def test_a_killed_function_loses_fewer_rows_than_a_flush_takes(environ: dict[str, str]) -> None:
    with started(environ, rows=8) as (api, function):
        for _ in range(20):
            api.invoke(EVENT)
        function.process.kill()
        function.wait()
    assert 20 - 8 < rows_in(environ) <= 20


def test_a_function_that_may_not_write_answers_and_counts_what_it_lost(
    environ: dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "store" / "capture").write_text("where a folder should be")
    with started(environ, rows=1) as (api, function):
        for _ in range(5):
            assert api.invoke(EVENT).answer["statusCode"] == 200
        function.process.send_signal(signal.SIGTERM)
        assert function.wait() == 0
    assert capfd.readouterr().err.count("captured rows wait") == 1


def test_the_local_server_writes_what_it_has_when_it_is_ended(environ: dict[str, str], tmp_path: Path) -> None:
    with serving(environ["ONNXLET_STORE"], tmp_path / "serving") as server:
        for number in range(3):
            answer = requests.post(
                f"{server.url}/v1/models/diagnosis:predict",
                json={"instances": [[float(number)] * FEATURES]},
                headers={"X-Onnxlet-Request-Id": f"visit-{number}"},
                timeout=20,
            )
            assert answer.headers["X-Onnxlet-Request-Id"] == f"visit-{number}"
        time.sleep(0.6)
        assert rows_in(environ) == 0, "rows gather before an object is written"
    assert rows_in(environ) == 3


def test_settings_turn_capture_off(environ: dict[str, str]) -> None:
    with started(environ | {"ONNXLET_CAPTURE": "false"}, rows=1) as (api, function):
        api.invoke(EVENT)
        function.process.send_signal(signal.SIGTERM)
        function.wait()
    assert rows_in(environ) == 0
