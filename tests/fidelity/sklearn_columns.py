"""Pipelines of scikit-learn on tables whose columns are of many kinds, magnitudes and names."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import FastICA
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - scikit-learn wants it
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC

from fidelity.case import SEED, Case, Trained
from fidelity.data import Array, Data, real, texts
from fidelity.estimators import Estimator, in_memory, in_skops, saved
from fidelity.tables import ABROAD, CLINIC, CODE, NUMBERS, RANGES, STAGE, WARD, clinic, ranges

FRAMEWORK = "scikit-learn"


def cases() -> Iterator[Case]:
    """All of them."""
    for name, estimator in _of_ranges():
        yield Case(name, FRAMEWORK, RANGES, partial(_of_table, estimator, "ranges"))
    for name, estimator in _of_clinic():
        yield Case(name, FRAMEWORK, CLINIC, partial(_of_table, estimator, "clinic"))
        if name == "one-hot, logistic regression":
            yield Case(f"{name}, in memory", FRAMEWORK, CLINIC, partial(_live, estimator))
    yield Case("columns of texts, booleans, numbers, some missing", FRAMEWORK, "wine", _mixed_columns)
    yield Case("logistic regression in a skops file", FRAMEWORK, "wine", _in_skops)
    lines = "data sets' descriptions"
    for name, vectorizer, accent, refused in (
        ("words (TF-IDF)", TfidfVectorizer(), "", ""),
        ("pairs of words beyond ASCII", CountVectorizer(ngram_range=(1, 2)), "é", ""),
        (
            "letters beyond ASCII",
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3), strip_accents="unicode"),
            "é",
            "",
        ),
        ("words by a hash", HashingVectorizer(n_features=512), "ß", ""),
        ("words by a function", CountVectorizer(tokenizer=str.split, token_pattern=None), "", "tokenizer"),
    ):
        about = f"{name}, logistic regression"
        yield Case(about, FRAMEWORK, lines, partial(_of_texts, vectorizer, accent), refused=refused)


def _of_ranges() -> Iterator[tuple[str, Estimator]]:
    logistic = LogisticRegression(max_iter=1000)
    forest = RandomForestClassifier(30, random_state=SEED)
    yield "robust scaling, logistic regression", make_pipeline(RobustScaler(), logistic)
    yield "powers, logistic regression", make_pipeline(PowerTransformer(), logistic)
    yield "quantiles, logistic regression", make_pipeline(QuantileTransformer(n_quantiles=100), logistic)
    normal = QuantileTransformer(n_quantiles=100, output_distribution="normal")
    yield "normal quantiles, logistic regression", make_pipeline(normal, logistic)
    roots = FunctionTransformer(np.cbrt)
    yield "cube roots, scaled, logistic regression", make_pipeline(roots, StandardScaler(), logistic)
    kernel = make_pipeline(StandardScaler(), Nystroem(n_components=40, random_state=SEED), logistic)
    yield "radial features (Nystroem), logistic regression", kernel
    components = make_pipeline(StandardScaler(), FastICA(8, random_state=SEED, max_iter=1000), logistic)
    yield "independent components, logistic regression", components
    yield "bins, one-hot, logistic regression", make_pipeline(KBinsDiscretizer(5, quantile_method="linear"), logistic)
    yield "scaled, 0 or 1, naive Bayes", make_pipeline(StandardScaler(), Binarizer(), GaussianNB())
    yield "largest scaled to 1, SVC", make_pipeline(MaxAbsScaler(), SVC(probability=True, random_state=SEED))
    yield "scaled, nearest neighbours", make_pipeline(StandardScaler(), KNeighborsClassifier(7, weights="distance"))
    yield "scaled, perceptron", make_pipeline(StandardScaler(), MLPClassifier((16,), max_iter=200, random_state=SEED))
    yield "random forest", forest
    yield "gradient boosting", GradientBoostingClassifier(n_estimators=40, random_state=SEED)
    yield "histogram gradient boosting", HistGradientBoostingClassifier(max_iter=40, random_state=SEED)


def _of_clinic() -> Iterator[tuple[str, Estimator]]:
    logistic = LogisticRegression(max_iter=1000)
    one_hot = OneHotEncoder(handle_unknown="ignore")
    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    medians = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    yield "one-hot, logistic regression", make_pipeline(_columns(medians, one_hot), logistic)
    rare = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=90)
    yield (
        "rare ones together, gradient boosting",
        make_pipeline(_columns(SimpleImputer(), rare), GradientBoostingClassifier(n_estimators=40, random_state=SEED)),
    )
    yield (
        "numbered, forest that takes missing values",
        make_pipeline(_columns("passthrough", ordinal), RandomForestClassifier(30, random_state=SEED)),
    )
    yield (
        "numbered, histogram gradient boosting of categories",
        make_pipeline(
            _columns("passthrough", ordinal),
            HistGradientBoostingClassifier(max_iter=40, categorical_features=[5, 6, 7], random_state=SEED),
        ),
    )
    chained = make_pipeline(StandardScaler(), IterativeImputer(random_state=SEED))
    yield "filled column by column, logistic regression", make_pipeline(_columns(chained, one_hot), logistic)
    neighbours = make_pipeline(StandardScaler(), KNNImputer(weights="distance"))
    yield "filled from neighbours, logistic regression", make_pipeline(_columns(neighbours, one_hot), logistic)


def _columns(numbers: Any, categories: Any) -> ColumnTransformer:  # noqa: ANN401 - transformers
    return ColumnTransformer(
        [
            ("numbers", numbers, list(NUMBERS)),
            ("categories", categories, [WARD, STAGE, CODE]),
            ("booleans", "passthrough", [ABROAD]),
        ]
    )


def _of_table(estimator: Estimator, table: str, folder: Path) -> Trained:
    data = ranges().framed() if table == "ranges" else clinic()
    return saved(estimator.fit(data.train, data.train_target), data, folder)


def _live(estimator: Estimator, folder: Path) -> Trained:  # noqa: ARG001 - nothing is saved
    data = clinic()
    return in_memory(estimator.fit(data.train, data.train_target), data)


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

    train, test, fresh = map(frame, (data.train, data.test, data.fresh))
    told = Data(tuple(train.columns), train, data.train_target, test, data.test_target, fresh)
    numbers = [name for name in train.columns if name not in ("colour", "strong")]
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            ("texts", OneHotEncoder(handle_unknown="ignore"), ["colour"]),
            ("booleans", "passthrough", ["strong"]),
        ]
    )
    return saved(make_pipeline(columns, LogisticRegression()).fit(train, data.train_target), told, folder)


def _in_skops(folder: Path) -> Trained:
    data = real("wine")
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(data.train, data.train_target)
    return saved(estimator, data, folder, in_skops)


def _of_texts(vectorizer: Any, accent: str, folder: Path) -> Trained:  # noqa: ANN401 - a vectorizer
    """Lines of text beside their lengths, which tell what data set they describe; `accent` takes the place of e."""
    found = texts()

    def frame(lines: tuple[str, ...]) -> pd.DataFrame:
        written = [line.replace("e", accent or "e") for line in lines]
        return pd.DataFrame({"line": written, "length": [float(len(line)) for line in lines]})

    train, test, fresh = map(frame, (found.train, found.test, found.fresh))
    data = Data(("line", "length"), train, found.train_target, test, found.test_target, fresh)
    steps = ColumnTransformer([("words", vectorizer, "line"), ("length", StandardScaler(), ["length"])])
    return saved(make_pipeline(steps, LogisticRegression(max_iter=1000)).fit(train, found.train_target), data, folder)
