"""XGBoost, LightGBM, CatBoost and LIBSVM, in files of their own."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import xgboost
from libsvm import svm, svmutil

from fidelity import boosting_tables
from fidelity.case import SEED, Case, Fresh, Trained
from fidelity.data import TARGET, real
from fidelity.estimators import asked

ROUNDS = 60
Booster = Any


def cases() -> Iterator[Case]:
    """All of them."""
    for name, data, model in _xgboost():
        yield Case(name, "XGBoost", data, partial(_fitted, model, data, "model.ubj"))
    for name, data, model in _lightgbm():
        yield Case(name, "LightGBM", data, partial(_fitted, model, data, "model.txt"))
    for name, data, model in _catboost():
        yield Case(name, "CatBoost", data, partial(_fitted, model, data, "model.cbm"))
    missing = "breast cancer, 5 % missing"
    for framework, model, file in (
        ("XGBoost", xgboost.XGBClassifier(n_estimators=ROUNDS, n_jobs=1), "model.json"),
        ("LightGBM", lightgbm.LGBMClassifier(n_estimators=ROUNDS, n_jobs=1, verbose=-1), "model.txt"),
        ("CatBoost", _catboost_model(catboost.CatBoostClassifier), "model.cbm"),
    ):
        yield Case("two classes", framework, missing, partial(_fitted, model, "breast cancer", file, holes=0.05))
    yield from boosting_tables.cases()
    for name, data, options in _libsvm():
        yield Case(name, "LIBSVM", data, partial(_svm, data, options))


def _xgboost() -> Iterator[tuple[str, str, Booster]]:
    settings = {"n_estimators": ROUNDS, "n_jobs": 1, "random_state": SEED}
    yield "two classes", "breast cancer", xgboost.XGBClassifier(**settings)
    yield "three classes", "wine", xgboost.XGBClassifier(**settings)
    yield "ten classes", "digits", xgboost.XGBClassifier(**settings)
    yield "regression", "diabetes", xgboost.XGBRegressor(**settings)
    yield "dropped trees (dart)", "breast cancer", xgboost.XGBClassifier(booster="dart", rate_drop=0.2, **settings)
    yield "random forest", "wine", xgboost.XGBRFClassifier(**settings)
    yield "counts (Poisson)", "diabetes", xgboost.XGBRegressor(objective="count:poisson", **settings)


def _lightgbm() -> Iterator[tuple[str, str, Booster]]:
    settings = {"n_estimators": ROUNDS, "n_jobs": 1, "random_state": SEED, "verbose": -1}
    yield "two classes", "breast cancer", lightgbm.LGBMClassifier(**settings)
    yield "three classes", "wine", lightgbm.LGBMClassifier(**settings)
    yield "ten classes", "digits", lightgbm.LGBMClassifier(**settings)
    yield "regression", "diabetes", lightgbm.LGBMRegressor(**settings)
    yield (
        "random forest",
        "breast cancer",
        lightgbm.LGBMClassifier(boosting_type="rf", subsample=0.7, subsample_freq=1, **settings),
    )
    yield "quantile regression", "diabetes", lightgbm.LGBMRegressor(objective="quantile", alpha=0.9, **settings)


def _catboost() -> Iterator[tuple[str, str, Booster]]:
    yield "two classes", "breast cancer", _catboost_model(catboost.CatBoostClassifier)
    yield "three classes", "wine", _catboost_model(catboost.CatBoostClassifier)
    yield "ten classes", "digits", _catboost_model(catboost.CatBoostClassifier, depth=4)
    yield "regression", "diabetes", _catboost_model(catboost.CatBoostRegressor)


def _libsvm() -> Iterator[tuple[str, str, str]]:
    yield "C-SVC, radial", "breast cancer", "-s 0 -t 2 -g 0.00001 -c 10"
    yield "C-SVC, radial, with probabilities", "breast cancer", "-s 0 -t 2 -g 0.00001 -c 10 -b 1"
    yield "C-SVC, linear, with probabilities", "iris", "-s 0 -t 0 -b 1"
    yield "C-SVC, radial, ten classes, with probabilities", "digits", "-s 0 -t 2 -g 0.001 -b 1"
    yield "nu-SVC, polynomial", "iris", "-s 1 -t 1 -n 0.2"
    yield "nu-SVC, sigmoid, with probabilities", "wine", "-s 1 -t 3 -g 0.0000001 -n 0.3 -b 1"
    yield "epsilon-SVR", "diabetes", "-s 3 -t 2 -g 10 -c 100"
    yield "epsilon-SVR, with probabilities", "diabetes", "-s 3 -t 2 -g 10 -c 100 -b 1"
    yield "nu-SVR", "diabetes", "-s 4 -t 0 -c 100 -n 0.5"


def _catboost_model(kind: Any, **settings: Any) -> Booster:  # noqa: ANN401 - a class without types
    return kind(
        iterations=ROUNDS, thread_count=1, random_seed=SEED, verbose=False, allow_writing_files=False, **settings
    )


def _fitted(model: Booster, name: str, file: str, folder: Path, *, holes: float = 0) -> Trained:
    data = real(name, holes=holes)
    model.fit(data.train, data.train_target)
    path = folder / file
    saved: Any = getattr(model, "booster_", model)
    saved.save_model(str(path))
    answer = getattr(model, "predict_proba", model.predict)
    return Trained(path, data.csv(folder), TARGET, partial(answer, data.test[:1]), asked(model, data.fresh))


def _svm(name: str, options: str, folder: Path) -> Trained:
    data = real(name)
    model = svmutil.svm_train(data.train_target.tolist(), data.train.tolist(), f"{options} -q")
    path = folder / "learned.model"
    svmutil.svm_save_model(str(path), model)
    # the trained model borrows the rows' memory, one that was read has its own
    model = svmutil.svm_load_model(str(path))
    # support vectors for numbers (-s 3 and -s 4) have probabilities of another kind
    numbers = options.startswith(("-s 3", "-s 4"))
    ask = partial(_svm_answer, model, probable="-b 1" in options and not numbers)
    answers = [ask(row) for row in data.fresh.tolist()]
    labels = np.array([label for label, _ in answers])
    shares = np.array([share for _, share in answers])[:, np.argsort(model.get_labels())] if answers[0][1] else None
    fresh = Fresh(data.fresh, numbers=labels) if numbers else Fresh(data.fresh, labels, shares)
    return Trained(path, data.csv(folder), TARGET, partial(ask, data.test[0].tolist()), fresh)


def _svm_answer(model: Any, row: list[float], *, probable: bool) -> tuple[float, list[float]]:  # noqa: ANN401 - LIBSVM has no types
    """As svm_predict of its package asks, which writes beyond its buffer for a nu-SVC of several classes."""
    nodes, _ = svm.gen_svm_nodearray(row)
    if not probable:
        return float(svm.libsvm.svm_predict(model, nodes)), []
    probabilities = (ctypes.c_double * model.get_nr_class())()
    return float(svm.libsvm.svm_predict_probability(model, nodes, probabilities)), list(probabilities)
