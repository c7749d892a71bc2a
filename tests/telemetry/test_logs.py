"""Logs of what is our fault: found by the request's id, and without its payload."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from doors import FEATURES, Shop
from onnxlet.dataplane.messages import Request
from onnxlet.store import Store

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def asked(body: object) -> Request:
    """A request for a prediction."""
    return Request(
        "POST", "/v1/models/diagnosis:predict", "", {}, json.dumps(body).encode(), id="visit-42", trace=TRACE
    )


def test_an_error_of_ours_is_logged_under_its_request(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shop = Shop(store, tmp_path)
    version = shop.publish_diagnosis()
    damaged = tmp_path / "damaged"
    damaged.write_bytes(b"another")
    store.put(f"models/diagnosis/{version}/model.onnx", damaged)
    response = shop.dataplane.answer(asked({"instances": [[0.123456789] * FEATURES]}))
    assert (response.status, response.headers["X-Onnxlet-Request-Id"]) == (500, "visit-42")
    (record,) = [record for record in caplog.records if "request_id" in record.__dict__]
    facts = record.__dict__
    assert (facts["request_id"], facts["trace"], facts["model"]) == ("visit-42", TRACE, "diagnosis")
    assert (facts["status"], facts["problem"]) == (500, "digest-mismatch")
    assert "123456789" not in caplog.text


def test_an_error_of_the_callers_is_not_logged(store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shop = Shop(store, tmp_path)
    shop.publish_diagnosis()
    caplog.clear()
    assert shop.dataplane.answer(asked({"instances": [["Mrs. Jones"] * FEATURES]})).status == 400
    assert not caplog.records


def test_what_nobody_foresaw_is_logged_under_its_request(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shop = Shop(store, tmp_path)
    shop.publish_diagnosis()
    request = asked({"instances": [[0.5] * FEATURES]})
    request.headers = {"content-encoding": 7}  # type: ignore[dict-item] # what no door would give
    response = shop.dataplane.answer(request)
    assert (response.status, response.headers["X-Onnxlet-Request-Id"]) == (500, "visit-42")
    assert [record.__dict__["request_id"] for record in caplog.records if record.exc_info] == ["visit-42"]
