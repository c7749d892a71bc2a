"""What a store holds, as people and scripts read it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from command_line import Run, read_json
from models import tiny
from onnxlet.registry.registry import Registry
from onnxlet.values.manifest import Evaluation


def test_list_shows_models_and_versions(run: Run, diagnosis: str) -> None:
    run("promote", "diagnosis:2", "--to", "candidate")
    assert [line.split() for line in run("list").stdout.splitlines()] == [
        ["MODEL", "VERSIONS", "LATEST", "PRODUCTION", "OTHER", "ALIASES"],
        ["diagnosis", "2", "2", "1", "candidate", "2"],
    ]
    assert read_json(run("list", "--json")) == [
        {"model": "diagnosis", "versions": [1, 2], "aliases": {"candidate": "2", "production": "1"}}
    ]
    versions = read_json(run("list", diagnosis, "--json"))
    assert [(v["number"], v["state"], v["aliases"]) for v in versions] == [
        *((1, "published", ["production"]), (2, "published", ["candidate"])),
    ]
    assert "candidate" in run("list", diagnosis).stdout


@pytest.fixture
def measured(registry: Registry, tmp_path: Path) -> str:
    """A model of three versions, two of which were measured."""
    draft, files = tiny.classifier_package(tmp_path / "measured")
    for accuracy in (0.95, 0.96):
        evaluation = Evaluation("onnx", 114, {"accuracy": accuracy, "rmse": 1 - accuracy, "largest_distance": 1e-7})
        registry.publish("measured", replace(draft, evaluations=(evaluation,)), files)
    registry.publish("measured", draft, files)
    registry.promote("measured", 1)
    return "measured"


def test_versions_are_listed_with_their_metrics_and_sorted_by_them(run: Run, measured: str) -> None:
    head, *lines = (line.split() for line in run("list", measured).stdout.splitlines())
    assert head == ["VERSION", "STATE", "CREATED", "SIZE", "ACCURACY", "RMSE", "ALIASES"]
    assert [line[5:7] for line in lines] == [["0.95", "0.05"], ["0.96", "0.04"], []]
    for metric in ("accuracy", "rmse"):
        best = read_json(run("list", measured, "--sort", metric, "--json"))
        assert [version["number"] for version in best] == [2, 1, 3]
        assert best[0]["metrics"] == {"accuracy": 0.96, "rmse": pytest.approx(0.04)}
    unknown = run("list", measured, "--sort", "auc")
    assert (unknown.exit_code, unknown.stdout) == (1, "")
    assert "no version has the metric 'auc', only 'accuracy', 'rmse'" in unknown.stderr
    assert run("list", "--sort", "accuracy").exit_code == 2


def test_versions_are_compared_side_by_side(run: Run, measured: str) -> None:
    compared = run("compare", "measured", "measured:2")
    assert compared.exit_code == 0
    head, *lines = compared.stdout.splitlines()
    assert head.split() == ["MEASURED:1", "MEASURED:2"]
    assert [line.split() for line in lines[:4]] == [
        ["accuracy", "0.95", "0.96"],
        ["rmse", "0.05", "0.04"],
        ["contract", "none", "none"],
        ["golden", "cases", "1", "1"],
    ]
    assert compared.stderr == "note: not all were judged on the same rows: a difference may be that of the rows\n"
    document = read_json(run("compare", measured, "--json"))
    assert list(document["versions"]) == ["measured:1", "measured:2", "measured:3"]
    assert document["versions"]["measured:2"]["metrics"]["accuracy"] == 0.96
    assert document["versions"]["measured:3"]["metrics"] == {}
    assert document["note"].startswith("not all were judged")
    assert run("compare", "measured:9").exit_code == 1
    assert run("compare").exit_code == 2


def test_an_empty_store_lists_nothing_and_says_so(run: Run) -> None:
    result = run("list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no models" in result.stderr
    assert read_json(run("list", "--json")) == []


def test_show_tells_a_version_and_its_manifest(run: Run, registry: Registry, diagnosis: str) -> None:
    text = run("show", diagnosis).stdout
    for part in ("diagnosis:1", "radius, texture, area", "benign, malignant", "model.onnx", "golden.json"):
        assert part in text
    manifest = read_json(run("show", "diagnosis:2", "--json"))
    assert manifest == json.loads(registry.store.get("models/diagnosis/2/manifest.json").data)
