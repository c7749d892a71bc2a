"""Performance that is estimated without labels: of counts, beside NannyML's CBPE of the same scores, and the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec

import numpy as np

from drift.tasks import Row, Tasks
from onnxlet.monitor.estimate import estimate_performance
from onnxlet.monitor.intervals import Interval
from onnxlet.monitor.scores import Scores
from onnxlet.steps import Classification
from onnxlet.values.tensors import Tensor

REFERENCE, WINDOW = 20_000, 2_000
WINDOWS = 100
METRICS = ("accuracy", "AUC", "F1")
TARGET = Classification("class", "scores", ("no", "yes"), (0, 1))
_OVERCONFIDENT = 2.0
Shape = tuple[float, float]
"""Of the beta distribution of the chances that rows are positive."""


def _as_it_is(chances: Tensor) -> Tensor:
    return chances


def _too_sure(chances: Tensor) -> Tensor:
    """Scores whose log odds are twice those of the chances."""
    odds = (chances / (1 - chances)) ** _OVERCONFIDENT
    scores: Tensor = odds / (1 + odds)
    return scores


CASES: dict[str, tuple[Shape, Shape, Callable[[Tensor], Tensor]]] = {
    "calibrated, rows as before": ((1.0, 2.0), (1.0, 2.0), _as_it_is),
    "calibrated, harder rows": ((1.0, 2.0), (3.0, 4.0), _as_it_is),
    "calibrated, easier rows": ((1.0, 2.0), (0.3, 0.5), _as_it_is),
    "calibrated, few positives": ((0.5, 5.0), (0.5, 8.0), _as_it_is),
    "calibrated, rare positives": ((0.5, 30.0), (0.5, 40.0), _as_it_is),
    "overconfident, rows as before": ((1.0, 2.0), (1.0, 2.0), _too_sure),
}
"""The chances of rows that have labels, those of rows that have none, and what scores make of them."""


def measure(tasks: Tasks) -> list[Row]:
    """How far both estimates lie from each other, and from what turned out to be true, by case and metric."""
    windows = tasks.scaled(WINDOWS)
    wanted = [(name, windows) for name in CASES]
    rows: list[Row] = []
    for name, (truths, ours, inside, theirs) in zip(CASES, tasks.run(_estimate, wanted, "estimates"), strict=True):
        for place, metric in enumerate(METRICS):
            true, own, other = truths[:, place], ours[:, place], theirs[:, place]
            between = np.abs(own - other)
            rows.append(
                {
                    "case": name,
                    "metric": metric,
                    "windows": windows,
                    "truth": float(true.mean()),
                    "between": _known(np.median(between)),
                    "farthest": _known(between.max()),
                    "ours": float(np.abs(own - true).mean()),
                    "theirs": _known(np.abs(other - true).mean()),
                    "inside": float(inside[:, place].mean()),
                }
            )
    return rows


def page(rows: list[Row]) -> Iterator[str]:
    """Its part of the page."""
    yield "## Performance before labels"
    yield ""
    yield (
        f"What is estimated of {rows[0]['windows']} windows of {WINDOW:,} scores of two classes each, of counts by "
        "class and bin, beside NannyML's CBPE, which sees the scores themselves, and beside what turned out to "
        "be true (scikit-learn's metrics of the labels). Mean distances from the truth; *in the interval*: windows "
        f"whose truth lies in ours of 95 %. NannyML is fitted to {REFERENCE:,} rows with labels, and calibrates scores "
        "that are not calibrated there; ours take scores as they are, so calibration is the version's own business, "
        "and the report says where nobody calibrated."
    )
    yield ""
    yield (
        "| scores | metric | truth, mean | ours and NannyML's apart, median / most | ours from the truth "
        "| NannyML's from the truth | in the interval |"
    )
    yield "|---|---|---|---|---|---|---|"
    for row in rows:
        yield (
            f"| {row['case']} | {row['metric']} | {row['truth']:.3f} | {_tell(row['between'])} / "
            f"{_tell(row['farthest'])} | {_tell(row['ours'])} | {_tell(row['theirs'])} | {row['inside']:.0%} |"
        )


def _known(value: float) -> float:
    """-1 where there is none, which JSON cannot say."""
    return float(value) if np.isfinite(value) else -1.0


def _tell(value: float | str) -> str:
    return "not measured" if float(value) < 0 else f"{float(value):.4f}"


def _estimate(task: tuple[str, int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Truths, our estimates, whether the truth is in their intervals, and NannyML's estimates: [windows, metrics]."""
    from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

    name, windows = task
    before, after, score = CASES[name]
    generator = np.random.default_rng(list(CASES).index(name))
    reference, live = _drawn(generator, before, REFERENCE), _drawn(generator, after, windows * WINDOW)
    truths, ours, inside = [], [], []
    for chances, truth in zip(*(side.reshape(windows, WINDOW) for side in live), strict=True):
        scores = score(chances)
        decided = scores >= 0.5
        true = (accuracy_score(truth, decided), roc_auc_score(truth, scores), f1_score(truth, decided))
        told = _expected(scores)
        truths.append(true)
        ours.append([each.value for each in told])
        inside.append([each.low <= value <= each.high for each, value in zip(told, true, strict=True)])
    theirs = _of_nannyml((score(reference[0]), reference[1]), (score(live[0]), live[1]))
    return np.array(truths), np.array(ours), np.array(inside), theirs.reshape(windows, len(METRICS))


def _drawn(generator: np.random.Generator, shape: Shape, rows: int) -> tuple[Tensor, Tensor]:
    """Chances, and what turned out."""
    chances = generator.beta(*shape, rows).clip(1e-6, 1 - 1e-6)
    return chances, generator.random(rows) < chances


def _expected(scores: Tensor) -> list[Interval]:
    positive = scores >= 0.5
    counted = Scores()
    labels = np.where(positive, "yes", "no").astype(object)
    counted.fold([TARGET], {"label": labels, "probability": np.where(positive, scores, 1 - scores)})
    performance = estimate_performance(counted.document()["label"])
    assert performance is not None
    assert performance.auc is not None
    assert performance.f1 is not None
    return [performance.accuracy, performance.auc, performance.f1]


def _of_nannyml(reference: tuple[Tensor, Tensor], live: tuple[Tensor, Tensor]) -> Tensor:
    if find_spec("nannyml") is None:
        return np.full((len(live[0]) // WINDOW, len(METRICS)), np.nan)
    from drift.estimating_peer import estimate

    return estimate(reference, live, WINDOW)
