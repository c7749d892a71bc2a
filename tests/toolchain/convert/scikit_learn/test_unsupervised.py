"""What learns without a target: outlier detectors, clusterers and mixtures answer with all that they know."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from sklearn.cluster import DBSCAN, KMeans, MiniBatchKMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import SGDOneClassSVM
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert import convert
from toolchain.convert.scikit_learn.patients import ask_served, patients

pytestmark = [pytest.mark.toolchain, pytest.mark.long]

OUTLIERS: dict[str, Callable[[], Any]] = {
    "isolation forest": lambda: IsolationForest(n_estimators=30, random_state=0),
    "isolation forest of some columns": lambda: IsolationForest(
        n_estimators=30, max_features=2, contamination=0.1, random_state=0
    ),
    "support vector machine": lambda: make_pipeline(StandardScaler(), OneClassSVM(nu=0.1)),
    "linear support vector machine": lambda: make_pipeline(StandardScaler(), SGDOneClassSVM(random_state=0)),
    "local outlier factor": lambda: make_pipeline(StandardScaler(), LocalOutlierFactor(novelty=True)),
    "local outlier factor of few neighbours": lambda: LocalOutlierFactor(5, novelty=True, contamination=0.1),
}
CLUSTERS: dict[str, Callable[[], Any]] = {
    "k-means": lambda: make_pipeline(StandardScaler(), KMeans(4, random_state=0, n_init=1)),
    "k-means in batches": lambda: make_pipeline(StandardScaler(), MiniBatchKMeans(4, random_state=0, n_init=1)),
}
MIXTURES: dict[str, Callable[[], Any]] = {
    **{
        f"{kind} covariance": lambda kind=kind: make_pipeline(  # type: ignore[misc]
            StandardScaler(), GaussianMixture(3, covariance_type=kind, random_state=0)
        )
        for kind in ("full", "tied", "diag", "spherical")
    },
    "Bayesian": lambda: make_pipeline(
        StandardScaler(), BayesianGaussianMixture(n_components=3, random_state=0, max_iter=500)
    ),
}


def served_and_fresh(model: Any, tmp_path: Path) -> tuple[dict[str, Any], Any]:  # noqa: ANN401
    known, _ = patients(1)
    model.fit(known)
    convert(model, tmp_path / "out", data=known)
    fresh, _ = patients(2)
    fresh.iloc[:20] *= 3
    return ask_served(tmp_path / "out", fresh), fresh


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")  # of its own rows, when it is fitted
@pytest.mark.parametrize("make", OUTLIERS.values(), ids=OUTLIERS)
def test_outlier_detectors_serve_a_label_and_a_score(make: Callable[[], Any], tmp_path: Path) -> None:
    model = make()
    served, fresh = served_and_fresh(model, tmp_path)
    assert set(served["label"].tolist()) == {-1, 1}
    assert served["label"].tolist() == model.predict(fresh).tolist()
    expected = model.decision_function(fresh)
    np.testing.assert_allclose(served["score"], expected, atol=1e-5 * np.abs(expected).max())


def test_rows_that_a_forest_was_fitted_on_fall_on_the_side_that_they_did(tmp_path: Path) -> None:
    known, _ = patients(3, rows=201)
    model = IsolationForest(n_estimators=20, contamination=0.1, random_state=0).fit(known)
    # a tenth of 200 steps: the offset is the score of a row
    assert (model.decision_function(known) == 0).any()
    convert(model, tmp_path / "out", data=known)
    assert ask_served(tmp_path / "out", known)["label"].tolist() == model.predict(known).tolist()


@pytest.mark.parametrize("make", CLUSTERS.values(), ids=CLUSTERS)
def test_clusterers_serve_the_cluster_and_the_distances_of_all(make: Callable[[], Any], tmp_path: Path) -> None:
    model = make()
    served, fresh = served_and_fresh(model, tmp_path)
    assert served["label"].tolist() == model.predict(fresh).tolist()
    np.testing.assert_allclose(served["distances"], model.transform(fresh), rtol=1e-5)


@pytest.mark.parametrize("make", MIXTURES.values(), ids=MIXTURES)
def test_mixtures_serve_component_probabilities_and_likelihood(make: Callable[[], Any], tmp_path: Path) -> None:
    model = make()
    served, fresh = served_and_fresh(model, tmp_path)
    assert served["label"].tolist() == model.predict(fresh).tolist()
    np.testing.assert_allclose(served["probabilities"], model.predict_proba(fresh), atol=1e-5)
    np.testing.assert_allclose(served["score"], model.score_samples(fresh), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            LocalOutlierFactor(),
            "the LocalOutlierFactor only judges the rows that it was fitted on: fit it with novelty",
        ),
        (DBSCAN(), "the DBSCAN only judges the rows that it was fitted on: use KMeans"),
        (make_pipeline(StandardScaler(), DBSCAN()), "the DBSCAN only judges"),
        (make_pipeline(StandardScaler(), PCA(2)), "the PCA predicts nothing"),
        (LocalOutlierFactor(metric="manhattan", novelty=True), "LocalOutlierFactor measures distances by 'manhattan'"),
    ],
)
def test_what_answers_no_new_rows_is_refused_by_its_own_name(model: Any, message: str, tmp_path: Path) -> None:  # noqa: ANN401
    known, _ = patients(4)
    with pytest.raises(ConversionError, match=message):
        convert(model.fit(known), tmp_path / "out", data=known)
