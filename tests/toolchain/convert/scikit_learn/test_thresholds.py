"""Classifiers that choose by a threshold of their own answer by it when they are served."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from sklearn.compose import ColumnTransformer
from sklearn.ensemble import ExtraTreesClassifier, GradientBoostingClassifier, RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, TunedThresholdClassifierCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from onnxlet.toolchain.convert import convert
from toolchain.convert.scikit_learn.patients import ask_served, patients

pytestmark = [pytest.mark.toolchain, pytest.mark.long]


def logistic() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression())


def by_column() -> Pipeline:
    columns = ColumnTransformer([("n", StandardScaler(), ["age", "pressure"])], remainder="passthrough")
    return make_pipeline(columns, LogisticRegression(max_iter=2000))


MODELS: dict[str, Callable[[], Any]] = {
    "fixed": lambda: FixedThresholdClassifier(logistic(), threshold=0.2),
    "fixed, of the other class": lambda: FixedThresholdClassifier(logistic(), threshold=0.2, pos_label="healthy"),
    "fixed, in a pipeline": lambda: make_pipeline(
        StandardScaler(), FixedThresholdClassifier(LogisticRegression(), threshold=0.8)
    ),
    "fixed, of a decision": lambda: FixedThresholdClassifier(
        GradientBoostingClassifier(n_estimators=5, random_state=0), threshold=0.4, response_method="decision_function"
    ),
    "fixed, without probabilities": lambda: FixedThresholdClassifier(
        make_pipeline(StandardScaler(), LinearSVC()), threshold=0.5, pos_label="healthy"
    ),
    "tuned": lambda: TunedThresholdClassifierCV(logistic(), scoring="balanced_accuracy"),
    "tuned, of a support vector machine": lambda: TunedThresholdClassifierCV(
        make_pipeline(StandardScaler(), SVC()), scoring="balanced_accuracy"
    ),
    "tuned, of a search over columns by name": lambda: TunedThresholdClassifierCV(
        GridSearchCV(by_column(), {"logisticregression__C": [0.1, 1]}), scoring="balanced_accuracy", cv=2
    ),
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_fresh_rows_get_the_label_that_the_threshold_gives(make: Callable[[], Any], tmp_path: Path) -> None:
    known, illness = patients(1)
    ill = np.where(illness > np.quantile(illness, 0.7), "ill", "healthy")
    model = make().fit(known, ill)

    draft = convert(model, tmp_path / "out", data=known, target=ill)

    assert draft.evaluations[-1].metrics["label_agreement"] == 1
    fresh, _ = patients(2)
    served = ask_served(tmp_path / "out", fresh)
    assert served["label"].tolist() == model.predict(fresh).tolist()
    if hasattr(model, "predict_proba"):
        np.testing.assert_allclose(served["probabilities"], model.predict_proba(fresh), atol=1e-6)
        # it matters: the classes of the larger probability are others
        assert (model.predict(fresh) != model.classes_[model.predict_proba(fresh).argmax(axis=1)]).any()


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_scores_equal_to_the_threshold_are_not_below_it(share: float, tmp_path: Path) -> None:
    known, illness = patients(3)
    ill = (illness > np.median(illness)).astype(int)
    forest = ExtraTreesClassifier(10, min_samples_leaf=1, random_state=0)
    model = FixedThresholdClassifier(forest, threshold=share).fit(known, ill)
    fresh, _ = patients(4)
    assert np.isclose(model.predict_proba(fresh)[:, 1], share).any()

    convert(model, tmp_path / "out", data=known, target=ill)

    assert ask_served(tmp_path / "out", fresh)["label"].tolist() == model.predict(fresh).tolist()


def test_a_frozen_model_is_asked_in_place_of_its_wrapper(tmp_path: Path) -> None:
    known, illness = patients(5)
    ill = (illness > np.median(illness)).astype(int)
    forest = RandomForestClassifier(10, max_depth=4, random_state=0).fit(known, ill)
    model = FixedThresholdClassifier(FrozenEstimator(forest), threshold=0.35).fit(known, ill)
    convert(model, tmp_path / "out", data=known)
    fresh, _ = patients(6)
    assert ask_served(tmp_path / "out", fresh)["label"].tolist() == model.predict(fresh).tolist()
