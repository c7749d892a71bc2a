"""A version with an output step answers as it was declared, whatever the protocol; rows for a human are counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from doors import Shop
from models import tiny
from onnxlet.batch.local_files import score_path
from onnxlet.batch.objects import score_object
from onnxlet.errors import GoldenMismatchError, RejectedModelError
from onnxlet.serving.engine import load_engine
from onnxlet.serving.golden import GoldenCase, decode_cases
from onnxlet.steps import Steps, decode_steps
from onnxlet.steps.output import Band, Output
from onnxlet.store import Store
from onnxlet.telemetry.embedded import EmbeddedMetrics
from onnxlet.telemetry.recording import Telemetry
from onnxlet.toolchain.prepare import prepare
from onnxlet.toolchain.workbench.directory import write_draft
from onnxlet.values.manifest import Draft
from onnxlet.values.refs import parse_ref
from telemetry.embedded_metric_format import check

STEP = Output(
    classes=("benign", "malignant"),
    thresholds={"malignant": 0.2},
    abstain=(Band(0.1, 0.3, "borderline"),),
    top=2,
    decimals=2,
)
ROWS = [{"radius": 2.0, "texture": 2.0, "area": 1.0}, {"radius": -1.0, "texture": 1.0, "area": 1.25}]
"""Of which the first is surely malignant, and the second so with 0.223."""
TOLD = {
    "label": ["malignant", "malignant"],
    "abstain": [False, True],
    "reason": ["", "borderline"],
    "top_labels": [["malignant", "benign"], ["benign", "malignant"]],
}


@pytest.fixture
def shop(store: Store, tmp_path: Path) -> Shop:
    telemetry = Telemetry()
    telemetry.watch_with(lambda: EmbeddedMetrics("predict"))
    return Shop(store, tmp_path / "shop", telemetry=telemetry)


def declared(folder: Path, step: Output = STEP) -> tuple[Draft, dict[str, Path]]:
    """The tiny classifier with an output step, as `convert` leaves it in a directory."""
    draft, files = tiny.classifier_package(folder)
    steps = Steps((*decode_steps(draft.steps).each, step))
    draft = msgspec.structs.replace(draft, steps=steps.documents, signature=steps.served(draft.graph))
    write_draft(folder, draft, cases_of(files))
    return draft, files


def cases_of(files: dict[str, Path]) -> tuple[GoldenCase, ...]:
    """A row that is not on the boundary between the classes, and what the graph answers."""
    engine = load_engine(files["model.onnx"], threads=1, optimized=False, run_deadline=10)
    inputs = {"input": np.array([[2.0, 2.0, 1.0]], np.float32)}
    return (GoldenCase(inputs, engine.run(inputs)),)


def publish(shop: Shop, tmp_path: Path) -> dict[str, Path]:
    declared(tmp_path / "model")
    draft, files = prepare(tmp_path / "model", tmp_path / "prepared")
    tiny.publish(shop.registry.store, "diagnosis", (draft, files))
    return files


def columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def test_v1_answers_what_was_decided(shop: Shop, tmp_path: Path) -> None:
    publish(shop, tmp_path)
    answer = shop.predict("diagnosis", json.dumps({"instances": ROWS}))
    told = columns(json.loads(answer.body)["predictions"])
    assert {name: told[name] for name in TOLD} == TOLD
    assert told["probability"] == pytest.approx([0.95, 0.22], abs=0.006)
    assert all(share == round(share, 2) for share in told["probability"])


def test_v2_answers_the_same_and_only_what_is_asked(shop: Shop, tmp_path: Path) -> None:
    publish(shop, tmp_path)
    inputs = [
        {"name": name, "datatype": "FP32", "shape": [2], "data": values} for name, values in columns(ROWS).items()
    ]

    answer = shop.send("POST", "/v2/models/diagnosis/infer", json.dumps({"inputs": inputs}))
    outputs = {each["name"]: each for each in json.loads(answer.body)["outputs"]}
    assert outputs["abstain"] == {"name": "abstain", "datatype": "BOOL", "shape": [2], "data": [False, True]}
    assert outputs["top_labels"]["data"] == ["malignant", "benign", "benign", "malignant"]
    assert outputs["reason"]["data"] == TOLD["reason"]

    asked = {"inputs": inputs, "outputs": [{"name": "label"}]}
    answer = shop.send("POST", "/v2/models/diagnosis/infer", json.dumps(asked))
    assert [each["name"] for each in json.loads(answer.body)["outputs"]] == ["label"]


def test_rows_that_are_left_to_a_human_are_counted_whoever_asks_and_in_files_too(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(shop, tmp_path)
    inputs = [
        {"name": name, "datatype": "FP32", "shape": [2], "data": values} for name, values in columns(ROWS).items()
    ]
    asked = {"inputs": inputs, "outputs": [{"name": "label"}]}
    shop.predict("diagnosis", json.dumps({"instances": ROWS[:1]}))
    assert abstentions(shop, capsys) == 0
    shop.predict("diagnosis", json.dumps({"instances": ROWS}))
    shop.send("POST", "/v2/models/diagnosis/infer", json.dumps(asked))
    shop.dataplane.invoke({"model": "diagnosis", "instances": ROWS})
    assert abstentions(shop, capsys) == 3
    shop.registry.store.put("batch/in/diagnosis/rows.csv", b"radius,texture,area\n2,2,1\n-1,1,1.25\n-1,1,1.25\n")
    score_object(shop.registry.store, shop.predictor, "batch/in/diagnosis/rows.csv")
    assert abstentions(shop, capsys) == 2


def abstentions(shop: Shop, capsys: pytest.CaptureFixture[str]) -> float:
    """The metric, as it is written."""
    shop.predictor.telemetry.flush()
    text = capsys.readouterr().out
    assert "borderline" not in text
    return sum(float(check(line).get("Abstentions", 0)) for line in text.splitlines())


def test_files_are_scored_alike(shop: Shop, tmp_path: Path) -> None:
    publish(shop, tmp_path)
    source, scored = tmp_path / "rows.csv", tmp_path / "scored.csv"
    source.write_text("radius,texture,area\n2,2,1\n-1,1,1.25\n")

    score_path(shop.predictor, parse_ref("diagnosis"), source, scored)

    header, *lines = [line.split(",") for line in scored.read_text().splitlines()]
    told = [dict(zip(header, line, strict=True)) for line in lines]
    assert [(row["label"], row["abstain"], row["reason"], row["top_labels.0"]) for row in told] == [
        ("malignant", "false", "", "malignant"),
        ("malignant", "true", "borderline", "benign"),
    ]


def test_golden_cases_hold_what_is_served_and_other_rules_are_refused_where_they_are_loaded(
    shop: Shop, tmp_path: Path
) -> None:
    files = publish(shop, tmp_path)
    cases = decode_cases(files["golden.json"].read_bytes())
    assert cases
    assert all(case.served is not None and {*TOLD} < case.served.keys() for case in cases)

    draft, _ = declared(tmp_path / "other", msgspec.structs.replace(STEP, thresholds={"malignant": 0.99}))
    files = {**files, "model.onnx": tmp_path / "other" / "model.onnx"}
    assert draft.golden is not None
    draft = msgspec.structs.replace(draft, golden=msgspec.structs.replace(draft.golden, cases=len(cases)))
    tiny.publish(shop.registry.store, "other", (draft, files))
    with pytest.raises(GoldenMismatchError, match="output 'label' has 1 of 1 elements wrong"):
        shop.predictor.served(parse_ref("other"))


def test_a_version_without_such_a_step_has_the_golden_cases_that_it_always_had(tmp_path: Path) -> None:
    draft, files = tiny.classifier_package(tmp_path / "model")
    write_draft(tmp_path / "model", draft, cases_of(files))
    _, prepared = prepare(tmp_path / "model", tmp_path / "prepared")
    assert b'"served"' not in prepared["golden.json"].read_bytes()


def test_a_step_that_disagrees_with_its_graph_is_not_published(tmp_path: Path) -> None:
    draft, files = declared(tmp_path / "model")
    three = {**draft.steps[-1], "classes": ["benign", "malignant", "unsure"]}
    cases = cases_of(files)
    write_draft(tmp_path / "model", msgspec.structs.replace(draft, steps=(*draft.steps[:-1], three)), cases)
    with pytest.raises(RejectedModelError, match="about 3 classes, and the graph gives probabilities: FP32"):
        prepare(tmp_path / "model", tmp_path / "prepared")


def test_a_step_whose_answers_are_not_those_declared_is_not_published(tmp_path: Path) -> None:
    draft, files = declared(tmp_path / "model")
    other = msgspec.structs.replace(draft.signature.outputs[-1], shape=(-1, 3))
    signature = msgspec.structs.replace(draft.signature, outputs=(*draft.signature.outputs[:-1], other))
    cases = cases_of(files)
    write_draft(tmp_path / "model", msgspec.structs.replace(draft, signature=signature), cases)
    with pytest.raises(RejectedModelError, match=r"make \[1, 2\] of 'top_probabilities' where"):
        prepare(tmp_path / "model", tmp_path / "prepared")
