"""What learns without a target: outlier detectors, clusterers and mixtures."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from sklearn.cluster import DBSCAN, KMeans, MiniBatchKMeans
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import SGDOneClassSVM
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from fidelity.case import SEED, Case, Trained
from fidelity.data import Data, real
from fidelity.estimators import Estimator, alone, asked, in_joblib

FRAMEWORK = "scikit-learn"
SCORE = ("decision_function",)
DISTANCES = ("transform",)
COMPONENTS = ("predict_proba", "score_samples")


def cases() -> Iterator[Case]:
    """All of them."""
    scaled = partial(make_pipeline, StandardScaler())
    seeded = {"random_state": SEED}
    for name, estimator, methods in (
        ("isolation forest", IsolationForest(n_estimators=50, contamination=0.1, **seeded), SCORE),
        ("one class, SVM", scaled(OneClassSVM(nu=0.1)), SCORE),
        ("one class, linear SVM", scaled(SGDOneClassSVM(**seeded)), SCORE),
        ("local outlier factor", scaled(LocalOutlierFactor(novelty=True)), SCORE),
        ("k-means", scaled(KMeans(4, n_init=1, **seeded)), DISTANCES),
        ("k-means in batches", scaled(MiniBatchKMeans(4, n_init=1, **seeded)), DISTANCES),
        ("Gaussian mixture", scaled(GaussianMixture(3, covariance_type="diag", **seeded)), COMPONENTS),
        ("Bayesian mixture", scaled(BayesianGaussianMixture(n_components=3, max_iter=500, **seeded)), COMPONENTS),
    ):
        yield Case(name, FRAMEWORK, "wine", partial(_learned, estimator, methods))
    for name, estimator, refused in (
        ("clusters by density", DBSCAN(), "only judges the rows that it was fitted on"),
        ("local outlier factor of its own rows", LocalOutlierFactor(), "fit it with novelty"),
    ):
        yield Case(name, FRAMEWORK, "wine", partial(_only_fitted, estimator), refused=refused)


def _learned(estimator: Estimator, methods: tuple[str, ...], folder: Path) -> Trained:
    data = real("wine").framed()
    estimator.fit(data.train)
    rows = folder / "held-out.csv"
    data.test.to_csv(rows, index=False)
    fresh = asked(estimator, data.fresh, *methods)
    return Trained(in_joblib(estimator, folder), rows, None, alone(estimator, data), fresh, {"trust": True})


def _only_fitted(estimator: Estimator, folder: Path) -> Trained:
    data: Data = real("wine")
    path = in_joblib(estimator.fit(data.train), folder)
    return Trained(path, data.csv(folder), None, lambda: None, options={"trust": True})
