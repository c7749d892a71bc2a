"""scikit-learn, and a graph that is taken as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import skops.io
from sklearn import (
    calibration,
    discriminant_analysis,
    ensemble,
    linear_model,
    naive_bayes,
    neighbors,
    neural_network,
    svm,
    tree,
)
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, PolynomialFeatures, StandardScaler

from fidelity.case import SEED, Case, Trained
from fidelity.data import TARGET, Array, real, write_csv
from onnxlet.toolchain.convert import convert

FRAMEWORK = "scikit-learn"
Estimator = Any


def cases() -> Iterator[Case]:
    """All of them."""
    for name, data, estimator in (*_linear(), *_margins(), *_trees(), *_boosted(), *_others(), *_pipelines()):
        yield Case(name, FRAMEWORK, data, partial(_fitted, estimator, data))
    for name, data, holes, estimator in _with_missing():
        yield Case(name, FRAMEWORK, f"{data}, 5 % missing", partial(_fitted, estimator, data, holes=holes))
    yield Case("columns of texts, booleans, numbers, some missing", FRAMEWORK, "wine", _mixed_columns)
    yield Case("two targets at once, ridge", FRAMEWORK, "diabetes", _two_targets)
    yield Case("logistic regression in a skops file", FRAMEWORK, "wine", _in_skops)
    forest = ensemble.RandomForestClassifier(5, random_state=SEED)
    for name, estimator in (("forest", forest), ("one forest each", MultiOutputClassifier(forest))):
        train = partial(_two_classifications, estimator)
        yield Case(f"two classifications at once, {name}", FRAMEWORK, "wine", train)
    chain = ClassifierChain(linear_model.LogisticRegression(max_iter=5000))
    train = partial(_two_classifications, chain)
    yield Case("two classifications, one by the other", FRAMEWORK, "wine", train, refused="fit a MultiOutputClassifier")
    yield Case("a perceptron's graph", "ONNX", "digits", partial(_graph, _perceptron((64,))))


def _linear() -> Iterator[tuple[str, str, Estimator]]:
    scaled = partial(make_pipeline, StandardScaler())
    yield "logistic regression, scaled", "breast cancer", scaled(linear_model.LogisticRegression())
    yield "logistic regression, ten classes", "digits", linear_model.LogisticRegression(max_iter=2000)
    yield "linear regression", "diabetes", linear_model.LinearRegression()
    yield "ridge", "diabetes", linear_model.Ridge(alpha=0.1)
    yield "lasso", "diabetes", linear_model.Lasso(alpha=0.1)
    yield "elastic net", "diabetes", linear_model.ElasticNet(alpha=0.01)
    yield "Poisson regression", "diabetes", linear_model.PoissonRegressor(alpha=0.01)
    yield "ridge classifier", "wine", scaled(linear_model.RidgeClassifier())
    yield "stochastic gradient descent", "breast cancer", scaled(linear_model.SGDClassifier(random_state=SEED))


def _margins() -> Iterator[tuple[str, str, Estimator]]:
    scaled = partial(make_pipeline, StandardScaler())
    yield "SVC, radial", "breast cancer", scaled(svm.SVC())
    yield "SVC, radial, ten classes", "digits", svm.SVC()
    yield "SVC, radial, with probabilities", "breast cancer", scaled(svm.SVC(probability=True, random_state=SEED))
    yield (
        "SVC, linear, with probabilities",
        "wine",
        scaled(svm.SVC(kernel="linear", probability=True, random_state=SEED)),
    )
    yield "SVC, polynomial", "iris", svm.SVC(kernel="poly")
    yield "linear SVC", "wine", scaled(svm.LinearSVC(random_state=SEED))
    yield "nu-SVC", "iris", svm.NuSVC()
    yield "SVR, radial", "diabetes", svm.SVR(C=100)
    yield "SVR, linear", "diabetes", svm.SVR(kernel="linear", C=100)


def _trees() -> Iterator[tuple[str, str, Estimator]]:
    seeded = {"random_state": SEED}
    yield "decision tree", "breast cancer", tree.DecisionTreeClassifier(**seeded)
    yield "decision tree, regression", "diabetes", tree.DecisionTreeRegressor(max_depth=6, **seeded)
    yield "random forest", "breast cancer", ensemble.RandomForestClassifier(**seeded)
    yield "random forest, ten classes", "digits", ensemble.RandomForestClassifier(**seeded)
    yield "random forest, regression", "diabetes", ensemble.RandomForestRegressor(**seeded)
    yield "extra trees", "wine", ensemble.ExtraTreesClassifier(**seeded)
    yield "extra trees, regression", "diabetes", ensemble.ExtraTreesRegressor(**seeded)
    yield "bagging", "wine", ensemble.BaggingClassifier(**seeded)


def _boosted() -> Iterator[tuple[str, str, Estimator]]:
    seeded = {"random_state": SEED}
    yield "gradient boosting", "breast cancer", ensemble.GradientBoostingClassifier(**seeded)
    yield "gradient boosting, three classes", "wine", ensemble.GradientBoostingClassifier(**seeded)
    yield "gradient boosting, regression", "diabetes", ensemble.GradientBoostingRegressor(**seeded)
    yield (
        "histogram gradient boosting, ten classes",
        "digits",
        ensemble.HistGradientBoostingClassifier(max_iter=30, **seeded),
    )
    yield "AdaBoost", "breast cancer", ensemble.AdaBoostClassifier(**seeded)


def _others() -> Iterator[tuple[str, str, Estimator]]:
    scaled = partial(make_pipeline, StandardScaler())
    yield "multi-layer perceptron", "breast cancer", scaled(_perceptron((32,)))
    yield (
        "multi-layer perceptron, regression",
        "diabetes",
        scaled(neural_network.MLPRegressor(hidden_layer_sizes=(32,), max_iter=500, random_state=SEED)),
    )
    yield "multi-layer perceptron, 1024 x 512", "digits", make_pipeline(MinMaxScaler(), _perceptron((1024, 512)))
    yield "k nearest neighbours", "digits", neighbors.KNeighborsClassifier()
    yield "k nearest neighbours, regression", "diabetes", neighbors.KNeighborsRegressor(weights="distance")
    yield "naive Bayes, Gaussian", "wine", naive_bayes.GaussianNB()
    yield "naive Bayes, Bernoulli", "digits", naive_bayes.BernoulliNB(binarize=8)
    yield "naive Bayes, multinomial", "digits", naive_bayes.MultinomialNB()
    yield "naive Bayes, complement", "digits", naive_bayes.ComplementNB()
    yield "linear discriminant analysis", "wine", discriminant_analysis.LinearDiscriminantAnalysis()
    yield "quadratic discriminant analysis", "wine", discriminant_analysis.QuadraticDiscriminantAnalysis()


def _pipelines() -> Iterator[tuple[str, str, Estimator]]:
    logistic = linear_model.LogisticRegression(max_iter=2000)
    forest = ensemble.RandomForestClassifier(30, random_state=SEED)
    yield "principal components, logistic regression", "digits", make_pipeline(StandardScaler(), PCA(20), logistic)
    yield "polynomials, ridge", "diabetes", make_pipeline(PolynomialFeatures(2), linear_model.Ridge())
    yield "ten best features, forest", "breast cancer", make_pipeline(StandardScaler(), SelectKBest(k=10), forest)
    yield (
        "calibrated SVC, sigmoid",
        "breast cancer",
        make_pipeline(StandardScaler(), calibration.CalibratedClassifierCV(svm.LinearSVC(random_state=SEED))),
    )
    yield "calibrated forest, isotonic", "breast cancer", calibration.CalibratedClassifierCV(forest, method="isotonic")
    members = [("forest", forest), ("bayes", naive_bayes.GaussianNB())]
    yield (
        "voting",
        "wine",
        ensemble.VotingClassifier(members, voting="soft"),
    )
    yield "stacking", "wine", ensemble.StackingClassifier(members)


def _with_missing() -> Iterator[tuple[str, str, float, Estimator]]:
    seeded = {"random_state": SEED}
    yield "histogram gradient boosting", "breast cancer", 0.05, ensemble.HistGradientBoostingClassifier(**seeded)
    yield "histogram gradient boosting, regression", "diabetes", 0.05, ensemble.HistGradientBoostingRegressor(**seeded)
    yield (
        "median for missing values, forest",
        "wine",
        0.05,
        make_pipeline(SimpleImputer(strategy="median"), ensemble.RandomForestClassifier(30, **seeded)),
    )


def _perceptron(layers: tuple[int, ...]) -> Estimator:
    return neural_network.MLPClassifier(layers, max_iter=60, early_stopping=True, random_state=SEED)


def _saved(estimator: Estimator, folder: Path, data: Path, row: Any) -> Trained:  # noqa: ANN401 - an array or a frame
    path = folder / "model.joblib"
    joblib.dump(estimator, path)
    return Trained(path, data, TARGET, _alone(estimator, row), {"trust": True})


def _alone(estimator: Estimator, row: Any) -> Callable[[], object]:  # noqa: ANN401 - an array or a frame
    answer = estimator.predict_proba if hasattr(estimator, "predict_proba") else estimator.predict
    return partial(answer, row)


def _fitted(estimator: Estimator, name: str, folder: Path, *, holes: float = 0) -> Trained:
    data = real(name, holes=holes)
    estimator.fit(data.train, data.train_target)
    return _saved(estimator, folder, data.csv(folder), data.test[:1])


def _mixed_columns(folder: Path) -> Trained:
    """Wine, whose columns are told as people would: a word, yes or no, a number or nothing."""
    data = real("wine", holes=0.05)

    def frame(features: Array) -> pd.DataFrame:
        numbers = pd.DataFrame(features, columns=list(data.names))
        colour = pd.cut(
            numbers.pop("color_intensity").fillna(5.0), [-np.inf, 3, 6, np.inf], labels=["pale", "clear", "deep"]
        )
        strong = numbers.pop("alcohol").fillna(0) > 13
        return numbers.assign(colour=colour.astype(str), strong=strong)

    train, test = frame(data.train), frame(data.test)
    numbers = [name for name in train.columns if name not in ("colour", "strong")]
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            ("texts", OneHotEncoder(handle_unknown="ignore"), ["colour"]),
            ("booleans", "passthrough", ["strong"]),
        ]
    )
    estimator = make_pipeline(columns, linear_model.LogisticRegression()).fit(train, data.train_target)
    rows = test.astype(object).where(test.notna(), None).to_numpy()
    path = write_csv(folder / "held-out.csv", tuple(test.columns), rows, data.test_target)
    return _saved(estimator, folder, path, test[:1])


def _two_targets(folder: Path) -> Trained:
    return _targets(linear_model.Ridge(alpha=0.1), "diabetes", lambda target: target**0.5, folder)


def _two_classifications(estimator: Estimator, folder: Path) -> Trained:
    return _targets(estimator, "wine", lambda target: (target > 0).astype(int), folder)


def _targets(estimator: Estimator, name: str, other: Callable[[Array], Array], folder: Path) -> Trained:
    """The data's target, and another that follows from it."""
    data = real(name)
    estimator.fit(data.train, np.stack([data.train_target, other(data.train_target)], axis=1))
    rows, also = folder / "held-out.csv", "other"
    known = {TARGET: data.test_target, also: other(data.test_target)}
    pd.DataFrame(data.test, columns=list(data.names)).assign(**known).to_csv(rows, index=False)
    trained = _saved(estimator, folder, rows, data.test[:1])
    return Trained(trained.source, rows, (TARGET, also), trained.alone, trained.options)


def _in_skops(folder: Path) -> Trained:
    data = real("wine")
    estimator = make_pipeline(StandardScaler(), linear_model.LogisticRegression()).fit(data.train, data.train_target)
    path = folder / "model.skops"
    skops.io.dump(estimator, path)
    return Trained(path, data.csv(folder), TARGET, _alone(estimator, data.test[:1]))


def _graph(estimator: Estimator, folder: Path) -> Trained:
    """An estimator's graph, which arrives without the estimator."""
    data = real("digits")
    trained = _fitted(estimator, "digits", folder)
    convert(trained.source, folder / "graph", trust=True)
    rows = data.npz(folder, features=data.test.astype(np.float32))
    answers = {"label": estimator.predict(data.test), "probabilities": estimator.predict_proba(data.test)}
    return Trained(folder / "graph" / "model.onnx", rows, None, trained.alone, {"expected": answers})
