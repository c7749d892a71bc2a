"""Output steps that callers declare: read from options and files, completed by the model, or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import onnxlet
from onnxlet.cli import cli
from onnxlet.errors import InvalidInputError
from onnxlet.steps import Classification, Steps, decode_steps
from onnxlet.steps.output import Output
from onnxlet.toolchain.convert.declared_output import (
    complete_output_steps,
    parse_band,
    parse_threshold,
    read_declared_output,
)
from onnxlet.values.signature import Signature, TensorSpec
from patients import FEATURES, patients, pipeline

pytestmark = pytest.mark.toolchain

KNOWN, FRESH = patients(400, 1), patients(200, 2)
GRAPH = Signature(
    (TensorSpec("x", "FP32", (-1, 3)),),
    (
        TensorSpec("label", "INT64", (-1,)),
        TensorSpec("probabilities", "FP32", (-1, 2)),
        TensorSpec("label_a", "INT64", (-1,)),
        TensorSpec("probabilities_a", "FP32", (-1, 2)),
        TensorSpec("label_b", "INT64", (-1,)),
        TensorSpec("probabilities_b", "FP32", (-1, 2)),
    ),
)
NAMED = Steps((Classification("label", "probabilities", ("benign", "malignant"), (0, 1)),))
INDEPENDENT = Steps(
    (
        Classification("label_a", "probabilities_a", (), (0, 1), "a"),
        Classification("label_b", "probabilities_b", (), (0, 1), "b"),
    )
)


def completed(steps: Steps = NAMED, **declared: Any) -> tuple[Output, ...]:  # noqa: ANN401
    return complete_output_steps(read_declared_output(**declared), steps, GRAPH)


def test_bands_and_thresholds_are_written_in_a_word() -> None:
    assert parse_threshold("grade=2=0.3") == ("grade=2", 0.3)
    assert parse_band("0.4:0.6") == {"low": 0.4, "high": 0.6}
    assert parse_band("0.4:0.6=ask Dr. A=B") == {"low": 0.4, "high": 0.6, "reason": "ask Dr. A=B"}
    assert parse_band("stage: II:0.1:0.2=late") == {"low": 0.1, "high": 0.2, "reason": "late", "of": "stage: II"}
    for text in ("0.4", "low:high", "=x", "0.4:", ""):
        with pytest.raises(InvalidInputError, match="is no band"):
            parse_band(text)
    for text in ("0.4", "=0.4", "a=", "a=b"):
        with pytest.raises(InvalidInputError, match="is no threshold"):
            parse_threshold(text)


def test_classes_are_filled_in_by_the_model() -> None:
    (step,) = completed(thresholds={"malignant": 0.3}, top=2, abstain="0.4:0.6=close")
    assert step.classes == ("benign", "malignant")
    assert (step.thresholds, step.top, step.abstain[0].reason) == ({"malignant": 0.3}, 2, "close")


def test_a_file_and_options_are_one_step_and_nothing_is_said_twice(tmp_path: Path) -> None:
    file = tmp_path / "output.json"
    file.write_text(json.dumps({"decimals": 3, "calibration": {"method": "temperature", "temperature": 1.5}}))
    (step,) = completed(step=file, top=1)
    assert (step.decimals, step.top) == (3, 1)
    with pytest.raises(InvalidInputError, match="says top already"):
        read_declared_output({"top": 1}, top=2)
    with pytest.raises(InvalidInputError, match="there are 2 output steps"):
        read_declared_output([{"target": "a"}, {"target": "b"}], top=2)


def test_of_labels_one_by_one_each_gets_its_own_threshold() -> None:
    first, second = completed(INDEPENDENT, thresholds={"a": 0.3}, abstain="0.4:0.6")
    assert (first.target, first.thresholds) == ("a", {"1": 0.3})
    assert (second.target, second.thresholds) == ("b", {})
    assert [step.names.abstain for step in (first, second)] == ["abstain_a", "abstain_b"]
    (only,) = completed(INDEPENDENT, thresholds={"b": 0.3})
    assert only.target == "b"


@pytest.mark.parametrize(
    ("steps", "declared", "reason"),
    [
        (NAMED, {"thresholds": {"malignent": 0.3}}, "no class .malignent. to have a threshold"),
        (NAMED, {"thresholds": {"malignant": 3}}, "more than 0 and at most 1"),
        (NAMED, {"top": 3}, "top is from 1 to 2"),
        (NAMED, {"step": {"target": "stage"}}, "no target 'stage'"),
        (NAMED, {"step": {"decimal": 3}}, "unknown field `decimal`"),
        (NAMED, {"step": {"calibration": {"method": "temperature", "in_graph": True}}}, "leave 'in_graph' out"),
        (NAMED, {"step": {"output": "y"}}, "say which .output."),
        (INDEPENDENT, {"thresholds": {"malignant": 0.3}}, "say of which 'target'"),
        (Steps(), {"thresholds": {"malignant": 0.3}}, "the model tells none: name them by labels"),
        (Steps(), {"step": {"decimals": 2}}, "say which .output."),
        (NAMED, {"step": {"output": "label", "top": 1}}, "top is about classes"),
        (Steps((Classification("label", None, (), (0, 1)),)), {"top": 1}, "the model gives none"),
    ],
)
def test_what_the_model_cannot_do_is_refused(steps: Steps, declared: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        completed(steps, **declared)


@pytest.mark.parametrize("content", ["", "7", "[7]", "{"])
def test_a_file_that_holds_no_step_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "output.json"
    file.write_text(content)
    with pytest.raises(InvalidInputError, match="holds no output step"):
        read_declared_output(file)


@pytest.fixture(scope="module")
def model() -> Any:  # noqa: ANN401 - scikit-learn has no types
    pytest.importorskip("sklearn")
    from sklearn.linear_model import LogisticRegression

    return pipeline(LogisticRegression(max_iter=1000)).fit(KNOWN[list(FEATURES)], KNOWN["diagnosis"])


@pytest.fixture(autouse=True)
def own_store(directory_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ONNXLET_STORE", directory_url)
    monkeypatch.setenv("ONNXLET_CACHE_DIR", str(tmp_path / "cache"))


def test_a_shipped_model_decides_as_scikit_learns_own_threshold_does_and_is_judged_by_it(model: Any) -> None:  # noqa: ANN401
    from sklearn.model_selection import FixedThresholdClassifier

    held_out = KNOWN[[*FEATURES, "diagnosis"]]
    rows = FRESH[list(FEATURES)]
    shipped = onnxlet.ship(
        model,
        "diagnosis",
        data=held_out,
        target="diagnosis",
        thresholds={"malignant": 0.25},
        abstain=["0.2:0.3=borderline"],
        promote=True,
    )
    fixed = FixedThresholdClassifier(model, threshold=0.25, pos_label="malignant", response_method="predict_proba")
    expected = fixed.fit(KNOWN[list(FEATURES)], KNOWN["diagnosis"]).predict(rows)

    loaded = onnxlet.load("diagnosis")
    answers = loaded.answers(rows)

    assert (loaded.predict(rows) == expected).all()
    assert not (expected == model.predict(rows)).all()
    second = model.predict_proba(rows)[:, 1]
    assert answers["abstain"].tolist() == ((second >= 0.2) & (second <= 0.3)).tolist()
    assert {*answers["reason"]} == {"", "borderline"}
    contract = shipped.manifest.contract
    assert contract is not None
    assert contract.holds
    assert any(each.name == "decision_change" and each.value == 0 for each in contract.findings)
    own = fixed.predict(KNOWN[list(FEATURES)]) == KNOWN["diagnosis"]
    kept = ~((p := model.predict_proba(KNOWN[list(FEATURES)])[:, 1]) >= 0.2) | ~(p <= 0.3)
    assert f"{kept.sum()} rows are decided, {np.mean(own[kept]):.2%} of them right" in " ".join(contract.notes)


def test_a_regressors_numbers_are_rounded_and_predict_gives_them_alone(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    from sklearn.linear_model import Ridge

    model = pipeline(Ridge()).fit(KNOWN[list(FEATURES)], KNOWN["risk"])
    rows = FRESH[list(FEATURES)]
    step = {"decimals": 1, "unit": "points", "abstain": [{"low": 8, "high": 100, "reason": "high"}]}
    converted = onnxlet.convert(model, tmp_path / "risk", data=KNOWN[list(FEATURES)], output_step=step)
    onnxlet.promote(onnxlet.publish(converted, "risk"))

    loaded = onnxlet.load("risk")
    predicted, answers = np.ravel(loaded.predict(rows)), loaded.answers(rows)
    assert predicted == pytest.approx(np.round(np.ravel(model.predict(rows)), 1), abs=0.11)
    assert np.round(predicted, 1) == pytest.approx(predicted)
    assert answers["abstain"].tolist() == (np.ravel(model.predict(rows)) >= 8).tolist()


def test_the_command_takes_the_same(model: Any, tmp_path: Path) -> None:  # noqa: ANN401
    import joblib

    joblib.dump(model, tmp_path / "model.joblib")
    KNOWN[[*FEATURES, "diagnosis"]].to_csv(tmp_path / "rows.csv", index=False)
    arguments = ["convert", str(tmp_path / "model.joblib"), "--trust", "--data", str(tmp_path / "rows.csv")]
    arguments += ["--target", "diagnosis", "-o", str(tmp_path / "model")]

    done = CliRunner().invoke(
        cli, [*arguments, "--threshold", "malignant=0.3", "--abstain", "0.25:0.35=close", "--top", "2"]
    )

    assert done.exit_code == 0, done.output
    draft = json.loads((tmp_path / "model" / "draft.json").read_text())
    step = decode_steps(draft["steps"]).each[-1]
    assert isinstance(step, Output)
    assert (step.thresholds, step.top, step.abstain[0].told) == ({"malignant": 0.3}, 2, "close")
    refused = CliRunner().invoke(cli, [*arguments, "--threshold", "malignant"])
    assert refused.exit_code == 2
    assert "write CLASS=PROBABILITY" in refused.output
