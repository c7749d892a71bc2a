"""Metrics of real predictions, as CloudWatch reads them."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doors import FEATURES, Shop
from onnxlet.store import Store
from onnxlet.telemetry.embedded import EmbeddedMetrics
from onnxlet.telemetry.recording import Observation, Telemetry
from onnxlet.telemetry.tallies import BINS, MOST_SERIES, quantile
from telemetry.embedded_metric_format import check

Document = dict[str, Any]


@pytest.fixture
def shop(store: Store, tmp_path: Path) -> Shop:
    """A shop with the classifier, whose telemetry writes CloudWatch's metrics."""
    telemetry = Telemetry()
    telemetry.watch_with(lambda: EmbeddedMetrics("predict"))
    shop = Shop(store, tmp_path, telemetry=telemetry)
    shop.publish_diagnosis()
    return shop


@pytest.fixture
def written(shop: Shop, capsys: pytest.CaptureFixture[str]) -> Written:
    """What the shop's telemetry writes, flush by flush."""
    return Written(shop, capsys)


class Written:
    """Flushes, and reads every line as CloudWatch does."""

    def __init__(self, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        self._shop = shop
        self._capsys = capsys

    def __call__(self) -> list[Document]:
        """The lines since the last time."""
        self._shop.predictor.telemetry.flush()
        return [check(line) for line in self._capsys.readouterr().out.splitlines()]


def main_line(lines: list[Document], **wanted: str) -> Document:
    """The one line of these members that is of no kind, output or class."""
    (found,) = [
        line
        for line in lines
        if not {"kind", "output"} & line.keys() and wanted.items() <= line.items() and "Requests" in line
    ]
    return found


def rows_of(count: int, seed: int = 0) -> list[list[float]]:
    """Rows of the classifier."""
    rows: list[list[float]] = np.random.default_rng(seed).normal(size=(count, FEATURES)).tolist()
    return rows


def test_one_request_is_one_line_under_its_model_version_and_alias(shop: Shop, written: Written) -> None:
    body = json.dumps({"instances": rows_of(3)})
    answer = shop.predict("diagnosis", body)
    lines = written()
    line = main_line(lines, alias="production")
    assert {name: line[name] for name in ("function", "model", "version", "alias")} == {
        "function": "predict",
        "model": "diagnosis",
        "version": "1",
        "alias": "production",
    }
    assert (line["Requests"], line["Rows"], line["ColdStarts"]) == (1, 3, 1)
    assert (line["RequestBytes"], line["ResponseBytes"]) == (len(body), len(answer.body))
    (total,), (run,) = line["TotalTime"], line["RunTime"]
    assert total > run > 0
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Onnxlet"
    assert directive["Dimensions"] == [["function", "model"], ["function", "model", "version", "alias"]]
    units = {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]}
    assert (units["TotalTime"], units["RequestBytes"], units["Rows"]) == ("Milliseconds", "Bytes", "Count")
    (load,) = [line for line in lines if "LoadTime" in line]
    assert (load["version"], load["alias"]) == ("1", "-")
    assert min(load["LoadTime"] + load["FetchTime"]) > 0


def test_only_the_first_request_is_a_cold_start(shop: Shop, written: Written) -> None:
    for _ in range(3):
        shop.predict("diagnosis", json.dumps({"instances": rows_of(1)}))
    assert main_line(written())["ColdStarts"] == 1
    shop.predict("diagnosis", json.dumps({"instances": rows_of(1)}))
    assert "ColdStarts" not in main_line(written())


def test_nothing_happened_and_nothing_is_written(written: Written) -> None:
    written()
    assert written() == []


def test_errors_are_counted_by_kind_and_unknown_names_under_none(shop: Shop, written: Written) -> None:
    shop.predict("diagnosis", "{}")
    shop.predict("diagnosis", "no JSON")
    for number in range(500):
        shop.predict(f"guess-{number}", "{}")
    lines = written()
    assert main_line(lines, model="diagnosis")["Errors"] == 2
    assert main_line(lines, model="-")["Errors"] == 500
    kinds = {(line["model"], line["kind"]): line["Errors"] for line in lines if "kind" in line}
    assert kinds == {("diagnosis", "invalid-input"): 2, ("-", "model-not-found"): 500}
    assert {line["model"] for line in lines} == {"diagnosis", "-"}


def test_values_beyond_a_hundred_go_into_more_lines(shop: Shop, written: Written) -> None:
    for _ in range(250):
        shop.predict("diagnosis", json.dumps({"instances": rows_of(1)}))
    lines = [line for line in written() if line["alias"] == "production" and "TotalTime" in line]
    assert [len(line["TotalTime"]) for line in lines] == [100, 100, 50]
    assert [line.get("Requests") for line in lines] == [250, None, None]


def session_says(shop: Shop, rows: list[list[float]]) -> tuple[dict[str, int], list[float]]:
    """What ONNX Runtime itself says of the rows: how many are of each class, and their probabilities."""
    (path,) = Path(shop.settings.cache_dir).rglob("model.onnx")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    classes, scores = session.run(["class", "scores"], {"features": np.asarray(rows, np.float32)})
    names = ("malignant", "benign")
    counts: dict[str, int] = defaultdict(int)
    for number in classes:
        counts[names[number]] += 1
    return counts, [float(row.max()) for row in scores]


def test_classes_and_score_quantiles_are_those_of_the_model(shop: Shop, written: Written) -> None:
    rows = rows_of(400)
    for start in range(0, 400, 50):
        shop.predict("diagnosis", json.dumps({"instances": rows[start : start + 50]}))
    lines = written()
    counts, scores = session_says(shop, rows)
    told = {line["class"]: line["Predictions"] for line in lines if "class" in line}
    assert told == counts
    (quantiles,) = [line for line in lines if "ScoreP50" in line]
    for name, share in (("ScoreP10", 0.1), ("ScoreP50", 0.5), ("ScoreP90", 0.9)):
        assert quantiles[name] == pytest.approx(np.quantile(scores, share), abs=0.02)
    assert (quantiles["output"], quantiles["version"]) == ("label", "1")


def test_outcomes_of_fewer_than_twenty_rows_wait_for_more(shop: Shop, written: Written) -> None:
    rows = rows_of(24)
    shop.predict("diagnosis", json.dumps({"instances": rows[:19]}))
    assert not [line for line in written() if "class" in line or "ScoreP50" in line]
    shop.predict("diagnosis", json.dumps({"instances": rows[19:]}))
    assert sum(line.get("Predictions", 0) for line in written()) == 24


def test_no_line_holds_a_value_of_an_input_or_an_output(
    shop: Shop, capsys: pytest.CaptureFixture[str], written: Written
) -> None:
    row = [0.23456789, *rows_of(1)[0][1:]]
    answer = json.loads(shop.predict("diagnosis", json.dumps({"instances": [row] * 25})).body)
    shop.predict("diagnosis", json.dumps({"instances": [["Mrs. Jones"] * FEATURES]}))
    del written
    shop.predictor.telemetry.flush()
    text = capsys.readouterr().out
    assert "2345678" not in text
    assert "Jones" not in text
    for value in answer["predictions"][0]["probabilities"]:
        assert 0 < value < 1
        assert repr(value) not in text


def test_more_models_than_are_told_apart_become_others(shop: Shop, written: Written) -> None:
    served = shop.predictor.served
    from onnxlet.values.refs import Ref

    known = served(Ref("diagnosis"))
    for number in range(MOST_SERIES + 50):
        shop.predictor.telemetry.observe(
            Observation(1.0, "id", "", f"model-{number}", known, None, 200, None, 1, 1, 0.1)
        )
    lines = [line for line in written() if "Requests" in line]
    assert len(lines) <= MOST_SERIES + 1
    assert main_line(lines, model="other")["Requests"] >= 50


def test_what_stands_in_for_a_damaged_version_is_counted(shop: Shop, written: Written, tmp_path: Path) -> None:
    store, body = shop.registry.store, json.dumps({"instances": rows_of(1)})
    impatient = Shop(store, tmp_path / "impatient", telemetry=shop.predictor.telemetry, alias_ttl=0)
    assert impatient.predict("diagnosis", body).status == 200
    written()
    damaged = tmp_path / "damaged"
    damaged.write_bytes(b"another")
    store.put(f"models/diagnosis/{shop.publish_diagnosis()}/model.onnx", damaged)
    assert impatient.predict("diagnosis", body).headers["X-Onnxlet-Fallback"] == "true"
    lines = written()
    assert main_line(lines, alias="production", version="1")["Fallback"] == 1
    assert [(line["version"], line["LoadFailure"]) for line in lines if "LoadFailure" in line] == [("2", 1)]


def test_the_check_itself_refuses_what_cloudwatch_would() -> None:
    good = {
        "_aws": {
            "Timestamp": 1,
            "CloudWatchMetrics": [{"Namespace": "N", "Dimensions": [["a"]], "Metrics": [{"Name": "m"}]}],
        },
        "a": "x",
        "m": 1,
    }
    check(json.dumps(good))
    bad: Document
    for bad in ({"m": "1"}, {"m": [1] * 101}, {"a": 3}, {"a": ""}, {"_aws": {}}):
        with pytest.raises(jsonschema.ValidationError):
            check(json.dumps(good | bad))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=300), st.sampled_from([0.1, 0.5, 0.9]))
def test_a_quantile_of_bins_is_within_a_bin_of_the_real_one(values: list[float], share: float) -> None:
    bins = [0] * BINS
    for value in values:
        bins[min(int(value * BINS), BINS - 1)] += 1
    exact = float(np.quantile(values, share, method="inverted_cdf"))
    assert quantile(bins, share) == pytest.approx(exact, abs=1 / BINS)
