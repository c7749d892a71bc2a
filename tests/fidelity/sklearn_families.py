"""Estimators of scikit-learn on tables of numbers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from sklearn import (
    calibration,
    discriminant_analysis,
    ensemble,
    kernel_ridge,
    linear_model,
    naive_bayes,
    neighbors,
    neural_network,
    svm,
    tree,
)
from sklearn.decomposition import PCA
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - scikit-learn wants it
from sklearn.feature_selection import SelectKBest
from sklearn.impute import IterativeImputer, SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    PolynomialFeatures,
    SplineTransformer,
    StandardScaler,
)

from fidelity.case import SEED, Case
from fidelity.data import Array
from fidelity.estimators import Estimator, fitted, fitted_alone

FRAMEWORK = "scikit-learn"
CAUSES = {
    "SVC, polynomial": "ONNX's support vector machines compute in single precision, and powers lose more of it",
    "k nearest neighbours": (
        "of neighbours at the very same distance, as pictures of whole numbers have them, either may be among the five"
    ),
}


def cases() -> Iterator[Case]:
    """All of them."""
    for name, data, estimator in (*_linear(), *_margins(), *_trees(), *_boosted(), *_others(), *_pipelines()):
        yield Case(name, FRAMEWORK, data, partial(fitted, estimator, data), cause=CAUSES.get(name, ""))
    ridge = linear_model.Ridge()
    for name, step, refused in (
        (
            "drawn at random for missing values",
            IterativeImputer(sample_posterior=True, random_state=SEED),
            "sample_posterior",
        ),
        ("a function of the user's", FunctionTransformer(_halved), "_halved"),
    ):
        train = partial(fitted_alone, make_pipeline(step, ridge), "diabetes")
        yield Case(f"{name}, ridge", FRAMEWORK, "diabetes", train, refused=refused)
    for name, data, holes, estimator in _with_missing():
        yield Case(name, FRAMEWORK, f"{data}, 5 % missing", partial(fitted, estimator, data, holes=holes))


def _halved(numbers: Array) -> Array:
    return numbers / 2


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
    yield "multi-layer perceptron", "breast cancer", scaled(perceptron((32,)))
    yield (
        "multi-layer perceptron, regression",
        "diabetes",
        scaled(neural_network.MLPRegressor(hidden_layer_sizes=(32,), max_iter=500, random_state=SEED)),
    )
    yield "multi-layer perceptron, 1024 x 512", "digits", make_pipeline(MinMaxScaler(), perceptron((1024, 512)))
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
    splines = make_pipeline(SplineTransformer(5), linear_model.Ridge())
    yield "splines, ridge", "diabetes", splines
    yield "kernel ridge", "diabetes", kernel_ridge.KernelRidge(kernel="rbf", alpha=0.1)
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


def perceptron(layers: tuple[int, ...]) -> Estimator:
    """A network of scikit-learn's own."""
    return neural_network.MLPClassifier(layers, max_iter=60, early_stopping=True, random_state=SEED)
