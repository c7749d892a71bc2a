"""Scoring files is observed as predictions are: rows, times, classes and scores, once, and no requests."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from doors import COLUMNS, Shop
from onnxlet.batch.objects import score_object
from onnxlet.store import Store
from onnxlet.telemetry.embedded import EmbeddedMetrics
from onnxlet.telemetry.recording import HEAVY_RECORDS, Telemetry
from telemetry.embedded_metric_format import check

KEY = "batch/in/diagnosis/visits.csv"
ROWS = 5000


@pytest.fixture
def shop(store: Store, tmp_path: Path) -> Shop:
    """A shop with the classifier and a file for it, in which one row is bad."""
    telemetry = Telemetry()
    telemetry.watch_with(lambda: EmbeddedMetrics("score"))
    shop = Shop(store, tmp_path, telemetry=telemetry)
    shop.publish_diagnosis()
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(COLUMNS)
    writer.writerows(np.random.default_rng(0).normal(size=(ROWS, len(COLUMNS))).tolist())
    writer.writerow(["Mrs. Jones"] * len(COLUMNS))
    store.put(KEY, table.getvalue().encode())
    return shop


def flushed(shop: Shop, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What the telemetry writes."""
    shop.predictor.telemetry.flush()
    text = capsys.readouterr().out
    assert "Jones" not in text
    return [check(line) for line in text.splitlines()]


def total(lines: list[dict[str, Any]], metric: str) -> float:
    """The sum of a metric."""
    return sum(float(line.get(metric, 0)) for line in lines)


def test_rows_and_classes_of_a_file_are_those_of_its_output(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    book = score_object(shop.registry.store, shop.predictor, KEY)
    lines = flushed(shop, capsys)
    assert book.rows is not None
    assert total(lines, "Rows") == book.rows.scored == ROWS
    assert total(lines, "Requests") == 0
    scored = shop.registry.store.get("batch/out/diagnosis/visits.csv").data.decode()
    labels = Counter(row["label"] for row in csv.DictReader(io.StringIO(scored)))
    assert {line["class"]: line["Predictions"] for line in lines if "class" in line} == labels
    assert all(value > 0 for line in lines for value in line.get("RunTime", []))
    assert {line["alias"] for line in lines if "Rows" in line} == {"production"}


def test_what_was_scored_is_let_go_chunk_by_chunk(shop: Shop) -> None:
    score_object(shop.registry.store, shop.predictor, KEY)
    assert not shop.predictor.telemetry.is_heavy()
    assert HEAVY_RECORDS > 1


def test_a_file_that_came_twice_is_counted_once(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        score_object(shop.registry.store, shop.predictor, KEY)
    assert total(flushed(shop, capsys), "Rows") == ROWS


def test_the_function_writes_metrics_when_its_handler_ends(shop: Shop, tmp_path: Path) -> None:
    from onnxlet.store import open_store
    from runtime_api import RuntimeApiStandIn, running

    url = (tmp_path / "served").as_uri()
    target = Shop(open_store(url), tmp_path / "other")
    target.publish_diagnosis()
    target.registry.store.put(KEY, shop.registry.store.get(KEY).data)
    event = json.loads((Path(__file__).parents[1] / "events" / "score-eventbridge.json").read_text())
    event["detail"]["object"]["key"] = KEY
    folder = Path(__file__).parents[2] / "functions" / "score"
    environ = {"ONNXLET_STORE": url, "ONNXLET_CACHE_DIR": str(tmp_path / "cache")}
    with RuntimeApiStandIn() as api, running(api, folder, environ) as function:
        answer = api.invoke(event).answer
        assert answer["scored"][0]["rows"]["scored"] == ROWS
        function.process.terminate()
        assert function.wait() == 0
        assert function.total("Rows") == ROWS
