"""The way of a scikit-learn model through the command line, on the demo's own models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from onnxlet.cli import cli

pytest.importorskip("sklearn")
pytestmark = pytest.mark.toolchain


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the demo's models and their held-out rows."""
    directory = tmp_path_factory.mktemp("models")
    result = CliRunner().invoke(cli, ["demo-models", str(directory), "--json"])
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert {name: trained["target"] for name, trained in document.items()} == {
        "diagnosis": "diagnosis",
        "diagnosis-2": "diagnosis",
        "progression": "progression",
    }
    return directory


def test_a_model_goes_from_joblib_to_a_prediction(models: Path, tmp_path: Path) -> None:
    data = ["--data", str(models / "diagnosis-held-out.csv"), "--target", "diagnosis"]
    store = ["--store", str(tmp_path / "store")]
    converted = str(tmp_path / "diagnosis")
    words = ["convert", str(models / "diagnosis.joblib"), *data, "-o", converted]
    untrusted = CliRunner().invoke(cli, words)
    assert untrusted.exit_code == 1
    assert "--trust" in untrusted.stderr
    result = CliRunner().invoke(cli, [*words, "--trust"])
    assert (result.exit_code, result.stdout) == (0, f"{converted}\n")
    assert "ACCURACY" in result.stderr
    result = CliRunner().invoke(cli, ["optimize", converted, *data])
    assert (result.exit_code, result.stdout) == (0, f"{converted}\n")
    assert "stays exact; --method dynamic-int8 quantizes it all the same" in result.stderr
    result = CliRunner().invoke(cli, ["optimize", converted, *data, "--method", "dynamic-int8"])
    assert (result.exit_code, result.stdout) == (0, f"{converted}\n")
    assert "RUNG" in result.stderr
    assert "optimization  dynamic-int8" in result.stderr
    assert CliRunner().invoke(cli, [*store, "publish", converted, "diagnosis"]).stdout == "diagnosis:1\n"
    result = CliRunner().invoke(
        cli, [*store, "predict", "diagnosis:1", str(models / "diagnosis-held-out.csv"), "--json"]
    )
    predictions = json.loads(result.stdout)["predictions"]
    assert len(predictions) == 114
    assert {row["label"] for row in predictions} == {"benign", "malignant"}
    shown = CliRunner().invoke(cli, [*store, "show", "diagnosis:1"]).stdout
    assert "scikit-learn" in shown
    assert "accuracy" in shown


def test_the_converted_directory_is_named_after_the_model(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["convert", str(models / "progression.joblib"), "--trust", "--json"]
    result = CliRunner().invoke(cli, [*words, "--training-commit", "0a1b2c3"])
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["provenance"]["training_commit"] == "0a1b2c3"
    assert (tmp_path / "progression" / "model.onnx").is_file()


def test_a_tolerance_is_a_share_that_golden_cases_keep(models: Path, tmp_path: Path) -> None:
    words = ["convert", str(models / "progression.joblib"), "--trust", "--json", "-o", str(tmp_path / "out")]

    strict = CliRunner().invoke(cli, [*words, "--tolerance", "1e-5"])

    assert strict.exit_code == 0, strict.stderr
    assert json.loads(strict.stdout)["golden"]["tolerance"] == {"absolute": 1e-6, "relative": 1e-5}
    for wrong in ("0", "2", "little"):
        assert CliRunner().invoke(cli, [*words, "--tolerance", wrong]).exit_code == 2
