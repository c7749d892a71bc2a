"""Estimates by weights: scikit-learn's values, and what a resample would give."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlet.toolchain.verify.bootstrap import FEWEST_ROWS, draw_resamples, estimate_metrics
from onnxlet.toolchain.workbench.metrics import (
    CALIBRATION_BINS,
    ClassificationMeasures,
    MeanMeasure,
    RegressionMeasures,
    calibration_curve,
    point_estimates,
    positions,
)

Array = npt.NDArray[Any]


def answers(rows: int, classes: int, seed: int = 0, *, ties: bool = False) -> tuple[Array, Array, Array]:
    """Truth, labels and probabilities; with `ties` many probabilities are equal."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, rows)
    scores = random.normal(size=(rows, classes)) + 1.5 * np.eye(classes)[truth]
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    if ties:
        probabilities = np.round(probabilities, 1)
    return truth, probabilities.argmax(axis=1), probabilities


@pytest.mark.toolchain
@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("ties", [False, True])
def test_metrics_of_classes_are_scikit_learns(classes: int, ties: bool) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    truth, label, probabilities = answers(400, classes, ties=ties)

    measured = point_estimates(ClassificationMeasures(truth, label, probabilities, classes), len(truth))

    average = "binary" if classes == 2 else "macro"
    curves = [metrics.roc_auc_score(truth == each, probabilities[:, each]) for each in range(classes)]
    area = curves[1] if classes == 2 else np.mean(curves)
    assert measured["accuracy"] == pytest.approx(metrics.accuracy_score(truth, label))
    assert measured["f1"] == pytest.approx(metrics.f1_score(truth, label, average=average))
    assert measured["auc"] == pytest.approx(area)


@pytest.mark.toolchain
@pytest.mark.parametrize("datatype", [np.float64, np.float32])
def test_tied_probabilities_that_sum_to_almost_one_are_ties(datatype: type) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(0)
    truth = random.integers(0, 5, 600)
    votes = random.multinomial(9, np.full(5, 0.1) + 0.5 * np.eye(5)[truth])
    probabilities: Array = (votes / 9).astype(datatype)

    measured = point_estimates(ClassificationMeasures(truth, probabilities.argmax(axis=1), probabilities, 5), 600)

    expected = metrics.roc_auc_score(truth, votes / 9, multi_class="ovr")
    assert measured["auc"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.toolchain
def test_recalls_are_scikit_learns() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    truth, label, probabilities = answers(300, 3)

    support, sensitivity, specificity = ClassificationMeasures(truth, label, probabilities, 3).recalls()

    assert support.tolist() == np.bincount(truth).tolist()
    assert sensitivity == pytest.approx(metrics.recall_score(truth, label, average=None))
    inverse = [metrics.recall_score(truth != each, label != each) for each in range(3)]
    assert specificity == pytest.approx(inverse)


@pytest.mark.toolchain
@given(st.integers(2, 60), st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_metrics_of_numbers_are_scikit_learns(rows: int, seed: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(seed)
    truth = 1e3 + random.normal(size=rows)
    prediction = truth + random.normal(size=rows)

    measured = point_estimates(RegressionMeasures(truth, prediction), rows)

    assert measured["rmse"] == pytest.approx(metrics.root_mean_squared_error(truth, prediction))
    assert measured["mae"] == pytest.approx(metrics.mean_absolute_error(truth, prediction))
    assert measured["r2"] == pytest.approx(metrics.r2_score(truth, prediction))


def test_the_calibration_error_is_the_mean_gap_over_the_bins() -> None:
    truth, label, probabilities = answers(500, 3)
    confidence, right = probabilities.max(axis=1), truth == label
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = [
        abs(right[bins == each].mean() - confidence[bins == each].mean()) * (bins == each).mean()
        for each in np.unique(bins)
    ]

    measured = point_estimates(ClassificationMeasures(truth, label, probabilities, 3), 500)

    assert measured["calibration_error"] == pytest.approx(sum(gaps))
    curve = calibration_curve(right, confidence)
    assert sum(rows for _, _, rows in curve) == 500
    assert sum(abs(right - said) * rows for said, right, rows in curve) / 500 == pytest.approx(sum(gaps))


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_weights_are_as_good_as_repeated_rows(seed: int) -> None:
    truth, label, probabilities = answers(40, 3, seed)
    counts = np.random.default_rng(seed).integers(0, 4, 40)
    rows = np.repeat(np.arange(40), counts)

    weighted = ClassificationMeasures(truth, label, probabilities, 3)(counts[:, None].astype(float))
    repeated = ClassificationMeasures(truth[rows], label[rows], probabilities[rows], 3)(np.ones((len(rows), 1)))

    for name, value in weighted.items():
        np.testing.assert_allclose(value, repeated[name], err_msg=name)
    numbers = RegressionMeasures(probabilities[:, 0], probabilities[:, 1])(counts[:, None].astype(float))
    again = RegressionMeasures(probabilities[rows, 0], probabilities[rows, 1])(np.ones((len(rows), 1)))
    for name, value in numbers.items():
        np.testing.assert_allclose(value, again[name], err_msg=name)


def test_without_all_classes_there_is_no_area_under_the_curve_and_no_f1_of_one_without_rows() -> None:
    one = point_estimates(ClassificationMeasures(np.array([1]), np.array([1]), np.array([[0.1, 0.9]]), 2), 1)
    assert one == {"accuracy": 1.0, "f1": 1.0, "calibration_error": pytest.approx(0.1)}

    other = point_estimates(ClassificationMeasures(np.array([0]), np.array([0]), np.array([[0.9, 0.1]]), 2), 1)
    assert other == {"accuracy": 1.0, "calibration_error": pytest.approx(0.1)}

    three = ClassificationMeasures(np.array([0, 1]), np.array([0, 1]), np.eye(3)[:2], 3)
    assert "auc" not in point_estimates(three, 2)


def test_probabilities_with_nan_leave_the_area_undefined() -> None:
    probabilities = np.array([[0.1, 0.9], [np.nan, np.nan], [0.6, 0.4]])

    measured = point_estimates(ClassificationMeasures(np.array([1, 1, 0]), np.array([1, 0, 0]), probabilities, 2), 3)

    assert "auc" not in measured
    assert measured["accuracy"] == pytest.approx(2 / 3)


def test_a_label_that_is_no_class_is_wrong() -> None:
    known = positions(np.array(["a", "?"], dtype=object), np.array(["a", "b"], dtype=object))

    assert known.tolist() == [0, -1]
    measured = point_estimates(ClassificationMeasures(np.array([0, 1]), known, np.eye(2), 2), 2)
    assert measured["accuracy"] == 0.5


def test_a_target_that_never_varies_has_no_r_squared() -> None:
    assert set(point_estimates(RegressionMeasures(np.ones(5), np.arange(5.0)), 5)) == {"rmse", "mae"}


def test_an_interval_holds_the_mean_as_often_as_it_says() -> None:
    random = np.random.default_rng(5)
    hits = 0
    for _ in range(60):
        values = random.normal(size=200)
        estimate = estimate_metrics(200, {"x": MeanMeasure("mean", values)}, resamples=400)["x"]["mean"]
        assert estimate.low is not None
        assert estimate.high is not None
        hits += estimate.low <= 0 <= estimate.high
    assert 50 <= hits <= 60


def test_few_rows_have_no_interval() -> None:
    rows = FEWEST_ROWS - 1
    estimate = estimate_metrics(rows, {"x": MeanMeasure("mean", np.arange(float(rows)))})["x"]["mean"]

    assert (estimate.value, estimate.low, estimate.high) == (9.0, None, None)


def test_resamples_draw_as_many_rows_as_there_are_and_always_the_same() -> None:
    drawn = np.concatenate(list(draw_resamples(50, 30)), axis=1)

    assert drawn.shape == (50, 30)
    assert (drawn.sum(axis=0) == 50).all()
    assert np.array_equal(drawn, np.concatenate(list(draw_resamples(50, 30)), axis=1))


def test_many_rows_are_drawn_less_often() -> None:
    assert sum(weights.shape[1] for weights in draw_resamples(150_000, 1000)) == 133


@pytest.mark.slow
def test_a_thousand_resamples_of_ten_thousand_rows_take_about_a_second() -> None:
    truth, label, probabilities = answers(10_000, 2)
    measures = ClassificationMeasures(truth, label, probabilities, 2)
    took = []
    for _ in range(3):
        started = time.process_time()
        estimate_metrics(10_000, {"x": measures})
        took.append(time.process_time() - started)

    assert min(took) < 1.5
