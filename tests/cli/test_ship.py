"""The whole way in one command: what it prints, what it publishes, and when it publishes nothing."""

from __future__ import annotations

import datetime as dt
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnxruntime import InferenceSession

import nets
import trained
from models import tiny
from onnxlet.cli import cli
from onnxlet.cli.ship import CONVERTING, OPTIMIZING, ship
from onnxlet.cli.toolchain import convert, optimize
from onnxlet.lifecycle.options import ShipOptions
from onnxlet.registry.registry import Registry
from onnxlet.store import open_store

pytest.importorskip("sklearn")
pytestmark = pytest.mark.toolchain
Run = Callable[..., Result]


@dataclass(frozen=True)
class Source:
    """A trained model's file and its evaluation data."""

    model: Path
    data: Path

    @property
    def words(self) -> tuple[str, ...]:
        """The command's usual words."""
        return "ship", str(self.model), "m", "--trust", "--data", str(self.data)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """A logistic regression of two classes."""
    from sklearn.linear_model import LogisticRegression

    folder = tmp_path_factory.mktemp("source")
    features, target = trained.blobs(classes=2)
    model = trained.saved(trained.fitted(LogisticRegression(), features, target), folder)
    return Source(model, trained.csv_of(folder / "data.csv", features, target))


@pytest.fixture
def run(directory_url: str) -> Run:
    """Run a command on a fresh store."""
    return lambda *words: CliRunner().invoke(cli, ["--store", directory_url, *words])


def test_it_ships_a_model_and_prints_its_version_alone_on_stdout(run: Run, source: Source, directory_url: str) -> None:
    result = run(*source.words, "--target", "target", "--labels", "no,yes", "--slice", "feature 1", "--promote")

    assert (result.exit_code, result.stdout) == (0, "m:1\n"), result.stderr
    for part in ("scikit-learn", "ACCURACY", " to ", "worst slice", "holds on 120 rows", "fits:", "onnxlet predict m"):
        assert part in result.stderr
    registry = Registry(open_store(directory_url))
    manifest = registry.manifest("m", 1)
    assert manifest.contract is not None
    assert manifest.contract.holds
    assert manifest.labels == ("no", "yes")
    assert "report.html" in {artifact.path for artifact in manifest.artifacts}
    assert registry.alias("m")[0].entry.gates == {"accuracy-contract": "held", "reference": "object"}


def test_it_reads_data_and_model_once_and_the_report_names_both(
    source: Source, directory_url: str, tmp_path: Path
) -> None:
    script = tmp_path / "ship.py"
    script.write_text(
        """
import collections, sys
from onnxlet.cli import cli
opened = collections.Counter()
sys.addaudithook(lambda event, values: opened.update([str(values[0])]) if event == "open" else None)
cli(sys.argv[1:], standalone_mode=False)
print(opened[sys.argv[4]], opened[sys.argv[8]])
"""
    )
    words = ["ship", str(source.model), "diagnosis", "--trust", "--data", str(source.data), "--target", "target"]

    done = subprocess.run(
        [sys.executable, script, "--store", directory_url, *words],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )

    model_opens, data_opens = map(int, done.stdout.splitlines()[-1].split())
    # each by what tells its kind, by who reads it and for its digest; the rows by pandas too, for the model itself
    assert (model_opens, data_opens) == (3, 4)
    report = (Path(directory_url.removeprefix("file://")) / "models/diagnosis/1/report.html").read_text()
    digest = Registry(open_store(directory_url)).manifest("diagnosis", 1).contract
    assert digest is not None
    assert "<h1>Accuracy report: diagnosis</h1>" in report
    for part in (str(dt.datetime.now(dt.UTC).date()), "target", str(digest.data_digest)):
        assert part in report.partition("<h2>")[0]


def test_it_takes_expected_answers_and_every_option_of_its_steps(run: Run, source: Source, tmp_path: Path) -> None:
    import joblib

    features, _ = trained.blobs(classes=2)
    labels = joblib.load(source.model).predict(features)[:, None].tolist()
    answers = trained.write_csv(tmp_path / "answers.csv", ["label"], labels)

    result = run(*source.words, "--target", "target", "--expected", str(answers))

    assert result.exit_code == 0, result.stderr
    assert "expected" in result.stderr
    assert {param.name for param in (*CONVERTING, *OPTIMIZING)} <= set(ShipOptions.__annotations__)


def test_without_a_target_it_says_what_is_not_judged(run: Run, source: Source, tmp_path: Path) -> None:
    features, _ = trained.blobs(classes=2)
    data = trained.csv_of(tmp_path / "rows.csv", features, None)

    result = run(*Source(source.model, data).words, "--json")

    document = json.loads(result.stdout)
    assert document["alias"] is None
    assert document["version"]["contract"]["metric"] is None
    assert "no target was given" in result.stderr
    assert document["fit"]["fits"]


def test_a_contract_that_fails_publishes_nothing_unless_it_is_forced(
    run: Run, source: Source, directory_url: str
) -> None:
    strict = (*source.words, "--target", "target", "--bound", "distance=0", "--bound", "mean_distance=0")
    registry = Registry(open_store(directory_url))

    refused = run(*strict)
    assert refused.exit_code == 1
    assert "nothing was published" in refused.stderr
    assert "which leave a directory with its report.html" in refused.stderr
    assert registry.models() == []
    assert run(*strict, "--force").exit_code == 2

    forced = run(*strict, "--force", "--reason", "a drill", "--promote")
    assert (forced.exit_code, forced.stdout) == (0, "m:1\n"), forced.stderr
    assert "warning: m:1 was forced" in forced.stderr
    assert registry.alias("m")[0].entry.why == "a drill"


def test_what_was_forced_once_is_said_to_need_force_again(run: Run, source: Source) -> None:
    strict = ("--target", "target", "--bound", "distance=0", "--bound", "mean_distance=0")
    result = run(*source.words, *strict, "--force", "--reason", "a drill")

    (command,) = re.findall(r"^next +onnxlet (.*)$", result.stderr, re.MULTILINE)
    assert command == "promote m:1 --force --reason 'a drill'"
    assert run(*shlex.split(command)).exit_code == 0


def test_it_shows_what_each_rung_gave_and_why(run: Run, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(nets.dense().SerializeToString())
    np.savez(tmp_path / "rows.npz", x=nets.rows())
    words = ("ship", str(tmp_path / "net.onnx"), "net", "--data", str(tmp_path / "rows.npz"))

    result = run(*words, "--method", "weight-only", "--for", "size", "--json")

    assert result.exit_code == 0, result.stderr
    rungs = json.loads(result.stdout)["version"]["optimization"]["rungs"]
    assert [rung["name"] for rung in rungs] == ["float, optimized offline", "weight-only int8", "weight-only int4"]
    assert "RUNG" in result.stderr
    for rung in rungs:
        (line,) = (line for line in result.stderr.splitlines() if line.startswith(rung["name"] + "  "))
        assert re.search(rf"{rung['outcome']} +{re.escape(rung['reason'])}$", line)


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (("--slice", "sex"), 1, "no column 'sex'"),
        (("--bound", "distance"), 2, "holds no number"),
        (("--bound", "distance=-1"), 2, "0 or more"),
        (("--bound", "distance=nan"), 2, "0 or more"),
        (("--bound", "size=1"), 2, "choose of metric_loss"),
    ],
)
def test_wrong_words_are_told_before_any_work(
    *, run: Run, source: Source, directory_url: str, more: tuple[str, ...], code: int, said: str
) -> None:
    result = run(*source.words, *more)

    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr
    assert Registry(open_store(directory_url)).models() == []


def test_a_file_that_can_run_code_needs_trust_and_data_is_needed(run: Run, source: Source) -> None:
    untrusted = run("ship", str(source.model), "m", "--data", str(source.data))
    assert untrusted.exit_code == 1
    assert "--trust" in untrusted.stderr
    assert run("ship", str(source.model), "m").exit_code == 2


def test_it_takes_all_that_convert_and_optimize_take() -> None:
    names = {param.name for param in ship.params}

    assert {param.name for param in convert.params} - {"directory", "model"} <= names
    assert {param.name for param in optimize.params} - {"directory", "place"} <= names


def test_verify_prints_where_the_report_lies_and_fails_with_the_contract(
    run: Run, source: Source, tmp_path: Path
) -> None:
    place, data = str(tmp_path / "m"), ("--data", str(source.data), "--target", "target")
    assert run("convert", str(source.model), "--trust", *data, "-o", place).exit_code == 0

    kept = run("verify", place, *data, "--slice", "feature 0", "-o", str(tmp_path / "r.html"))
    assert (kept.exit_code, kept.stdout) == (0, f"{tmp_path / 'r.html'}\n"), kept.stderr
    assert "holds on 120 rows" in kept.stderr

    broken = run("verify", place, *data, "--bound", "distance=0", "--json")
    assert broken.exit_code == 1
    assert not json.loads(broken.stdout)["holds"]
    assert "does not hold" in broken.stderr
    assert run("verify", place).exit_code == 2


@pytest.mark.parametrize(
    ("graph", "more", "task"),
    [
        pytest.param(tiny.regressor(), ("--target", "truth"), "regression", marks=pytest.mark.long),
        pytest.param(tiny.two_inputs(), (), "tensors", marks=pytest.mark.long),
        (tiny.classifier(), ("--target", "sign", "--labels", "no,yes"), "classification"),
    ],
)
def test_a_bare_graph_ships_with_arrays_too(
    run: Run, tmp_path: Path, graph: onnx.ModelProto, more: tuple[str, ...], task: str
) -> None:
    file = tmp_path / "net.onnx"
    file.write_bytes(graph.SerializeToString())
    random = np.random.default_rng(0)
    arrays: dict[str, Any] = {
        spec.name: random.normal(size=(40, spec.type.tensor_type.shape.dim[1].dim_value)).astype(np.float32)
        for spec in graph.graph.input
    }
    np.savez(tmp_path / "rows.npz", truth=np.arange(40.0), sign=np.arange(40) % 2, **arrays)

    words = ("ship", str(file), "net", "--data", str(tmp_path / "rows.npz"), *more, "--json")
    np.savez(tmp_path / "expected.npz", **witnessed(file, arrays))

    alone, held = run(*words, "--promote"), run(*words, "--expected", str(tmp_path / "expected.npz"))

    assert alone.exit_code == 0, alone.stderr
    assert {json.loads(alone.stdout)["version"].get(name) for name in ("contract", "reference")} == {None}
    (line,) = (line for line in alone.stderr.splitlines() if line.startswith("reference"))
    assert "none, nothing but the graph is known, and there is no contract: --expected FILE" in line
    assert "warning: net:1 has no accuracy contract" in alone.stderr
    assert held.exit_code == 0, held.stderr
    version = json.loads(held.stdout)["version"]
    assert version["reference"]["kind"] == "expected"
    assert version["contract"]["holds"]
    assert version["contract"]["task"] == task


def witnessed(graph: Path, arrays: dict[str, Any]) -> dict[str, Any]:
    """What ONNX Runtime itself answers, under the names that `--expected` has."""
    session = InferenceSession(graph)
    names = [output.name for output in session.get_outputs()]
    answers = dict(zip(names, session.run(None, arrays), strict=True))
    if "probabilities" in answers:
        return {"label": np.array(["no", "yes"])[answers["label"]], "probabilities": answers["probabilities"]}
    return answers if len(answers) > 1 else {"prediction": next(iter(answers.values()))}
