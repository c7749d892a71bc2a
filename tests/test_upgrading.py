"""What an earlier onnxlet wrote is read, served and published: docs/upgrading.md, tried on a stored old example."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient

from onnxlet.batch.local_files import score_path
from onnxlet.cli import cli
from onnxlet.controlplane.app import create_app
from onnxlet.dataplane.dispatch import DataPlane
from onnxlet.dataplane.messages import Request
from onnxlet.registry.registry import Registry
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.steps import Classification, Column, Steps, Tabular, decode_steps
from onnxlet.store import open_store
from onnxlet.toolchain.workbench.directory import read_draft
from onnxlet.values.digests import digest
from onnxlet.values.keys import manifest_key
from onnxlet.values.manifest import SCHEMA, decode_manifest
from onnxlet.values.refs import parse_ref

STORED = Path(__file__).parent / "stored" / "schema-1"
ANSWERS: list[dict[str, Any]] = json.loads((STORED / "answers.json").read_text())
MODELS = ("diagnosis", "scores", "staging")

TABULAR = Tabular(tuple(Column(name, "FP32") for name in ("radius", "texture", "area")), "features")
STEPS = {
    "diagnosis": Steps((TABULAR, Classification("label", "probabilities", ("benign", "malignant"), (0, 1)))),
    "scores": Steps(),
    "staging": Steps(
        (
            TABULAR,
            Classification("label_outcome", "probabilities_outcome", ("benign", "malignant"), (0, 1), target="outcome"),
            Classification("label_stage", "probabilities_stage", ("I", "II", "III"), (1, 2, 3), target="stage"),
        )
    ),
}


class Old:
    """A copy of the old store, and today's onnxlet on it."""

    def __init__(self, folder: Path) -> None:
        shutil.copytree(STORED, folder / "old")
        self.url = f"file://{folder / 'old' / 'store'}"
        self.converted = folder / "old" / "converted"
        self.store = open_store(self.url)
        self.registry = Registry(self.store, who="tests")
        self.settings = Settings(cache_dir=str(folder / "cache"), alias_ttl=0.0)
        self.predictor = Predictor(self.store, self.settings)

    def bytes_of(self, model: str, version: int = 1) -> bytes:
        return bytes(self.store.get(manifest_key(model, version)).data)

    def ask(self, model: str, request: dict[str, Any]) -> tuple[str, Any]:
        body = json.dumps(request).encode()
        response = DataPlane(self.predictor).answer(Request("POST", f"/v1/models/{model}:predict", "", {}, body))
        assert response.status == 200, response.body
        return response.headers["X-Onnxlet-Model-Version"], json.loads(response.text() or "")

    def run(self, *arguments: str) -> str:
        result = CliRunner().invoke(cli, ["--store", self.url, *arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout


@pytest.fixture
def old(tmp_path: Path) -> Old:
    return Old(tmp_path)


def near(expected: Any) -> Any:  # noqa: ANN401 - a JSON value
    """The same, but for the last digits of floats."""
    if isinstance(expected, dict):
        return {name: near(value) for name, value in expected.items()}
    if isinstance(expected, list):
        return [near(value) for value in expected]
    return pytest.approx(expected, abs=1e-5) if isinstance(expected, float) else expected


@pytest.mark.parametrize("case", ANSWERS, ids=lambda case: str(case["model"]))
def test_old_versions_are_served_and_answer_as_they_did(old: Old, case: dict[str, Any]) -> None:
    version, answer = old.ask(case["model"], case["request"])
    assert version == "1"
    assert answer == near(case["answer"])


@pytest.mark.parametrize("model", MODELS)
def test_old_manifests_are_read_as_if_they_had_been_written_today(old: Old, model: str) -> None:
    written = json.loads(old.bytes_of(model))
    manifest = decode_manifest(old.bytes_of(model))
    assert written["schema"] == 1
    assert manifest.schema == SCHEMA
    assert decode_steps(manifest.steps) == STEPS[model]
    assert manifest.size == sum(artifact["size"] for artifact in written["artifacts"])
    assert (manifest.contract is None) == (written["contract"] is None)


@pytest.mark.parametrize("model", ["diagnosis", "staging"])
def test_old_drafts_are_read_and_published_in_todays_schema(old: Old, model: str) -> None:
    draft, cases = read_draft(old.converted / model)
    assert decode_steps(draft.steps) == STEPS[model]
    assert len(cases) == 4

    old.run("publish", str(old.converted / model), model)
    old.run("promote", f"{model}:2")

    assert json.loads(old.bytes_of(model, 2))["schema"] == SCHEMA
    for case in (case for case in ANSWERS if case["model"] == model):
        version, answer = old.ask(model, case["request"])
        assert version == "2"
        assert answer == near(case["answer"])


@pytest.mark.parametrize("model", MODELS)
def test_digests_are_those_of_the_bytes_that_were_stored(old: Old, model: str, tmp_path: Path) -> None:
    stored = old.bytes_of(model)
    pinned = old.registry.alias(model)[0].routes[0].digest

    assert digest(stored) == pinned
    assert old.registry.resolve(parse_ref(model))[1] == pinned
    assert old.predictor.served(parse_ref(model)).digest == pinned
    assert old.predictor.load(parse_ref(f"{model}:1")).digest == pinned
    assert old.predictor.served(parse_ref(f"{model}:1")).digest == pinned
    rows = tmp_path / "rows.csv"
    rows.write_text("radius,texture,area\n1,2,3\n" if model != "scores" else "a,b,c\n1,2,3\n")
    book = score_path(old.predictor, parse_ref(model), rows, tmp_path / "scored.csv")
    assert book.scorer is not None
    assert book.scorer.digest == pinned


def test_old_manifests_are_shown_as_they_were_written(old: Old) -> None:
    stored = old.bytes_of("diagnosis")
    response = TestClient(create_app(old.settings, old.registry)).get("/registry/models/diagnosis/versions/1")
    assert response.content == stored
    assert response.headers["ETag"] == f'"{digest(stored)}"'
    assert json.loads(old.run("show", "diagnosis:1", "--json")) == json.loads(stored)


def test_aliases_move_between_old_versions_and_new_ones(old: Old) -> None:
    case = ANSWERS[0]
    old.run("publish", str(old.converted / "diagnosis"), "diagnosis")
    old.run("promote", "diagnosis:2")
    assert old.ask("diagnosis", case["request"])[0] == "2"

    old.run("rollback", "diagnosis")

    version, answer = old.ask("diagnosis", case["request"])
    assert version == "1"
    assert answer == near(case["answer"])
    assert old.registry.verify_history("diagnosis") == 3
