"""What a store holds, as people and scripts read it."""

from __future__ import annotations

import json

from command_line import Run, read_json
from onnxlet.registry.registry import Registry


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
