"""A model as TensorBoard and alarms meet it: two versions, the newest asked over days, one column of it drifting."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np

from models import tiny
from onnxlet.monitor.baseline import Baseline, draw_baseline
from onnxlet.monitor.capture.labels import GivenLabel, bring_labels
from onnxlet.monitor.capture.policy import read_policy
from onnxlet.monitor.capture.reading import pack
from onnxlet.monitor.sketch import Sketch
from onnxlet.monitor.versions import give_baseline
from onnxlet.monitor.windows import part_key, write_part
from onnxlet.registry.registry import Registry
from onnxlet.steps import Classification
from onnxlet.store import Store
from onnxlet.values.canonical import canonical
from onnxlet.values.contract import Bounds, Contract, Estimate, Finding, Stage
from onnxlet.values.keys import capture_key
from onnxlet.values.tensors import Tensors

DAYS = ("2026-11-01", "2026-11-02", "2026-11-03", "2026-11-04")
ACCURACY = {1: 0.8125, 2: 0.875}
ROWS = 400
POLICY = {"outputs": {"label": "keep", "probability": "keep"}, "request_id": "keep"}
TARGET = Classification("class", "scores", tiny.LABELS, (0, 1))
RIGHT = 0.75
"""The share of captured rows whose label turns out to be right."""


def publish(store: Store, folder: Path) -> Baseline:
    """Publish and promote two versions of `diagnosis`, and give the second a baseline."""
    for version, accuracy in ACCURACY.items():
        draft, files = tiny.classifier_package(folder / str(version), bias=version)
        policy = read_policy(POLICY).document()
        judged = msgspec.structs.replace(draft, contract=_contract(accuracy), policy=policy)
        tiny.publish(store, "diagnosis", (judged, files))
    baseline = draw_baseline(rows_of(0), answers_of(0))
    give_baseline(store, "diagnosis", 2, baseline)
    return baseline


def rows_of(seed: int, shift: float = 0.0) -> Tensors:
    """Rows of three columns, one of them shifted."""
    random = np.random.default_rng(seed)
    columns = {name: random.normal(size=ROWS).astype(np.float32) for name in tiny.COLUMNS}
    return columns | {"radius": columns["radius"] + np.float32(shift)}


def answers_of(seed: int) -> Tensors:
    """Labels and probabilities."""
    probability = np.random.default_rng(seed + 1000).uniform(0.5, 1, ROWS).astype(np.float32)
    labels = np.where(probability > 0.7, *tiny.LABELS).astype(object)
    return {"label": labels, "probability": probability}


def count(store: Store, baseline: Baseline, day: str, seed: int, shift: float = 0.0, *, scored: bool = False) -> None:
    """Count some rows of a day, as an environment of its own; `scored`: and how sure the answers to them were."""
    sketch = Sketch(baseline)
    sketch.fold(rows_of(seed, shift), answers_of(seed))
    if scored:
        sketch.scores.fold([TARGET], answers_of(seed))
    write_part(store, part_key("diagnosis", 2, day, f"env{seed}", 0), sketch.document())


def drift(store: Store, baseline: Baseline, *, scored: bool = False) -> None:
    """Four days, `radius` shifted from the third on."""
    for seed, day in enumerate(DAYS, start=1):
        count(store, baseline, day, seed, shift=1.0 if seed > 2 else 0.0, scored=scored)


def label(store: Store, day: str) -> None:
    """Capture the answers of a day, and bring what turned out to be true of them."""
    answers = answers_of(DAYS.index(day))
    told = list(zip(answers["label"].tolist(), answers["probability"].tolist(), strict=True))
    rows = [
        {"columns": {}, "id": f"{day}-{at}", "outputs": {"label": name, "probability": sure}, "row": 0, "version": 2}
        for at, (name, sure) in enumerate(told)
    ]
    store.create(capture_key("diagnosis", 2, day, "env", 0), pack([canonical(row) + b"\n" for row in rows]))
    truths = [
        name if at < RIGHT * ROWS else next(it for it in tiny.LABELS if it != name) for at, (name, _) in enumerate(told)
    ]
    given = [GivenLabel(f"{day}-{at}", truth) for at, truth in enumerate(truths)]
    bring_labels(store, ["diagnosis"], given, datetime(2026, 11, 9, tzinfo=UTC))


def moves(store: Store) -> int:
    """How often production was moved."""
    return len(Registry(store).history("diagnosis"))


def _contract(accuracy: float) -> Contract:
    return Contract(
        holds=True,
        task="classification",
        metric="accuracy",
        rows=ROWS,
        bounds=Bounds(),
        findings=(Finding("metric_loss", 0.0, 0.005, ok=True),),
        stages=(
            Stage("source", {"accuracy": Estimate(0.9)}),
            Stage("onnx", {"accuracy": Estimate(accuracy, 0.7, 0.9)}),
        ),
        notes=("a note | with a bar",),
    )
