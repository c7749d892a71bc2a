"""Alarms: every one is about a metric that functions write, and CloudWatch's API takes them as they are."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from cfnlint.api import lint_all
from click.testing import CliRunner, Result

from lambda_functions import Function
from models import tiny
from monitor import watched_models
from onnxlet.cli.root import cli
from onnxlet.monitor.cloudwatch.dashboard import MODEL_GRAPHS
from onnxlet.monitor.cloudwatch.rules import MODEL_RULES
from onnxlet.monitor.cloudwatch.template import model_alarms, model_dashboard
from onnxlet.store import Store, open_store
from onnxlet.telemetry import DRIFTED_COLUMNS
from onnxlet.values.keys import version_prefix
from onnxlet.values.timestamps import day_of, utc_now
from telemetry.embedded_metric_format import check
from write_alarms import PATH, written

EVENT = json.loads((Path(__file__).parents[1] / "events" / "predict-http-api.json").read_text())
TOPIC = "arn:aws:sns:us-east-1:111122223333:alarms"
ASKED = ("--function", "onnxlet-Predict", "--watch-function", "onnxlet-Watch")
Series = tuple[str, str, frozenset[tuple[str, str]]]
"""Namespace, metric, dimensions."""


def ask(function: Function, instance: object) -> dict[str, Any]:
    """Ask `diagnosis` for a prediction."""
    return function.invoke({**EVENT, "body": json.dumps({"instances": [instance]})})


def series_of(lines: list[str]) -> set[Series]:
    """The series that CloudWatch makes of lines of the embedded metric format, each held to its schema."""
    return {
        (directive["Namespace"], metric["Name"], frozenset((name, document[name]) for name in names))
        for document in map(check, lines)
        for directive in document["_aws"]["CloudWatchMetrics"]
        for names in directive["Dimensions"]
        for metric in directive["Metrics"]
    }


@pytest.fixture
def series(tmp_path: Path, capsys: pytest.CaptureFixture[str], s3_environment: str) -> set[Series]:
    """What Predict and Watch write in bad times."""
    assert s3_environment
    lines = predict_in_bad_times(tmp_path) + watch_after_drift(tmp_path)
    capsys.readouterr()
    return series_of(lines)


def predict_in_bad_times(tmp_path: Path) -> list[str]:
    """An error, a refused version, a store that is away."""
    store = open_store((tmp_path / "store").as_uri())
    tiny.publish(store, "diagnosis", tiny.classifier_package(tmp_path / "1", bias=1))
    environment = {"ONNXLET_STORE": store.url, "ONNXLET_CACHE_DIR": str(tmp_path / "cache")}
    function = Function("predict", environment | {"ONNXLET_TELEMETRY_ROWS": "1", "ONNXLET_ALIAS_TTL": "0"})
    row = dict.fromkeys(tiny.COLUMNS, 1.0)
    assert ask(function, row)["statusCode"] == 200
    tiny.publish(store, "diagnosis", tiny.classifier_package(tmp_path / "2", bias=2))
    store.put(version_prefix("diagnosis", 2) + "model.onnx", b"damaged")
    assert ask(function, row)["headers"]["X-Onnxlet-Fallback"] == "true"
    assert ask(function, {"radius": "wide"})["statusCode"] == 400
    (tmp_path / "store").rename(tmp_path / "away")
    (tmp_path / "store").touch()
    assert ask(function, row)["headers"]["X-Onnxlet-Stale"] == "true"
    return function.lines


def watch_after_drift(tmp_path: Path) -> list[str]:
    """A column that has drifted, of the newest day that is over."""
    store = open_store((tmp_path / "watched").as_uri())
    baseline = watched_models.publish(store, tmp_path / "watched models")
    for ago in (3, 2, 1):
        watched_models.count(store, baseline, day_of(utc_now() - timedelta(days=ago)), ago, shift=1.0 if ago < 3 else 0)
    function = Function("watch", {"ONNXLET_STORE": store.url})
    assert function.invoke({})["reported"] == ("diagnosis",)
    return function.lines


def metrics_of(request: dict[str, Any]) -> set[Series]:
    """The series that an alarm is about."""
    stats = [each["MetricStat"]["Metric"] for each in request.get("Metrics", ()) if "MetricStat" in each] or [request]
    return {
        (each["Namespace"], each["MetricName"], frozenset((d["Name"], d["Value"]) for d in each["Dimensions"]))
        for each in stats
    }


def test_every_alarm_is_about_series_that_functions_write(series: set[Series]) -> None:
    alarms = list(model_alarms("diagnosis", ["onnxlet-Predict"], ["onnxlet-Watch"], slow=500))
    assert [alarm.rule for alarm in alarms] == list(MODEL_RULES)
    for alarm in alarms:
        assert metrics_of(alarm.request) <= series, alarm.name


def test_every_line_of_the_dashboard_is_of_a_series_that_functions_write(series: set[Series]) -> None:
    body = model_dashboard("diagnosis", ["onnxlet-Predict"], ["onnxlet-Watch"], "eu-central-1", ["arn:aws:one"])
    widgets = body["widgets"]
    assert widgets[0]["properties"]["alarms"] == ["arn:aws:one"]
    for widget in widgets[1:]:
        for namespace, metric, *named, options in widget["properties"]["metrics"]:
            told = (namespace, metric, frozenset(zip(named[::2], named[1::2], strict=True)))
            assert told in series
            assert options["stat"]
    places = {(widget["x"], widget["y"]) for widget in widgets}
    assert len(places) == len(widgets)


def test_what_alarms_are_about_is_drawn() -> None:
    drawn = {metric for graph in MODEL_GRAPHS for metric, _ in graph.lines}
    assert {rule.metric for rule in MODEL_RULES} <= drawn
    assert len({rule.kind for rule in MODEL_RULES}) == len(MODEL_RULES)


@pytest.fixture
def store(s3_store_url: str, tmp_path: Path) -> Store:
    """A store with a model, in an account without alarms."""
    store = open_store(s3_store_url)
    tiny.publish(store, "diagnosis", tiny.classifier_package(tmp_path / "one"))
    client = boto3.client("cloudwatch")
    known = [alarm["AlarmName"] for alarm in client.describe_alarms()["MetricAlarms"]]
    if known:
        client.delete_alarms(AlarmNames=known)
    return store


def run(store: Store, *words: str) -> Result:
    return CliRunner().invoke(cli, ["--store", store.url, "alarms", "diagnosis", *words])


def test_applied_alarms_are_in_cloudwatch_and_applying_again_changes_nothing(store: Store) -> None:
    first = json.loads(run(store, *ASKED, "--topic", TOPIC, "--apply", "--json").stdout)
    assert set(first["alarms"].values()) == {"created"}
    client = boto3.client("cloudwatch")
    stored = {each["AlarmName"]: each for each in client.describe_alarms()["MetricAlarms"]}
    assert stored.keys() == first["alarms"].keys()
    for alarm in model_alarms("diagnosis", ["onnxlet-Predict"], ["onnxlet-Watch"], slow=1000, actions=[TOPIC]):
        assert {name: stored[alarm.name][name] for name in alarm.request} == alarm.request
    board = json.loads(client.get_dashboard(DashboardName=first["dashboard"])["DashboardBody"])
    assert board["widgets"][0]["properties"]["alarms"] == [stored[name]["AlarmArn"] for name in first["alarms"]]
    again = json.loads(run(store, *ASKED, "--topic", TOPIC, "--apply", "--json").stdout)
    assert set(again["alarms"].values()) == {"as it was"}
    changed = json.loads(run(store, *ASKED, "--topic", TOPIC, "--slow", "250", "--apply", "--json").stdout)
    assert {name for name, outcome in changed["alarms"].items() if outcome == "changed"} == {
        "onnxlet/onnxlet-Predict/diagnosis/slow"
    }
    name = "onnxlet/onnxlet-Predict/diagnosis/errors"
    client.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")
    (raised,) = client.describe_alarms(StateValue="ALARM")["MetricAlarms"]
    assert raised["AlarmName"] == name


def test_functions_are_found_by_what_they_told(store: Store) -> None:
    for metric, function in (("Requests", "found-Predict"), (DRIFTED_COLUMNS, "found-Watch")):
        named = [{"Name": "function", "Value": function}, {"Name": "model", "Value": "diagnosis"}]
        told = [{"MetricName": metric, "Value": 1.0, "Dimensions": named}]
        boto3.client("cloudwatch").put_metric_data(Namespace="Onnxlet", MetricData=told)
    shown = run(store).stdout
    assert "onnxlet/found-Predict/diagnosis/errors" in shown
    assert "onnxlet/found-Watch/diagnosis/drift" in shown


def test_the_template_is_one_that_cloudformation_takes(store: Store) -> None:
    template = run(store, *ASKED, "--topic", TOPIC, "--template").stdout
    assert [str(found) for found in lint_all(template) if not str(found.rule.id).startswith("I")] == []
    made = json.loads(template)["Resources"]
    assert sum(each["Type"] == "AWS::CloudWatch::Alarm" for each in made.values()) == len(MODEL_RULES)
    body = json.loads(made["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])
    assert body["widgets"][0]["properties"]["alarms"][0] == "${Alarm1.Arn}"


def test_what_cannot_be_done_is_said_with_what_to_do(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    both = run(store, *ASKED, "--apply", "--template")
    assert both.exit_code == 2
    unknown = CliRunner().invoke(cli, ["--store", store.url, "alarms", "diagnoses", *ASKED])
    assert "did you mean 'diagnosis'" in unknown.stderr
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert "apply them again" in run(store, *ASKED, "--apply").stderr
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(variable)
    assert "no AWS region is set" in run(store, *ASKED, "--apply").stderr


def test_without_functions_it_asks_for_their_names(s3_store_url: str, tmp_path: Path) -> None:
    store = open_store(s3_store_url)
    tiny.publish(store, "nobody-asked", tiny.classifier_package(tmp_path / "one"))
    told = CliRunner().invoke(cli, ["--store", store.url, "alarms", "nobody-asked"])
    assert told.exit_code == 1
    assert "--function" in told.stderr


def test_the_stacks_alarms_are_those_of_the_table() -> None:
    assert PATH.read_text() == written()


def test_the_page_tells_the_table_and_a_pattern_that_hears_every_alarm_of_a_model() -> None:
    page = (Path(__file__).parents[2] / "docs" / "alarms.md").read_text()
    for rule in MODEL_RULES:
        assert f"| `{rule.kind}` | {rule.says} |" in page
    for name in yaml.safe_load(PATH.read_text())["Resources"]:
        assert name == "Dashboard" or f"`{name}`" in page
    (pattern,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    (heard,) = json.loads(pattern)["detail"]["alarmName"]
    for model, hears in (("diagnosis", True), ("prognosis", False)):
        for alarm in model_alarms(model, ["onnxlet-Predict"], ["onnxlet-Watch"], slow=1000):
            assert fnmatchcase(alarm.name, heard["wildcard"]) is hears
