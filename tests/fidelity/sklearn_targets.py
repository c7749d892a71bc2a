"""What scikit-learn predicts otherwise: several targets, by thresholds, by votes of others, counts, known functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn import compose, ensemble, feature_selection, linear_model, multiclass, naive_bayes, neighbors, svm, tree
from sklearn.cross_decomposition import PLSRegression
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, TunedThresholdClassifierCV
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier

from fidelity.case import SEED, Case, Fresh, Trained
from fidelity.data import TARGET, Array, real
from fidelity.estimators import Estimator, alone, asked, fitted, in_joblib, saved

FRAMEWORK = "scikit-learn"
ALSO = "other"


def cases() -> Iterator[Case]:
    """All of them."""
    ridge = linear_model.Ridge(alpha=0.1)
    forest = ensemble.RandomForestClassifier(5, random_state=SEED)
    for name, estimator in (
        ("ridge", ridge),
        ("one gradient boosting each", MultiOutputRegressor(ensemble.GradientBoostingRegressor(random_state=SEED))),
        ("forest", ensemble.RandomForestRegressor(30, random_state=SEED)),
        ("partial least squares", PLSRegression(4)),
    ):
        yield Case(f"two targets at once, {name}", FRAMEWORK, "diabetes", partial(_two_numbers, estimator))
    for name, estimator in (
        ("forest", forest),
        ("one forest each", MultiOutputClassifier(forest)),
        ("tree", tree.DecisionTreeClassifier(max_depth=4, random_state=SEED)),
        ("neighbours", make_pipeline(StandardScaler(), neighbors.KNeighborsClassifier())),
    ):
        train = partial(_two_classifications, estimator)
        yield Case(f"two classifications at once, {name}", FRAMEWORK, "wine", train)
    chain = ClassifierChain(linear_model.LogisticRegression(max_iter=5000))
    train = partial(_two_classifications, chain)
    yield Case("two classifications, one by the other", FRAMEWORK, "wine", train, refused="fit a MultiOutputClassifier")
    for name, data, estimator in (*_by_threshold(), *_by_others(), *_of_counts()):
        yield Case(name, FRAMEWORK, data, partial(fitted, estimator, data))
    linear = make_pipeline(StandardScaler(), multiclass.OneVsRestClassifier(svm.LinearSVC(random_state=SEED)))
    yield Case("one against the rest, linear SVC", FRAMEWORK, "wine", partial(_by_labels, linear))


def _by_threshold() -> Iterator[tuple[str, str, Estimator]]:
    logistic = make_pipeline(StandardScaler(), linear_model.LogisticRegression())
    yield "fixed threshold", "breast cancer", FixedThresholdClassifier(logistic, threshold=0.2)
    yield "tuned threshold", "breast cancer", TunedThresholdClassifierCV(logistic, scoring="f1")
    search = GridSearchCV(logistic, {"logisticregression__C": [0.1, 1]}, cv=3)
    yield (
        "tuned threshold of a search",
        "breast cancer",
        TunedThresholdClassifierCV(search, scoring="balanced_accuracy", cv=3),
    )


def _by_others() -> Iterator[tuple[str, str, Estimator]]:
    scaled = partial(make_pipeline, StandardScaler())
    seeded = {"random_state": SEED}
    yield "bagging of SVCs", "wine", scaled(ensemble.BaggingClassifier(svm.SVC(), 5, **seeded))
    yield "one against one, linear SVC", "wine", scaled(multiclass.OneVsOneClassifier(svm.LinearSVC(**seeded)))
    unlabelled = SelfTrainingClassifier(linear_model.LogisticRegression())
    yield "labels of its own", "wine", scaled(unlabelled)
    recursive = feature_selection.RFE(linear_model.LogisticRegression(), n_features_to_select=5)
    yield "features left out one by one", "wine", scaled(recursive)
    members = [("ridge", linear_model.Ridge()), ("tree", tree.DecisionTreeRegressor(max_depth=4, **seeded))]
    yield "voting, regression", "diabetes", ensemble.VotingRegressor(members)
    yield "stacking, regression", "diabetes", ensemble.StackingRegressor(members)
    yield "AdaBoost, regression", "diabetes", ensemble.AdaBoostRegressor(n_estimators=10, **seeded)
    votes = [("bayes", naive_bayes.GaussianNB()), ("tree", tree.DecisionTreeClassifier(max_depth=4, **seeded))]
    yield "voting, by labels", "wine", ensemble.VotingClassifier([*votes, ("forest", _few(seeded))], voting="hard")


def _few(seeded: dict[str, int]) -> Estimator:
    return ensemble.RandomForestClassifier(5, **seeded)


def _of_counts() -> Iterator[tuple[str, str, Estimator]]:
    seeded = {"random_state": SEED}
    for loss in ("poisson", "gamma"):
        histogram = ensemble.HistGradientBoostingRegressor(loss=loss, max_iter=40, **seeded)
        yield f"histogram gradient boosting, {loss}", "diabetes", histogram
    yield "Tweedie regression", "diabetes", linear_model.TweedieRegressor(power=1.5, alpha=0.01, max_iter=1000)
    yield "Huber regression", "diabetes", linear_model.HuberRegressor(max_iter=1000)
    yield "Bayesian ridge", "diabetes", linear_model.BayesianRidge()
    logarithm = compose.TransformedTargetRegressor(linear_model.Ridge(), func=np.log1p, inverse_func=np.expm1)
    yield "logarithm of the target, ridge", "diabetes", logarithm
    quantiles = compose.TransformedTargetRegressor(
        ensemble.GradientBoostingRegressor(n_estimators=40, **seeded), transformer=QuantileTransformer(n_quantiles=100)
    )
    yield "quantiles of the target, gradient boosting", "diabetes", quantiles


def _by_labels(estimator: Estimator, folder: Path) -> Trained:
    """Of these skl2onnx gives no decision function."""
    data = real("wine")
    estimator.fit(data.train, data.train_target)
    return saved(estimator, data, folder, fresh=Fresh(data.fresh, estimator.predict(data.fresh)))


def _two_numbers(estimator: Estimator, folder: Path) -> Trained:
    return _targets(estimator, "diabetes", lambda target: target**0.5, folder)


def _two_classifications(estimator: Estimator, folder: Path) -> Trained:
    return _targets(estimator, "wine", lambda target: (target > 0).astype(int), folder)


def _targets(estimator: Estimator, name: str, other: Callable[[Array], Array], folder: Path) -> Trained:
    """The data's target, and another that follows from it."""
    data = real(name)
    estimator.fit(data.train, np.stack([data.train_target, other(data.train_target)], axis=1))
    rows = folder / "held-out.csv"
    known = {TARGET: data.test_target, ALSO: other(data.test_target)}
    pd.DataFrame(data.test, columns=list(data.names)).assign(**known).to_csv(rows, index=False)
    # who is refused need not answer: a ClassifierChain fails on three classes
    fresh = None if isinstance(estimator, ClassifierChain) else asked(estimator, data.fresh)
    return Trained(in_joblib(estimator, folder), rows, (TARGET, ALSO), alone(estimator, data), fresh, {"trust": True})
