"""Boosters in the hands of their estimators: categories, class values, thresholds, pipelines, directories of MLflow."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import xgboost
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fidelity.case import SEED, Case, Fresh, Trained
from fidelity.data import TARGET, Array, Data, real
from fidelity.estimators import Estimator, Save, alone, asked, in_joblib, in_memory, in_skops, saved
from fidelity.tables import ABROAD, CLINIC, CODE, DOSE, RANGES, SIZE, STAGE, WARD, clinic, ranges

ROUNDS = 40
SENTINEL = -999.0
PLAIN = {DOSE: "dose; mol/l", SIZE: "Größe (µm)", ABROAD: "à l'étranger", STAGE: "stage"}
"""Names without the signs that boosters refuse in names."""
ASCII = {"Ärzte & Co.": "Doctors & Co.", "外科": "Surgery", "Kreißsaal": "Delivery room"}


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _of_ranges()
    yield from _of_categories()
    yield from _of_targets()
    yield from _within_others()
    yield from _in_directories()


def _xgb(kind: Any = xgboost.XGBClassifier, **settings: Any) -> Estimator:  # noqa: ANN401 - a class without types
    return kind(n_estimators=ROUNDS, n_jobs=1, random_state=SEED, **settings)


def _lgb(kind: Any = lightgbm.LGBMClassifier, **settings: Any) -> Estimator:  # noqa: ANN401
    return kind(n_estimators=ROUNDS, n_jobs=1, random_state=SEED, verbose=-1, **settings)


def _cat(kind: Any = catboost.CatBoostClassifier, **settings: Any) -> Estimator:  # noqa: ANN401
    quiet = {"verbose": False, "allow_writing_files": False}
    return kind(iterations=ROUNDS, depth=4, thread_count=1, random_seed=SEED, **quiet, **settings)


def _of_ranges() -> Iterator[Case]:
    for framework, model in (("XGBoost", _xgb()), ("LightGBM", _lgb()), ("CatBoost", _cat())):
        yield Case("two classes, estimator", framework, RANGES, partial(_fitted, model, ranges().framed()))
    linear = _xgb(booster="gblinear")
    yield Case("linear booster", "XGBoost", "wine", partial(_fitted, linear, _scaled("wine")))
    numbers = _xgb(xgboost.XGBRegressor, booster="gblinear")
    yield Case("linear booster, regression", "XGBoost", "diabetes", partial(_fitted, numbers, _scaled("diabetes")))
    trees = _lgb(lightgbm.LGBMRegressor, linear_tree=True)
    yield Case("linear trees", "LightGBM", "diabetes", partial(_fitted, trees, _scaled("diabetes")))


def _of_categories() -> Iterator[Case]:
    for onehot, how in ((1, "by sets"), (100, "one by one")):
        model = _xgb(enable_categorical=True, max_cat_to_onehot=onehot)
        yield Case(f"categories, {how}", "XGBoost", CLINIC, partial(_of_clinic, model, ASCII))
    refused = partial(_of_clinic, _xgb(enable_categorical=True), {})
    yield Case("categories beyond ASCII", "XGBoost", CLINIC, refused, refused="categories that are not ASCII")
    model = _lgb(min_data_per_group=5, cat_smooth=1)
    yield Case("categories beyond ASCII", "LightGBM", CLINIC, partial(_of_clinic, model, {}))
    yield Case("categories, one by one", "CatBoost", CLINIC, partial(_catboost_of_clinic, 255))
    statistics = partial(_catboost_of_clinic, 2)
    yield Case("categories by statistics of the target", "CatBoost", CLINIC, statistics, refused="one_hot_max_size")


def _of_targets() -> Iterator[Case]:
    yield Case("missing values are -999, estimator", "XGBoost", "breast cancer", partial(_with_sentinel, in_joblib))
    yield Case("missing values are -999, skops", "XGBoost", "breast cancer", partial(_with_sentinel, in_skops))
    yield Case("its own file, expected answers", "XGBoost", "breast cancer", _expected)
    quantiles = _xgb(xgboost.XGBRegressor, objective="reg:quantileerror", quantile_alpha=[0.1, 0.5, 0.9])
    yield Case("three quantiles, in memory", "XGBoost", "diabetes", partial(_without_truth, quantiles))
    yield Case(
        "best round of early stopping", "XGBoost", "digits", partial(_stopped_early, _xgb(early_stopping_rounds=3))
    )
    grades = partial(_graded, real("wine"))
    yield Case("classes 1, 2 and 4, estimator", "LightGBM", "wine", partial(grades, in_joblib, (1, 2, 4)))
    yield Case("classes of words, skops", "LightGBM", "wine", partial(grades, in_skops, ("süß", "trocken", "herb")))
    yield Case("classes 1, 2 and 4, its own file and labels", "LightGBM", "wine", _labelled)
    yield Case(
        "an objective of the user's", "LightGBM", "diabetes", partial(_fitted, _own_objective(), real("diabetes"))
    )
    several = partial(_several_labels, _xgb())
    yield Case("two labels by themselves, in memory", "XGBoost", "wine", several)
    threshold = partial(_fitted, _cat(), real("breast cancer"), save=_in_cbm, before=_set_threshold)
    yield Case("probability threshold", "CatBoost", "breast cancer", threshold)
    counts = _cat(catboost.CatBoostRegressor, loss_function="Poisson")
    yield Case("counts (Poisson), in memory", "CatBoost", "diabetes", partial(_live, counts, real("diabetes")))


def _within_others() -> Iterator[Case]:
    cancer, wine = real("breast cancer"), real("wine")
    scaled = make_pipeline(StandardScaler(), _xgb())
    yield Case("XGBoost behind a scaler", "scikit-learn", "breast cancer", partial(_fitted, scaled, cancer))
    calibrated = CalibratedClassifierCV(_lgb())
    yield Case("LightGBM, calibrated", "scikit-learn", "breast cancer", partial(_fitted, calibrated, cancer))
    stacked = StackingClassifier([("trees", _cat()), ("linear", make_pipeline(StandardScaler(), LogisticRegression()))])
    yield Case("CatBoost in a stack", "scikit-learn", "wine", partial(_fitted, stacked, wine))
    encoded = ColumnTransformer(
        [("words", OneHotEncoder(handle_unknown="ignore"), [WARD, STAGE, CODE])], remainder="passthrough"
    )
    pipeline = make_pipeline(encoded, _lgb())
    yield Case("one-hot, LightGBM", "scikit-learn", CLINIC, partial(_fitted, pipeline, clinic(holes=0)))


def _in_directories() -> Iterator[Case]:
    about = "MLflow's layout"
    logistic = make_pipeline(StandardScaler(), LogisticRegression())
    for name, estimator, flavour, save in (
        ("logistic regression in skops", logistic, {"sklearn": {"pickled_model": "model.skops"}}, in_skops),
        ("XGBoost", _xgb(), {"xgboost": {"data": "model.ubj"}}, _in_ubj),
        ("LightGBM, estimator", _lgb(), {"lightgbm": {"data": "model.joblib"}}, in_joblib),
        ("CatBoost", _cat(), {"catboost": {"data": "model.cbm"}}, _in_cbm),
    ):
        yield Case(f"{name}, {about}", "MLflow", "breast cancer", partial(_mlflow, estimator, flavour, save))


def _fitted(
    estimator: Estimator,
    data: Data,
    folder: Path,
    *,
    save: Save = in_joblib,
    before: Callable[[Estimator], None] | None = None,
) -> Trained:
    estimator.fit(data.train, data.train_target)
    if before is not None:
        before(estimator)
    return saved(estimator, data, folder, save)


def _live(estimator: Estimator, data: Data, folder: Path) -> Trained:  # noqa: ARG001 - nothing is saved
    return in_memory(estimator.fit(data.train, data.train_target), data)


def _without_truth(estimator: Estimator, folder: Path) -> Trained:  # noqa: ARG001 - nothing is saved
    """Several numbers per row are not compared with one target."""
    data = real("diabetes").framed()
    estimator.fit(data.train, data.train_target)
    return Trained(estimator, data.test, None, alone(estimator, data), asked(estimator, data.fresh))


def _several_labels(estimator: Estimator, folder: Path) -> Trained:  # noqa: ARG001 - nothing is saved
    data = real("wine")

    def marks(known: Array) -> Array:
        return np.stack([known > 0, known == 1], axis=1).astype(int)

    estimator.fit(data.train, marks(data.train_target))
    own = Data(data.names, data.train, data.train_target, data.test, marks(data.test_target), data.fresh)
    fresh = Fresh(data.fresh, estimator.predict(data.fresh))
    return in_memory(estimator, own, fresh)


def _scaled(name: str) -> Data:
    """Numbers of one magnitude, as linear models want them."""
    data = real(name)
    scaler = StandardScaler().fit(data.train)
    train, test, fresh = (scaler.transform(rows) for rows in (data.train, data.test, data.fresh))
    return Data(data.names, train, data.train_target, test, data.test_target, fresh)


def _of_clinic(estimator: Estimator, spelled: dict[str, str], folder: Path) -> Trained:
    """Words in pandas' category type, and codes; the estimator is asked with what it does not know missing."""
    data = clinic(holes=0)

    def frame(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.rename(columns=PLAIN).replace({WARD: spelled})

    train, test, fresh = map(frame, (data.train, data.test, data.fresh))
    kinds = {name: pd.CategoricalDtype(sorted(set(train[name]))) for name in (WARD, PLAIN[STAGE])}

    def typed(rows: pd.DataFrame) -> pd.DataFrame:
        known = {name: rows[name].where(rows[name].isin(kind.categories)) for name, kind in kinds.items()}
        return rows.assign(**known).astype(kinds)

    estimator.fit(typed(train), (data.train_target == "gutartig").astype(int))
    own = Data(tuple(train), train, data.train_target, test, (data.test_target == "gutartig").astype(int), fresh)
    answers = asked(estimator, typed(fresh))
    row = partial(estimator.predict_proba, typed(test)[:1])
    path = in_joblib(estimator, folder)
    asked_as_sent = Fresh(fresh, answers.labels, answers.numbers)
    return Trained(path, own.csv(folder), TARGET, row, asked_as_sent, {"trust": True})


def _catboost_of_clinic(one_by_one: int, folder: Path) -> Trained:
    """Words are categories where there are no more of them than that."""
    data = clinic(holes=0)
    model = _cat(cat_features=[WARD, STAGE], one_hot_max_size=one_by_one).fit(data.train, data.train_target)
    return saved(model, data, folder)


def _with_sentinel(save: Save, folder: Path) -> Trained:
    """A number stands for what is missing, which only the estimator knows."""
    return saved(*_told_of_sentinel(), folder, save)


def _told_of_sentinel() -> tuple[Estimator, Data]:
    data = real("breast cancer", holes=0.2)
    train, test, fresh = (np.where(np.isnan(rows), SENTINEL, rows) for rows in (data.train, data.test, data.fresh))
    own = Data(data.names, train, data.train_target, test, data.test_target, fresh)
    return _xgb(missing=SENTINEL).fit(train, data.train_target), own


def _expected(folder: Path) -> Trained:
    """A file that has forgotten it all, and what the user computed where the model was trained."""
    model, data = _told_of_sentinel()
    answers = {"label": model.predict(data.test), "probabilities": model.predict_proba(data.test)}
    told = {"expected": answers, "missing_value": SENTINEL}
    return saved(model, data, folder, _in_ubj, options=told)


def _stopped_early(estimator: Estimator, folder: Path) -> Trained:
    data = real("digits")
    half = len(data.train) // 2
    rest = [(data.train[half:], data.train_target[half:])]
    estimator.fit(data.train[:half], data.train_target[:half], eval_set=rest, verbose=False)
    return saved(estimator, data, folder)


def _graded(data: Data, save: Save, values: tuple[Any, ...], folder: Path) -> Trained:
    """Classes by the user's own values."""
    train, test = (np.array(values, dtype=object)[known] for known in (data.train_target, data.test_target))
    if not isinstance(values[0], str):
        train, test = train.astype(int), test.astype(int)
    own = Data(data.names, data.train, train, data.test, test, data.fresh)
    return saved(_lgb().fit(own.train, train), own, folder, save)


def _labelled(folder: Path) -> Trained:
    """LightGBM's own file forgets the values of classes."""
    trained = _graded(real("wine"), _in_text, (1, 2, 4), folder)
    return Trained(trained.source, trained.data, TARGET, trained.alone, trained.fresh, {"labels": ("1", "2", "4")})


def _own_objective() -> Estimator:
    return _lgb(lightgbm.LGBMRegressor, objective=_squared)


def _squared(truth: Array, scores: Array) -> tuple[Array, Array]:
    return scores - truth, np.ones_like(scores)


def _set_threshold(model: Estimator) -> None:
    model.set_probability_threshold(0.2)


def _mlflow(estimator: Estimator, flavour: dict[str, dict[str, str]], save: Save, folder: Path) -> Trained:
    """The directory that MLflow's save_model writes."""
    place = folder / "model"
    place.mkdir()
    data = real("breast cancer")
    save(estimator.fit(data.train, data.train_target), place)
    columns = [{"type": "double", "name": name, "required": True} for name in data.names]
    signature = {"inputs": json.dumps(columns)}
    # JSON is YAML
    (place / "MLmodel").write_text(json.dumps({"flavors": flavour, "signature": signature, "mlflow_version": "3.0"}))
    fresh = asked(estimator, data.fresh)
    return Trained(place, data.csv(folder), TARGET, alone(estimator, data), fresh, {"trust": True})


def _in_ubj(estimator: Estimator, folder: Path) -> Path:
    return _in_own(estimator, folder / "model.ubj")


def _in_cbm(estimator: Estimator, folder: Path) -> Path:
    return _in_own(estimator, folder / "model.cbm")


def _in_text(estimator: Estimator, folder: Path) -> Path:
    return _in_own(estimator.booster_, folder / "model.txt")


def _in_own(booster: Estimator, path: Path) -> Path:
    booster.save_model(str(path))
    return path
