"""The request log: a line for each request, without its payload."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from doors import FEATURES, Shop
from onnxlet.dataplane.messages import Request
from onnxlet.store import Store
from onnxlet.telemetry.recording import Telemetry
from onnxlet.telemetry.request_log import RequestLog

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def lines_for(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], body: str) -> list[dict[str, Any]]:
    """What the log says of one request."""
    telemetry = Telemetry()
    telemetry.watch_with(RequestLog)
    shop = Shop(store, tmp_path, telemetry=telemetry)
    shop.publish_diagnosis()
    request = Request("POST", "/v1/models/diagnosis:predict", body=body.encode(), id="visit-42", trace=TRACE)
    shop.dataplane.answer(request)
    telemetry.flush()
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_line_says_who_was_answered_by_which_version(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = lines_for(store, tmp_path, capsys, json.dumps({"instances": [[0.5] * FEATURES] * 2}))
    assert datetime.fromisoformat(line.pop("timestamp")).tzinfo is not None
    assert line.pop("milliseconds") > 0
    assert line == {
        "level": "INFO",
        "message": "answered",
        "request_id": "visit-42",
        "trace": TRACE,
        "model": "diagnosis",
        "version": 1,
        "alias": "production",
        "status": 200,
        "rows": 2,
    }


def test_a_refusal_says_its_kind_and_not_what_was_sent(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = lines_for(store, tmp_path, capsys, json.dumps({"instances": [["Mrs. Jones"] * FEATURES]}))
    assert (line["status"], line["problem"], line["rows"]) == (400, "invalid-input", 0)
    assert "Jones" not in json.dumps(line)
