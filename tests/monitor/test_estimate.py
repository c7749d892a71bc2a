"""Estimates before labels come: where scores are calibrated the truth lies in the interval, else nobody promises it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxlet.errors import InvalidInputError
from onnxlet.monitor.estimate import estimate_performance
from onnxlet.monitor.scores import (
    BINS,
    EDGES,
    FEWEST_SUMMED,
    MOST_CLASSES,
    OTHER,
    UNIT,
    ClassScores,
    Scores,
    add_scores,
)
from onnxlet.steps import Classification

TARGET = Classification("class", "scores", ("benign", "malignant"), (0, 1))
ROWS = 2_000


def count(labels: np.ndarray, probabilities: np.ndarray, target: Classification = TARGET) -> dict[str, ClassScores]:
    scores = Scores()
    scores.fold([target], {"label": labels, "probability": probabilities})
    return scores.document()["label"]


def told(positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The label and its probability, of the probabilities of the second class."""
    labels = np.where(positive >= 0.5, "malignant", "benign").astype(object)
    return labels, np.maximum(positive, 1 - positive).astype(np.float32)


def truths(positive: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
    """Accuracy, AUC and F1 of what turned out to be true, by scikit-learn."""
    metrics = pytest.importorskip("sklearn.metrics")
    decided = positive >= 0.5
    return float((decided == truth).mean()), metrics.roc_auc_score(truth, positive), metrics.f1_score(truth, decided)


def covered(power: float) -> np.ndarray:
    """How often the truth lies in the interval, of accuracy, AUC and F1; scores are the true chances to a power."""
    inside = []
    for seed in range(80):
        generator = np.random.default_rng((1, seed))
        chance = generator.beta(1 + seed % 3, 2, ROWS)
        truth = generator.random(ROWS) < chance
        scores = chance**power
        performance = estimate_performance(count(*told(scores)))
        assert performance is not None
        assert performance.auc is not None
        assert performance.f1 is not None
        found = (performance.accuracy, performance.auc, performance.f1)
        inside.append([each.low <= true <= each.high for each, true in zip(found, truths(scores, truth), strict=True)])
    share: np.ndarray = np.mean(inside, axis=0)
    return share


def test_where_scores_are_calibrated_the_truth_lies_in_the_interval() -> None:
    assert (covered(1.0) >= 0.875).all()  # 95 %, less three standard errors


def test_where_they_are_not_it_does_not() -> None:
    assert covered(3.0)[0] < 0.1


def test_a_shift_of_the_inputs_is_seen_without_labels() -> None:
    generator = np.random.default_rng(0)
    easy, hard = (estimate_performance(count(*told(generator.beta(a, a, ROWS)))) for a in (0.2, 3.0))
    assert easy is not None
    assert hard is not None
    assert easy.accuracy.low > hard.accuracy.high + 0.1


@pytest.mark.parametrize("shape", [(0.5, 8), (1, 60), (0.5, 100), (5, 30), (2, 2), (8, 0.5)])
def test_the_area_under_the_curve_is_that_of_the_scores_themselves_also_of_rare_classes(
    shape: tuple[float, float],
) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    positive = np.random.default_rng(2).beta(*shape, 20_000)
    performance = estimate_performance(count(*told(positive)))
    assert performance is not None
    assert performance.auc is not None
    truth, weights = np.repeat([True, False], len(positive)), np.concatenate([positive, 1 - positive])
    exact = metrics.roc_auc_score(truth, np.tile(positive, 2), sample_weight=weights)
    assert performance.auc.value == pytest.approx(exact, abs=0.01)


def test_of_several_classes_accuracy_alone_is_estimated() -> None:
    target = Classification("class", "scores", (), (0, 1, 2))
    performance = estimate_performance(count(np.array([0, 1, 2, 2] * 10), np.full(40, 0.75), target))
    assert performance is not None
    assert performance.accuracy.value == pytest.approx(0.75)
    assert (performance.auc, performance.f1) == (None, None)


def test_without_rows_nothing_is_estimated() -> None:
    assert estimate_performance(count(np.array([], dtype=object), np.array([]))) is None


def test_classes_beyond_the_first_are_counted_together() -> None:
    target = Classification("class", "scores", (), tuple(range(40)))
    counted = count(np.arange(40), np.full(40, 0.9), target)
    assert len(counted) == MOST_CLASSES + 1
    assert sum(counted[OTHER].rows) == 40 - MOST_CLASSES
    assert sum(map(sum, (scores.rows for scores in counted.values()))) == 40


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=60))
def test_no_sum_is_that_of_fewer_than_five_rows(rows: list[tuple[bool, float]]) -> None:
    labels = np.array(["malignant" if label else "benign" for label, _ in rows], dtype=object)
    probabilities = np.array([p for _, p in rows])
    for name, scores in count(labels, probabilities).items():
        own = probabilities[labels == name]
        assert sum(scores.rows) == len(own)
        for place, (held, total) in enumerate(zip(scores.rows, scores.sums, strict=True)):
            low, high = (0.0, *EDGES)[place], (*EDGES, 1.1)[place]
            inside = own[(own >= low) & (own < high)]
            assert held == len(inside)
            exact = int(np.rint(inside * UNIT).sum())
            assert total == (exact if held >= FEWEST_SUMMED else held * int((low + min(high, 1.0)) / 2 * UNIT))


bins = st.integers(0, 2**32).map(lambda seed: tuple(np.random.default_rng(seed).integers(0, 10**9, BINS).tolist()))
documents = st.fixed_dictionaries(
    {"label": st.fixed_dictionaries({name: st.builds(ClassScores, bins, bins) for name in ("benign", "malignant")})}
)


@given(documents, documents, documents)
def test_scores_add_up_exactly_in_any_order(first: dict, second: dict, third: dict) -> None:  # type: ignore[type-arg]
    assert add_scores(first, second) == add_scores(second, first)
    assert add_scores(add_scores(first, second), third) == add_scores(first, add_scores(second, third))
    assert add_scores(first, {}) == first


def test_scores_of_other_classes_do_not_add_up() -> None:
    counted = {"label": count(*told(np.array([0.3])))}
    other = {"label": {"benign": counted["label"]["benign"]}}
    with pytest.raises(InvalidInputError, match="other classes of 'label'"):
        add_scores(counted, other)


def test_answers_without_a_probability_are_not_counted() -> None:
    scores, (labels, _) = Scores(), told(np.array([0.3]))
    scores.fold([TARGET], {"label": labels})
    assert scores.document() == {}
