"""Arithmetic of output steps is folded into the graph when a version is published, and answers stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime
import pytest

from models import tiny
from onnxlet.serving.engine import load_engine
from onnxlet.serving.golden import GoldenCase, check, decode_cases
from onnxlet.serving.model import Model
from onnxlet.steps import Classification, Steps, decode_steps
from onnxlet.steps.calibration import Calibration, Isotonic, Platt, Temperature
from onnxlet.steps.output import Band, Output
from onnxlet.toolchain.prepare import prepare
from onnxlet.toolchain.workbench.directory import write_draft
from onnxlet.values.manifest import Golden, Manifest, Tolerance
from onnxlet.values.tensors import Tensor

ROWS = np.array([[0.25, -1.5, 0.125], [2.0, 0.5, -3.0]], np.float32)


def prepared(tmp_path: Path, step: Output, *, external: bool = False) -> tuple[Any, dict[str, Path]]:
    """An identity of three numbers, with an output step, as `publish` gets it."""
    graph = tiny.big(4) if external else tiny.identity(shape=("N", 3))
    draft, files = tiny.package(graph, tmp_path / "model", external=external)
    steps = Steps((step,))
    rows = np.ones((1, 1024), np.float32) if external else ROWS[:1]
    engine = load_engine(files["model.onnx"], threads=1, optimized=False, run_deadline=10)
    cases = (GoldenCase({"x": rows}, engine.run({"x": rows})),)
    golden = Golden(path="golden.json", source="random", cases=1)
    draft = msgspec.structs.replace(draft, steps=steps.documents, signature=steps.served(draft.graph), golden=golden)
    write_draft(tmp_path / "model", draft, cases)
    return prepare(tmp_path / "model", tmp_path / "prepared")


def run(path: Path, rows: Tensor) -> Tensor:
    """By ONNX Runtime alone."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (answer,) = session.run(["y"], {"x": rows})
    return np.asarray(answer)


@pytest.mark.parametrize("link", ["sigmoid", "softmax"])
def test_a_link_becomes_a_node_and_the_step_goes_without_it(tmp_path: Path, link: Any) -> None:  # noqa: ANN401
    special = pytest.importorskip("scipy.special")
    draft, files = prepared(tmp_path, Output(output="y", link=link, decimals=3))

    (step,) = decode_steps(draft.steps).each
    expected = special.expit(ROWS) if link == "sigmoid" else special.softmax(ROWS, axis=-1)

    assert step == Output(output="y", decimals=3)
    assert run(files["model.onnx"], ROWS) == pytest.approx(expected, abs=1e-6)
    manifest = Manifest(
        **{name: getattr(draft, name) for name in draft.__struct_fields__},
        model="m", version=1, created="", publisher="", artifacts=(),
    )  # fmt: skip
    engine = load_engine(files["model.onnx"], threads=1, optimized=True, run_deadline=10)
    model = Model(manifest, engine)
    check(engine, decode_cases(files["golden.json"].read_bytes()), Tolerance(), model.prepare, model.finish)
    assert model.predict({"x": ROWS})["y"] == pytest.approx(np.round(expected, 3), abs=1e-6)


def calibrated(tmp_path: Path, calibration: Calibration, rows: Tensor) -> tuple[Model, tuple[Any, ...], Any]:
    """The model as it is served, its steps, and the graph by ONNX Runtime alone."""
    classify = Classification("label", "probabilities", ("benign", "malignant"), (0, 1))
    steps = Steps((classify, Output(classes=("benign", "malignant"), calibration=calibration)))
    draft, files = tiny.package(tiny.classifier(bias=0.5), tmp_path / "model", steps=steps, golden=[{"input": rows}])
    draft = msgspec.structs.replace(draft, signature=steps.served(draft.graph))
    write_draft(tmp_path / "model", draft, decode_cases(files["golden.json"].read_bytes()))
    draft, files = prepare(tmp_path / "model", tmp_path / "prepared")
    manifest = Manifest(
        **{name: getattr(draft, name) for name in draft.__struct_fields__},
        model="m", version=1, created="", publisher="", artifacts=(),
    )  # fmt: skip
    engine = load_engine(files["model.onnx"], threads=1, optimized=True, run_deadline=10)
    model = Model(manifest, engine)
    check(engine, decode_cases(files["golden.json"].read_bytes()), Tolerance(1e-6), model.prepare, model.finish)
    session = onnxruntime.InferenceSession(files["model.onnx"], providers=["CPUExecutionProvider"])
    return model, decode_steps(draft.steps).each, session


def margins(rows: Tensor) -> Tensor:
    """The log-odds of the second class, as `tiny.classifier` has them."""
    return np.asarray(rows.astype(np.float64) @ [1, 1, -1] + 0.5)


@pytest.mark.parametrize(
    ("calibration", "moved"),
    [
        (Temperature(1.7), lambda odds: odds / 1.7),
        (Platt(0.8, -0.4), lambda odds: 0.8 * odds - 0.4),
        (Platt(6.0, -2.5, of="probability"), lambda odds: 6.0 / (1 + np.exp(-odds)) - 2.5),
    ],
    ids=["temperature", "platt", "platt of the probability"],
)
def test_a_calibration_becomes_nodes_and_the_step_decides_by_what_the_graph_gives(
    tmp_path: Path,
    calibration: Any,  # noqa: ANN401
    moved: Any,  # noqa: ANN401
) -> None:
    special = pytest.importorskip("scipy.special")
    rows = np.concatenate([ROWS, np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)])
    model, (_, step), session = calibrated(tmp_path, calibration, ROWS)
    expected = special.expit(moved(margins(rows)))

    assert step.calibration == msgspec.structs.replace(calibration, in_graph=True)
    assert "calibrated in the graph" in step.describe()
    (shares,) = session.run(["probabilities"], {"input": rows})
    assert shares[:, 1] == pytest.approx(expected, abs=1e-6)
    served = model.predict({"input": rows})
    assert served["probabilities"] == pytest.approx(np.stack([1 - expected, expected], axis=1), abs=1e-6)
    assert served["label"].tolist() == np.where(expected > 0.5, "malignant", "benign").tolist()


@pytest.mark.parametrize(
    ("calibration", "rows"),
    [
        (Isotonic((0.2, 0.8), (0.1, 0.9)), ROWS),
        (Platt(0.0, 0.4), ROWS),
        (Temperature(3.0), np.array([[9.0, 9.0, 0.0]], np.float32)),
    ],
    ids=["a table", "a constant", "where a last digit means much"],
)
def test_other_calibrations_stay_steps(tmp_path: Path, calibration: Any, rows: Tensor) -> None:  # noqa: ANN401
    model, (_, step), session = calibrated(tmp_path, calibration, rows)
    assert step.calibration == calibration
    (shares,) = session.run(["probabilities"], {"input": rows})
    assert np.abs(shares - model.predict({"input": rows})["probabilities"]).max() > 1e-3, "the graph's own are others"


def test_weights_that_lie_apart_stay_where_they_are(tmp_path: Path) -> None:
    special = pytest.importorskip("scipy.special")
    draft, files = prepared(tmp_path, Output(output="y", link="sigmoid"), external=True)
    rows = np.ones((2, 1024), np.float32)
    assert draft.steps == ({"kind": "output", "output": "y"},)
    assert run(files["model.onnx"], rows) == pytest.approx(
        special.expit(run(tmp_path / "model" / "model.onnx", rows)), abs=1e-5
    )


def test_what_is_no_arithmetic_stays_a_step(tmp_path: Path) -> None:
    draft, _ = tiny.package(tiny.identity(shape=("N", 1)), tmp_path / "other")
    steps = Steps((Output(output="y", abstain=(Band(0, 1),), decimals=2),))
    draft = msgspec.structs.replace(draft, steps=steps.documents, signature=steps.served(draft.graph))
    write_draft(tmp_path / "other", draft, ())
    published, _ = prepare(tmp_path / "other", tmp_path / "prepared")
    assert published.steps == steps.documents
