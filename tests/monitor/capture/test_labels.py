"""Labels: joined by request id with what was captured, late, repeated and in conflict; accuracy with intervals."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper
from scipy.stats import binomtest

import onnxlet
from doors import COLUMNS, FEATURES, Shop, spec
from onnxlet.cli.root import cli
from onnxlet.dataplane.messages import Request
from onnxlet.errors import InvalidInputError
from onnxlet.monitor.capture.accuracy import bootstrap, brier, calibration_error, reliability, wilson
from onnxlet.monitor.capture.data_key import DataKey
from onnxlet.monitor.capture.labels import (
    GivenLabel,
    bring_labels,
    check_joinable,
    give_labels,
    joinable_models,
    read_label_file,
    read_labels,
)
from onnxlet.monitor.capture.truths import same
from onnxlet.monitor.capture.watcher import CapturedRows
from onnxlet.monitor.report.document import decode_report, read_report
from onnxlet.monitor.report.labels import DayLabels, Labels, VersionLabels, find_falls
from onnxlet.monitor.report.scope import Scope
from onnxlet.monitor.tensorboard.measures import measure_labels
from onnxlet.steps import Classification, Steps
from onnxlet.store import Store, open_store
from onnxlet.telemetry.recording import Telemetry

POLICY: dict[str, Any] = {
    "columns": {COLUMNS[0]: {"rule": "bucket", "edges": [0]}},
    "outputs": {"label": "keep", "probability": "keep"},
    "request_id": "keep",
    "slices": [COLUMNS[0]],
}
NOW = datetime(2026, 12, 1, tzinfo=UTC)


class Ward:
    """A classifier that captures what it answers."""

    def __init__(self, store: Store, folder: Path, policy: dict[str, Any]) -> None:
        self.store = store
        telemetry = Telemetry(rows=100_000)
        telemetry.watch_with(lambda: CapturedRows(store, lambda: DataKey(b"k" * 32), lambda *_: None))
        self.telemetry = telemetry
        self.shop = Shop(store, folder, telemetry=telemetry, alias_ttl=0)
        self.shop.publish_diagnosis(policy=policy)

    def ask(self, request_id: str, rows: int = 1, *, seed: int = 0) -> list[str]:
        """The labels that were told."""
        sent = np.random.default_rng(seed).normal(size=(rows, FEATURES)).astype(np.float32)
        body = orjson.dumps({"instances": sent.tolist()})
        answer = self.shop.dataplane.answer(Request("POST", "/v1/models/diagnosis:predict", body=body, id=request_id))
        assert isinstance(answer.body, bytes)
        self.telemetry.flush()
        return [each["label"] for each in json.loads(answer.body)["predictions"]]


@pytest.fixture
def ward(store: Store, tmp_path: Path) -> Ward:
    return Ward(store, tmp_path, POLICY)


def bring(store: Store, *labels: GivenLabel, now: datetime = NOW) -> tuple[int, int, int, int, int, int]:
    (done,) = bring_labels(store, ["diagnosis"], labels, now)
    return done.new, done.changed, done.known, done.conflicting, done.unknown, done.ambiguous


def test_labels_are_stored_once_and_of_two_the_later_counts(ward: Ward) -> None:
    ward.ask("visit-1")
    ward.ask("visit-2", 3)
    first = [GivenLabel("visit-1", "benign"), GivenLabel("visit-2", "malignant", 1)]
    assert bring(ward.store, *first) == (2, 0, 0, 0, 0, 0)
    assert bring(ward.store, *first) == (0, 0, 2, 0, 0, 0)
    assert len(list(ward.store.list("labels/"))) == 1, "what is known is not written again"
    assert bring(ward.store, GivenLabel("visit-1", "malignant"), now=NOW.replace(day=2)) == (0, 1, 0, 0, 0, 0)
    labels = read_labels(ward.store, "diagnosis")
    assert {place: label.label for place, label in labels.items()} == {
        ("visit-1", 0, ""): "malignant",
        ("visit-2", 1, ""): "malignant",
    }


def test_conflicts_strangers_and_labels_without_a_row_are_counted(ward: Ward) -> None:
    ward.ask("visit-1")
    ward.ask("visit-2", 3)
    given = [
        GivenLabel("visit-1", "benign"),
        GivenLabel("visit-1", "malignant"),
        GivenLabel("visit-2", "benign"),
        GivenLabel("visit-2", "benign", 7),
        GivenLabel("nobody", "benign"),
    ]
    assert bring(ward.store, *given) == (1, 0, 0, 1, 2, 1)
    assert read_labels(ward.store, "diagnosis")["visit-1", 0, ""].label == "malignant"
    assert "nobody" not in str(read_labels(ward.store, "diagnosis")), "of strangers nothing is kept"


def test_labels_that_are_no_class_of_the_model_are_counted_and_kept(ward: Ward) -> None:
    for number in range(3):
        ward.ask(f"visit-{number}")
    given = [
        GivenLabel("visit-0", "Benign"),
        GivenLabel("visit-1", "benign"),
        GivenLabel("visit-2", "borderline", output="label"),
        GivenLabel("nobody", "Benign"),
    ]
    (done,) = bring_labels(ward.store, ["diagnosis"], given, NOW)
    assert (done.new, done.foreign, done.unknown) == (3, 2, 1)
    assert read_labels(ward.store, "diagnosis")["visit-2", 0, "label"].label == "borderline"


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({}, "the capture policy of diagnosis:1 keeps too little"),
        ({**POLICY, "request_id": "hash"}, '"request_id": "keep"'),
        ({**POLICY, "version": "drop"}, '"version": "keep"'),
        ({**POLICY, "outputs": {}}, "and an output"),
        (POLICY, "no rows of 'diagnosis' are captured yet"),
    ],
)
def test_a_policy_that_keeps_too_little_is_told_what_labels_take(
    store: Store, tmp_path: Path, policy: dict[str, Any], said: str
) -> None:
    ward = Ward(store, tmp_path, policy)
    if policy is not POLICY:
        ward.ask("visit-1")
    assert joinable_models(store) == []
    with pytest.raises(InvalidInputError) as raised:
        check_joinable(store, "diagnosis", 1)
    assert said in str(raised.value)


def test_a_version_without_a_policy_is_told_how_it_gets_one(store: Store, tmp_path: Path) -> None:
    Shop(store, tmp_path).publish_echo("echo", "FP32", -1, 2)
    with pytest.raises(InvalidInputError, match=r"echo:1 has no capture policy.*--capture-policy"):
        check_joinable(store, "echo", 1)


def test_accuracy_is_told_by_version_slice_and_day_with_intervals(ward: Ward) -> None:
    told = {f"visit-{number}": ward.ask(f"visit-{number}", seed=number)[0] for number in range(60)}
    wrong = {request for number, request in enumerate(told) if number % 6 == 0}
    other = {"benign": "malignant", "malignant": "benign"}
    truths = [GivenLabel(request, other[label] if request in wrong else label) for request, label in told.items()]
    assert bring(ward.store, *truths[:48])[0] == 48
    report = read_report(Scope(ward.store, "diagnosis", [1]), written=NOW)
    section = report.sections["labels"]
    assert isinstance(section, Labels)
    (version,) = section.versions
    assert (version.rows, version.labelled, version.coverage) == (60, 48, 0.8)
    accuracy = version.figures["accuracy"]
    interval = binomtest(40, 48).proportion_ci(method="wilson")
    assert (accuracy.value, accuracy.low, accuracy.high) == pytest.approx((40 / 48, interval.low, interval.high))
    assert version.figures["brier"].low <= version.figures["brier"].value <= version.figures["brier"].high
    assert sum(each.rows for each in version.bins) == 48
    assert sum(each.labelled for each in version.slices) == 48
    assert {each.value for each in version.slices} == {"< 0", ">= 0"}
    (day,) = version.days
    assert (day.labelled, day.accuracy) == (48, accuracy)
    assert decode_report(report.encode()) == report
    assert "Accuracy by labels" in report.page()
    assert "0.8333" in report.parts()[1][1][0].text()


def test_fewer_than_five_labels_are_not_told(ward: Ward) -> None:
    for number in range(6):
        ward.ask(f"visit-{number}", seed=number)
    bring(ward.store, *(GivenLabel(f"visit-{number}", "benign") for number in range(4)))
    assert "labels" not in read_report(Scope(ward.store, "diagnosis", [1]), written=NOW).sections


def test_an_object_that_is_no_capture_is_passed_over_and_said(ward: Ward, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(6):
        ward.ask(f"visit-{number}", seed=number)
    ward.store.put("capture/diagnosis/1/2026-11-29/junk.jsonl.gz", b"junk")
    assert bring(ward.store, *(GivenLabel(f"visit-{number}", "benign") for number in range(6)))[0] == 6
    assert "labels" in read_report(Scope(ward.store, "diagnosis", [1]), written=NOW).sections
    assert "'capture/diagnosis/1/2026-11-29/junk.jsonl.gz' holds no captured rows" in caplog.text


def test_numbers_are_told_by_their_errors(store: Store, tmp_path: Path) -> None:
    telemetry = Telemetry()
    telemetry.watch_with(lambda: CapturedRows(store, lambda: DataKey(b"k" * 32), lambda *_: None))
    shop = Shop(store, tmp_path, telemetry=telemetry)
    graph_input, output = "x", "dose"
    shop.publish_echo("dose", "FP32", -1, 1, output=output)
    draft = shop.registry.manifest("dose", 1)
    assert draft.policy is None
    shop.publish(
        "dose",
        [spec(graph_input, "FP32", -1, 1)],
        [spec(output, "FP32", -1, 1)],
        [helper.make_node("Identity", [graph_input], [output])],
        policy={"outputs": {output: "keep"}, "request_id": "keep"},
    )
    for number in range(30):
        body = orjson.dumps({"instances": [[float(number)]]})
        shop.dataplane.answer(Request("POST", "/v1/models/dose/versions/2:predict", body=body, id=f"v{number}"))
    telemetry.flush()
    bring_labels(store, ["dose"], [GivenLabel(f"v{number}", number + 0.5) for number in range(30)], NOW)
    section = read_report(Scope(store, "dose", [2]), written=NOW).sections["labels"]
    assert isinstance(section, Labels)
    figures = section.versions[0].figures
    assert figures.keys() == {"mae", "rmse"}
    assert figures["mae"].value == figures["rmse"].value == 0.5


STAGES = ("I", "II", "III")


@pytest.fixture
def staging(store: Store, tmp_path: Path) -> dict[str, dict[str, str]]:
    """What a version that tells an outcome and a stage answered to 40 requests, by request."""
    telemetry = Telemetry()
    telemetry.watch_with(lambda: CapturedRows(store, lambda: DataKey(b"k" * 32), lambda *_: None))
    shop = Shop(store, tmp_path, telemetry=telemetry)
    random = np.random.default_rng(3)
    weights = {name: random.normal(size=(4, size)).astype(np.float32) for name, size in (("w", 2), ("v", 3))}
    nodes = [
        node
        for name, at in (("w", "outcome"), ("v", "stage"))
        for node in (
            helper.make_node("MatMul", ["x", name], [f"logits {at}"]),
            helper.make_node("Softmax", [f"logits {at}"], [f"scores {at}"], axis=1),
            helper.make_node("ArgMax", [f"logits {at}"], [f"class {at}"], axis=1, keepdims=0),
        )
    ]
    targets = (("outcome", ("benign", "malignant")), ("stage", STAGES))
    shop.publish(
        "staging",
        [spec("x", "FP32", -1, 4)],
        [
            tensor
            for at, names in targets
            for tensor in (spec(f"class {at}", "INT64", -1), spec(f"scores {at}", "FP32", -1, len(names)))
        ],
        nodes,
        weights=weights,
        served=[
            tensor
            for at, _ in targets
            for tensor in (spec(f"label_{at}", "BYTES", -1), spec(f"probability_{at}", "FP32", -1))
        ],
        steps=Steps(
            tuple(
                Classification(f"class {at}", f"scores {at}", names, tuple(range(len(names))), target=at)
                for at, names in targets
            )
        ),
        policy={
            "outputs": {f"{kind}_{at}": "keep" for kind in ("label", "probability") for at, _ in targets},
            "request_id": "keep",
        },
    )
    told = {}
    for number in range(40):
        body = orjson.dumps({"instances": random.normal(size=(1, 4)).tolist()})
        answer = shop.dataplane.answer(Request("POST", "/v1/models/staging:predict", body=body, id=f"visit-{number}"))
        assert isinstance(answer.body, bytes)
        told[f"visit-{number}"] = json.loads(answer.body)["predictions"][0]
    telemetry.flush()
    return told


def test_each_of_several_targets_is_judged_by_its_own_labels(store: Store, staging: dict[str, dict[str, str]]) -> None:
    """All outcomes are right, of the stages those of every other request; the first target needs no name."""
    lines = [{"request_id": request, "label": row["label_outcome"]} for request, row in staging.items()]
    for number, (request, row) in enumerate(staging.items()):
        stage = STAGES[(STAGES.index(row["label_stage"]) + number % 2) % 3]
        lines.append({"request_id": request, "output": "label_stage", "label": stage})
    lines.append({"request_id": "visit-1", "output": "label_grade", "label": "G1"})
    (done,) = bring_labels(store, ["staging"], give_labels(lines), NOW)
    assert (done.new, done.conflicting, done.unknown, done.foreign) == (80, 0, 1, 0)
    report = read_report(Scope(store, "staging", [1]), written=NOW)
    section = decode_report(report.encode()).sections["labels"]
    assert isinstance(section, Labels)
    told = {each.output: each for each in section.versions}
    assert {name: (it.labelled, it.figures["accuracy"].value) for name, it in told.items()} == {
        "label_outcome": (40, 1.0),
        "label_stage": (40, 0.5),
    }
    assert all(it.figures["brier"].value >= 0 and sum(bar.rows for bar in it.bins) == 40 for it in told.values())
    assert "accuracy by day, label_stage, version 1" in report.page()
    measured = {tag: value for _, tag, value in measure_labels(section)}
    assert (measured["accuracy of label_outcome"], measured["accuracy of label_stage"]) == (1.0, 0.5)


def test_of_the_first_targets_labels_with_and_without_its_name_the_later_counts(
    store: Store, staging: dict[str, dict[str, str]]
) -> None:
    def judged() -> float:
        section = read_report(Scope(store, "staging", [1]), written=NOW).sections["labels"]
        assert isinstance(section, Labels)
        return section.versions[0].figures["accuracy"].value

    other = {"benign": "malignant", "malignant": "benign"}
    wrong = [GivenLabel(request, other[row["label_outcome"]]) for request, row in staging.items()]
    right = [GivenLabel(it, row["label_outcome"], output="label_outcome") for it, row in staging.items()]
    bring_labels(store, ["staging"], wrong, NOW)
    assert judged() == 0
    bring_labels(store, ["staging"], right, NOW.replace(day=2))
    assert judged() == 1


def test_a_fall_of_one_target_is_found_under_its_name() -> None:
    days = (DayLabels("2026-11-29", 200, 200, wilson(100, 200)),)
    falls = Labels(tuple(VersionLabels(1, 200, 200, 1.0, 0.9, {}, (), (), days, name) for name in ("a", "b")))
    assert [found.about for found in find_falls(falls)] == ["a", "b"]


def test_a_fall_below_the_held_out_accuracy_is_found_and_chance_is_not() -> None:
    def version(share: float, rows: int = 200) -> VersionLabels:
        days = (DayLabels("2026-11-29", rows, rows, wilson(round(share * rows), rows)),)
        return VersionLabels(3, rows, rows, 2.0, 0.93, {}, (), (), days)

    assert find_falls(Labels((version(0.91), version(0.5, 10)))) == []
    (found,) = find_falls(Labels((version(0.80),)))
    assert (found.kind, found.version, found.day) == ("accuracy", 3, "2026-11-29")
    assert found.says == "of 200 labelled rows 80.0% were right, of held-out rows 93.0%"


@given(st.integers(0, 400), st.integers(1, 400))
def test_wilsons_interval_is_scipys(right: int, more: int) -> None:
    rows = right + more
    ours, theirs = wilson(right, rows), binomtest(right, rows).proportion_ci(method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-6)


def test_calibrated_probabilities_have_a_small_error_and_overconfident_ones_a_large_one() -> None:
    random = np.random.default_rng(0)
    probabilities = random.uniform(0.5, 1, 20_000)
    right = (random.random(20_000) < probabilities).astype(float)
    assert calibration_error(probabilities, right) < 0.01
    overconfident = np.full(20_000, 0.99)
    assert calibration_error(overconfident, right) == pytest.approx(0.99 - right.mean())
    assert brier(overconfident, right) == pytest.approx(np.mean((0.99 - right) ** 2))
    figure = bootstrap(calibration_error, overconfident, right)
    assert figure.low < figure.value < figure.high
    assert bootstrap(calibration_error, overconfident, right) == figure
    bins = reliability(np.array([0.05] * 3 + [0.95] * 30), np.ones(33), 5)
    assert [each.rows for each in bins] == [33]


def test_values_mean_the_same_however_a_file_writes_them() -> None:
    assert same("benign", "benign")
    assert same(1, "1")
    assert same(1, "1.0")
    assert same(True, "true")
    assert not same("1", "one")
    assert not same(None, "1")


def run(url: str, *arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli, ["--store", url, *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_the_command_joins_files_and_watch_tells_accuracy(tmp_path: Path, directory_url: str) -> None:
    ward = Ward(open_store(directory_url), tmp_path / "shop", POLICY)
    told = {f"visit-{number}": ward.ask(f"visit-{number}", seed=number)[0] for number in range(30)}
    lines = "".join(f"{request},{label}\n" for request, label in told.items())
    (tmp_path / "outcomes.csv").write_text(f"request_id,label\n{lines}nobody,benign\n")
    code, document, said = run(directory_url, "label", str(tmp_path / "outcomes.csv"), "--json")
    assert code == 0, said
    assert [(each["model"], each["new"], each["unknown"]) for each in json.loads(document)] == [("diagnosis", 30, 1)]
    assert "1 labels are of requests or rows that were not captured" in said
    code, shown, _ = run(directory_url, "watch", "diagnosis")
    assert code == 0
    assert "Accuracy by labels" in shown
    assert "1 (0.8865 to 1)" in shown
    (tmp_path / "more.jsonl").write_text('{"request_id": "visit-3", "label": "other", "row": 0}\n')
    code, shown, _ = run(directory_url, "label", str(tmp_path / "more.jsonl"), "--model", "diagnosis")
    assert (code, shown.splitlines()[-1].split()[:3]) == (0, ["diagnosis", "0", "1"])
    registry = onnxlet.Registry(directory_url)
    assert registry.label([{"request_id": "visit-4", "label": told["visit-4"]}])[0].known == 1
    _, days, _ = run(directory_url, "capture", "list")
    assert "diagnosis" in days
    _, rows, _ = run(directory_url, "capture", "show", "diagnosis", "--request-id", "visit-7")
    assert [json.loads(line)["id"] for line in rows.splitlines()] == ["visit-7"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "id,label\nvisit-1,\n", "line 2 has no label"),
        ("a.csv", "visit,label\nvisit-1,benign\n", "line 2 has no request_id"),
        ("a.csv", "request_id,label,row\nvisit-1,benign,first\n", "line 2 has a row that is no number"),
        ("a.jsonl", '{"request_id": "visit-1", "label": 1, "output": 7}', "line 1 has an output that is no name"),
        ("a.jsonl", '{"request_id": "visit-1"', "line 1 is no JSON object"),
        ("a.jsonl", '{"request_id": 7, "label": 1}', "line 1 has no request_id, a text"),
    ],
)
def test_files_that_are_no_labels_are_refused_without_quoting_them(
    ward: Ward, tmp_path: Path, name: str, text: str, said: str
) -> None:
    (tmp_path / name).write_text(text)
    code, _, told = run(ward.store.url, "label", str(tmp_path / name))
    assert code == 1
    assert said in told
    assert "visit-1" not in told


@pytest.mark.parametrize("written", ["a.csv", "a.jsonl"])
def test_cells_hold_whatever_ends_lines_elsewhere(tmp_path: Path, written: str) -> None:
    rows = [{"request_id": "visit-1", "label": "benign", "note": "seen\u2028twice\nat\x0bnight"}]
    rows.append({"request_id": "visit-2", "label": "mal\u0085ignant", "note": ""})
    file = tmp_path / written
    if written == "a.csv":
        pd.DataFrame(rows).to_csv(file, index=False)
    else:
        pd.DataFrame(rows).to_json(file, orient="records", lines=True, force_ascii=False)
    assert [(each.id, each.label) for each in read_label_file(file)] == [
        ("visit-1", "benign"),
        ("visit-2", "mal\u0085ignant"),
    ]


def test_a_store_that_captures_nothing_says_what_labels_take(tmp_path: Path, directory_url: str) -> None:
    (tmp_path / "a.csv").write_text("request_id,label\nvisit-1,benign\n")
    code, _, told = run(directory_url, "label", str(tmp_path / "a.csv"))
    assert code == 1
    assert "a capture policy must keep" in told
    assert "nothing is captured" in run(directory_url, "capture", "list")[2]
