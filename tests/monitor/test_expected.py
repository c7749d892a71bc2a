"""The section of expected performance: scores that were served become an estimate, which says what it is worth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import pytest

from doors import COLUMNS, FEATURES, Shop
from onnxlet.monitor.baseline import draw_baseline
from onnxlet.monitor.capture.policy import read_policy
from onnxlet.monitor.live import LiveSketches
from onnxlet.monitor.report.expected import Expected, read_expected, show_expected
from onnxlet.monitor.report.scope import Scope
from onnxlet.monitor.versions import give_baseline
from onnxlet.steps.base import Step
from onnxlet.steps.calibration import Temperature
from onnxlet.steps.output import Output
from onnxlet.store import Store
from onnxlet.telemetry.recording import Telemetry

ROWS = np.random.default_rng(0).normal(size=(200, FEATURES)).astype(np.float32)
CALIBRATED = Output(classes=("malignant", "benign"), calibration=Temperature(2.0))


def asked(store: Store, folder: Path, *more: Step) -> tuple[Expected, np.ndarray]:
    """What is expected of a version that was asked about all rows, and the probabilities that it told."""
    telemetry = Telemetry(rows=10_000)
    telemetry.watch_with(lambda: LiveSketches(store))
    shop = Shop(store, folder, telemetry=telemetry)
    shop.publish_diagnosis(more=more)
    columns = {name: ROWS[:, place] for place, name in enumerate(COLUMNS)}
    give_baseline(store, "diagnosis", 1, draw_baseline(columns))
    told = []
    for start in range(0, len(ROWS), 50):
        answer = shop.predict("diagnosis", orjson.dumps({"instances": ROWS[start : start + 50].tolist()}))
        told += [each["probability"] for each in orjson.loads(answer.body)["predictions"]]
    telemetry.flush()
    expected = read_expected(Scope(store, "diagnosis", [1]))
    assert expected is not None
    return expected, np.array(told)


@pytest.mark.parametrize(("more", "calibrated"), [((), False), ((CALIBRATED,), True)])
def test_the_mean_of_the_served_probabilities_is_the_estimate(
    store: Store, tmp_path: Path, more: tuple[Step, ...], calibrated: bool
) -> None:
    expected, told = asked(store, tmp_path, *more)
    (target,) = expected.targets
    assert (target.output, target.performance.rows, target.calibrated) == ("label", len(ROWS), calibrated)
    assert target.performance.accuracy.value == pytest.approx(told.mean(), abs=0.01)
    assert target.performance.auc is not None
    shown = " ".join(block.text() for block in show_expected(expected))
    assert ("only an estimate" in shown) is not calibrated
    assert "without labels" in shown


def test_without_probabilities_there_is_no_section(store: Store, tmp_path: Path) -> None:
    Shop(store, tmp_path).publish_echo("plain", "FP32", -1, 2)
    assert read_expected(Scope(store, "plain", [1])) is None


@pytest.mark.parametrize("rule", ["drop", "hash"])
def test_answers_that_a_policy_hides_are_not_estimated(store: Store, tmp_path: Path, rule: str) -> None:
    telemetry = Telemetry(rows=10_000)
    telemetry.watch_with(lambda: LiveSketches(store))
    shop = Shop(store, tmp_path, telemetry=telemetry)
    shop.publish_diagnosis(policy=read_policy({"outputs": {"probability": rule}}).document())
    give_baseline(store, "diagnosis", 1, draw_baseline({name: ROWS[:, place] for place, name in enumerate(COLUMNS)}))
    shop.predict("diagnosis", orjson.dumps({"instances": ROWS[:50].tolist()}))
    telemetry.flush()
    assert read_expected(Scope(store, "diagnosis", [1])) is None
