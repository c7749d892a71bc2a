"""Further estimators: each serves what it answers, on fresh rows and far out, or is refused by its own name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import FeatureAgglomeration, KMeans
from sklearn.decomposition import FactorAnalysis, FastICA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.feature_selection import RFE
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.isotonic import IsotonicRegression
from sklearn.kernel_approximation import Nystroem, RBFSampler
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import Isomap
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import (
    KNeighborsClassifier,
    NearestCentroid,
    RadiusNeighborsClassifier,
    RadiusNeighborsRegressor,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.random_projection import SparseRandomProjection
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import LinearSVC

import trained
from onnxlet.errors import ConversionError, ExecutionError
from onnxlet.toolchain.convert import convert
from toolchain.convert.scikit_learn.patients import ask_served, patients

pytestmark = [pytest.mark.toolchain, pytest.mark.long]

Make = Callable[[], Any]


def behind(*steps: Any) -> Any:  # noqa: ANN401
    """The steps behind a scaler, and a classifier at the end."""
    return make_pipeline(StandardScaler(), *steps, LogisticRegression())


CLASSIFIERS: dict[str, Make] = {
    "linear discriminants": LinearDiscriminantAnalysis,
    "linear discriminants, shrunk": lambda: LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.1),
    "features of linear discriminants": lambda: behind(LinearDiscriminantAnalysis()),
    "distances from clusters": lambda: behind(KMeans(3, random_state=0, n_init=1)),
    "independent components": lambda: behind(FastICA(2, random_state=0)),
    "independent components, not whitened": lambda: behind(FastICA(whiten=False, random_state=0, max_iter=1000)),
    "factors": lambda: behind(FactorAnalysis(2)),
    "random directions": lambda: behind(SparseRandomProjection(3, random_state=0)),
    "means of features": lambda: behind(FeatureAgglomeration(2)),
    "waves": lambda: behind(RBFSampler(random_state=0)),
    **{
        f"{kernel} features": lambda kernel=kernel: behind(Nystroem(kernel, n_components=20, random_state=0))  # type: ignore[misc]
        for kernel in ("rbf", "linear", "poly", "sigmoid", "cosine")
    },
    "selection by its own estimator": lambda: RFE(RandomForestClassifier(5, random_state=0), n_features_to_select=2),
    "pairs of machines": lambda: make_pipeline(StandardScaler(), OneVsOneClassifier(LinearSVC())),
    "one against all": lambda: make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression(C=1e4))),
    "calibrated machines against all": lambda: OneVsRestClassifier(CalibratedClassifierCV(LinearSVC())),
    "pipelines against all": lambda: OneVsRestClassifier(make_pipeline(StandardScaler(), LogisticRegression())),
    "discriminants against all": lambda: OneVsRestClassifier(LinearDiscriminantAnalysis()),
    "neighbours within a radius": lambda: make_pipeline(
        StandardScaler(), RadiusNeighborsClassifier(1.5, outlier_label="most_frequent")
    ),
    "neighbours within a radius, by distance": lambda: make_pipeline(
        StandardScaler(), RadiusNeighborsClassifier(1.5, weights="distance", outlier_label="most_frequent")
    ),
    "neighbours within a radius, all compared": lambda: make_pipeline(
        StandardScaler(), RadiusNeighborsClassifier(1.5, algorithm="brute", outlier_label="most_frequent")
    ),
    "pairs of lines": lambda: make_pipeline(StandardScaler(), OneVsOneClassifier(LogisticRegression())),
}
REGRESSORS: dict[str, Make] = {
    "neighbours within a radius": lambda: make_pipeline(StandardScaler(), RadiusNeighborsRegressor(4)),
    "neighbours within a radius, by distance": lambda: make_pipeline(
        StandardScaler(), RadiusNeighborsRegressor(4, weights="distance")
    ),
    **{
        f"{kernel} ridge": lambda kernel=kernel: make_pipeline(StandardScaler(), KernelRidge(kernel=kernel, gamma=0.1))  # type: ignore[misc]
        for kernel in ("rbf", "linear", "poly", "sigmoid", "cosine")
    },
}


@pytest.mark.filterwarnings("ignore:.*did not converge")
@pytest.mark.parametrize("names", [("mild", "severe"), (3, 5, 8)], ids=str)
@pytest.mark.parametrize("make", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_classifiers_serve_their_own_answers(make: Make, names: tuple[Any, ...], tmp_path: Path) -> None:
    known, illness = patients(1)
    classes = np.array(names)[np.digitize(illness, np.quantile(illness, np.arange(1, len(names)) / len(names)))]
    model = make().fit(known, classes)

    convert(model, tmp_path / "out", data=known, target=classes)

    fresh, _ = patients(2)
    fresh.iloc[:40] *= 3
    served = ask_served(tmp_path / "out", fresh)
    assert served["label"].tolist() == model.predict(fresh).tolist()
    if hasattr(model, "predict_proba"):
        np.testing.assert_allclose(served["probabilities"], model.predict_proba(fresh), atol=1e-5)


@pytest.mark.filterwarnings("ignore:Singular matrix")
@pytest.mark.parametrize("make", REGRESSORS.values(), ids=REGRESSORS)
def test_regressors_serve_their_own_answers(make: Make, tmp_path: Path) -> None:
    known, illness = patients(3)
    model = make().fit(known, illness)
    convert(model, tmp_path / "out", data=known, target=illness)
    fresh, _ = patients(4)
    served = ask_served(tmp_path / "out", fresh)["prediction"]
    np.testing.assert_allclose(served, model.predict(fresh), rtol=1e-5, atol=1e-5 * illness.std())


def test_what_taught_itself_answers_as_its_last_pupil(tmp_path: Path) -> None:
    known, illness = patients(8)
    classes = np.digitize(illness, np.quantile(illness, [0.3, 0.6]))
    some = np.where(np.arange(len(classes)) % 3, classes, -1)
    model = SelfTrainingClassifier(make_pipeline(StandardScaler(), LogisticRegression())).fit(known, some)
    convert(model, tmp_path / "out", data=known, target=classes)
    fresh, _ = patients(9)
    np.testing.assert_allclose(
        ask_served(tmp_path / "out", fresh)["probabilities"], model.predict_proba(fresh), atol=1e-5
    )


def test_boosted_trees_of_several_targets_are_written_in_double_precision(tmp_path: Path) -> None:
    known, illness = patients(5)
    targets = np.stack([illness, known["pressure"]], axis=1)
    model = MultiOutputRegressor(HistGradientBoostingRegressor(max_iter=10)).fit(known, targets)
    convert(model, tmp_path / "out", data=known.assign(a=targets[:, 0], b=targets[:, 1]), target=["a", "b"])
    np.testing.assert_allclose(ask_served(tmp_path / "out", known)["prediction"], model.predict(known), rtol=1e-5)


def test_neighbours_on_the_radius_itself_count_and_rows_without_any_are_refused(tmp_path: Path) -> None:
    grid = np.stack(np.meshgrid(np.arange(12.0), np.arange(12.0)), axis=-1).reshape(-1, 2)
    classes = (grid.sum(axis=1) + grid[:, 0] % 3 > 12).astype(int)
    model = RadiusNeighborsClassifier(2.0).fit(grid, classes)

    convert(model, tmp_path / "out", data=grid, target=classes)

    served = trained.served_model(tmp_path / "out")
    answers = served.predict({"x0": grid[:, 0], "x1": grid[:, 1]}, "columns")
    np.testing.assert_allclose(answers["probabilities"], model.predict_proba(grid), atol=1e-6)
    with pytest.raises(ExecutionError):
        served.predict({"x0": np.array([99.0]), "x1": np.array([0.0])}, "columns")


def test_one_against_all_is_right_where_all_probabilities_are_as_good_as_one_or_none(tmp_path: Path) -> None:
    known, illness = patients(10)
    classes = np.digitize(illness, np.quantile(illness, [0.3, 0.6]))
    model = make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression())).fit(known, classes)
    convert(model, tmp_path / "near", data=known, target=classes)
    far = known * 30
    assert ask_served(tmp_path / "near", far)["label"].tolist() == model.predict(far).tolist()

    for each in model[-1].estimators_:
        each.intercept_ -= 150
    convert(model, tmp_path / "low", data=known, target=classes)

    served = ask_served(tmp_path / "low", known)
    np.testing.assert_allclose(served["probabilities"], model.predict_proba(known), atol=1e-5)


@pytest.mark.parametrize("out_of_bounds", ["clip", "raise"])
def test_isotonic_lines_are_exact_within_their_range_and_beyond_it(out_of_bounds: str, tmp_path: Path) -> None:
    known, illness = patients(6)
    known = known[["marker"]].astype(np.float32).astype(np.float64)
    model = IsotonicRegression(out_of_bounds=out_of_bounds).fit(known, illness)

    convert(model, tmp_path / "out", data=known, target=illness)

    np.testing.assert_allclose(ask_served(tmp_path / "out", known)["prediction"], model.predict(known), rtol=1e-5)
    if out_of_bounds == "clip":
        farther = 8 * known
        served = ask_served(tmp_path / "out", farther)["prediction"]
        np.testing.assert_allclose(served, model.predict(farther), rtol=1e-5)
    else:
        with pytest.raises(ExecutionError):
            ask_served(tmp_path / "out", 8 * known)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: behind(GaussianProcessClassifier())[:-1],
            "the GaussianProcessClassifier solves .*: use a pipeline of",
        ),
        (lambda: behind(KMeans(3, n_init=1), Nystroem("laplacian", n_components=9)), "the Nystroem has the kernel lap"),
        (lambda: KNeighborsClassifier(weights=np.exp), "the KNeighborsClassifier weighs .*: choose weights='uniform'"),
        (
            lambda: make_pipeline(CalibratedClassifierCV(GaussianNB(), method="temperature")),
            "the CalibratedClassifierCV scales by a temperature .*: choose method='sigmoid'",
        ),
        (NearestCentroid, "has no converter for the NearestCentroid: use LinearDiscriminantAnalysis"),
        (lambda: behind(Isomap()), "no converter for the Isomap in the Pipeline: use another estimator there"),
    ],
)
def test_what_has_no_form_is_refused_by_its_own_name(make: Make, message: str, tmp_path: Path) -> None:
    known, illness = patients(7)
    classes = np.digitize(illness, np.quantile(illness, [0.3, 0.6]))
    with pytest.raises(ConversionError, match=message):
        convert(make().fit(known, classes), tmp_path / "out", data=known, target=classes)
