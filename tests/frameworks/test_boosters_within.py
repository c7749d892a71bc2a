"""Boosters within scikit-learn's pipelines and ensembles: converted whole, with what only their estimators know."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import catboost
import joblib
import lightgbm
import numpy as np
import pandas as pd
import pytest
import skops.io
import xgboost
from sklearn.base import is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, PowerTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier

import trained
from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.toolchain.convert import convert

pytestmark = pytest.mark.boosting

NUMBERS = ["age", "count"]
STAGES = np.array(["I", "II", "III", "IV"])


def patients(seed: int, rows: int = 400, *, missing: float = np.nan) -> tuple[pd.DataFrame, trained.Array]:
    """Numbers of many scales, some of them missing, texts, and four stages."""
    random = np.random.default_rng(seed)
    age = random.integers(20, 90, rows)
    frame = pd.DataFrame(
        {
            "age": age.astype(np.float64),
            "count": random.lognormal(9, 2, rows),
            "ward": random.choice(["east", "west", "north"], rows),
        }
    )
    frame.loc[random.random(rows) < 0.2, "count"] = missing
    ward = frame["ward"].map({"east": 0, "west": 12, "north": 25})
    return frame, np.digitize(age + ward + random.normal(0, 5, rows), [45, 65, 85])


def catboost_model(kind: type, **parameters: Any) -> Any:
    return kind(iterations=12, depth=4, verbose=0, allow_writing_files=False, thread_count=1, **parameters)


CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "XGBoost": lambda: xgboost.XGBClassifier(n_estimators=8, max_depth=4, n_jobs=1),
    "LightGBM": lambda: lightgbm.LGBMClassifier(n_estimators=8, n_jobs=1, verbose=-1),
    "CatBoost": lambda: catboost_model(catboost.CatBoostClassifier),
}
REGRESSORS: dict[str, Callable[[], Any]] = {
    "XGBoost": lambda: xgboost.XGBRegressor(n_estimators=8, max_depth=4, n_jobs=1),
    "LightGBM": lambda: lightgbm.LGBMRegressor(n_estimators=8, n_jobs=1, verbose=-1),
    "CatBoost": lambda: catboost_model(catboost.CatBoostRegressor),
}


def encoded(last: Any, **parameters: Any) -> Pipeline:
    """Numbers as they are or scaled, texts encoded, then the booster."""
    texts = OneHotEncoder(handle_unknown="ignore", **parameters)
    return make_pipeline(make_column_transformer((StandardScaler(), NUMBERS), (texts, ["ward"])), last)


def assert_served_alike(directory: Path, model: Any, fresh: pd.DataFrame) -> None:
    """The served graph answers fresh rows as the model's own public calls do."""
    columns = {str(name): frame.to_numpy() for name, frame in fresh.items()}
    answers = trained.served_model(directory).predict(columns, "columns")
    predicted = np.asarray(model.predict(fresh))
    if not is_classifier(model):
        np.testing.assert_allclose(answers["prediction"], predicted, rtol=1e-5, atol=1e-5)
        return
    assert answers["label"].tolist() == predicted.reshape(-1).tolist()
    np.testing.assert_allclose(answers["probabilities"], model.predict_proba(fresh), atol=1e-5)


@pytest.mark.representative
@pytest.mark.parametrize("make", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_classifiers_at_the_end_of_a_pipeline_answer_as_its_predict_does(
    make: Callable[[], Any], tmp_path: Path
) -> None:
    known, stage = patients(1)
    model = encoded(make(), sparse_output=False).fit(known, stage)

    draft = convert(model, tmp_path / "out", data=known, target=stage)

    assert draft.reference is not None
    assert (draft.reference.kind, draft.reference.framework) == ("object", "scikit-learn")
    assert draft.evaluations[0].metrics["accuracy"] == model.score(known, stage)
    assert_served_alike(tmp_path / "out", model, patients(2)[0])


@pytest.mark.parametrize("make", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_sparse_rows_mean_to_a_booster_what_they_mean_to_it(make: Callable[[], Any], tmp_path: Path) -> None:
    # XGBoost takes what a sparse matrix leaves out for missing, the others for zeros
    known, stage = patients(3)
    encoder = OneHotEncoder(handle_unknown="ignore")
    columns = make_column_transformer((StandardScaler(), NUMBERS), (encoder, ["ward"]), sparse_threshold=1)
    model = make_pipeline(columns, make()).fit(known, stage)
    convert(model, tmp_path / "out", data=known)
    assert_served_alike(tmp_path / "out", model, patients(4)[0])


@pytest.mark.parametrize("make", REGRESSORS.values(), ids=REGRESSORS)
def test_regressors_at_the_end_of_a_pipeline_answer_as_its_predict_does(
    make: Callable[[], Any], tmp_path: Path
) -> None:
    known, stage = patients(5)
    model = encoded(make(), sparse_output=False).fit(known, stage * 10.0)
    convert(model, tmp_path / "out", data=known, target=stage * 10.0)
    assert_served_alike(tmp_path / "out", model, patients(6)[0])


@pytest.mark.parametrize("restored", ["in memory", "joblib", "skops"])
@pytest.mark.parametrize("make", [CLASSIFIERS["LightGBM"], CLASSIFIERS["CatBoost"]], ids=["LightGBM", "CatBoost"])
def test_class_values_are_kept(make: Callable[[], Any], restored: str, tmp_path: Path) -> None:
    known, stage = patients(7)
    model = encoded(make(), sparse_output=False).fit(known, STAGES[stage])
    source: Any = model
    if restored != "in memory":
        source = tmp_path / f"model.{restored}"
        joblib.dump(model, source) if restored == "joblib" else skops.io.dump(model, source)
    draft = convert(source, tmp_path / "out", data=known, trust=True)
    assert draft.labels == tuple(STAGES)
    assert_served_alike(tmp_path / "out", model, patients(8)[0])


def test_numbers_of_classes_that_do_not_start_at_nothing_are_kept(tmp_path: Path) -> None:
    known, stage = patients(9)
    model = encoded(CLASSIFIERS["LightGBM"](), sparse_output=False).fit(known, stage + 1)
    convert(model, tmp_path / "out", data=known, target=stage + 1)
    assert_served_alike(tmp_path / "out", model, patients(10)[0])
    assert set(model.predict(patients(10)[0]).tolist()) == {1, 2, 3, 4}


def test_the_number_for_a_missing_value_is_kept(tmp_path: Path) -> None:
    known, stage = patients(11, missing=-999.0)
    columns = make_column_transformer(("passthrough", NUMBERS), (OrdinalEncoder(), ["ward"]))
    booster = xgboost.XGBClassifier(n_estimators=8, missing=-999.0, n_jobs=1)
    model = make_pipeline(columns, booster).fit(known, stage)
    convert(model, tmp_path / "out", data=known, target=stage)
    assert_served_alike(tmp_path / "out", model, patients(12, missing=-999.0)[0])


@pytest.mark.parametrize("name", ["XGBoost", "LightGBM", "CatBoost"])
def test_the_best_round_is_kept(name: str, tmp_path: Path) -> None:
    known, stage = patients(13)
    held_out, known_stage = patients(14)
    columns = make_column_transformer(("passthrough", NUMBERS), (OrdinalEncoder(), ["ward"]))
    rows, judge = columns.fit_transform(known), columns.transform(held_out)
    eval_set = [(judge, known_stage)]
    if name == "XGBoost":
        booster = xgboost.XGBClassifier(n_estimators=80, learning_rate=0.5, early_stopping_rounds=3, n_jobs=1)
        booster.fit(rows, stage, eval_set=eval_set, verbose=False)
        stopped = booster.best_iteration < booster.get_booster().num_boosted_rounds() - 1
    elif name == "LightGBM":
        booster = lightgbm.LGBMClassifier(n_estimators=80, learning_rate=0.5, n_jobs=1, verbose=-1)
        booster.fit(
            rows, stage, eval_X=judge, eval_y=known_stage, callbacks=[lightgbm.early_stopping(3, verbose=False)]
        )
        stopped = booster.best_iteration_ < 80
    else:
        booster = catboost_model(catboost.CatBoostClassifier, learning_rate=0.5, early_stopping_rounds=3)
        booster.set_params(iterations=80).fit(rows, stage, eval_set=eval_set[0])
        stopped = booster.tree_count_ < 80
    assert stopped
    model = Pipeline([("columns", columns), ("booster", booster)])
    convert(model, tmp_path / "out", data=held_out, target=known_stage)
    assert_served_alike(tmp_path / "out", model, patients(15)[0])


ENSEMBLES: dict[str, Callable[[Any], Any]] = {
    "calibrated": lambda booster: encoded(CalibratedClassifierCV(booster, cv=2), sparse_output=False),
    "voting": lambda booster: encoded(
        VotingClassifier([("one", booster), ("other", LogisticRegression())], voting="soft"), sparse_output=False
    ),
    "stacked": lambda booster: encoded(StackingClassifier([("one", booster)], cv=2), sparse_output=False),
    "searched": lambda booster: GridSearchCV(encoded(booster, sparse_output=False), {}, cv=2),
}


@pytest.mark.parametrize("make", CLASSIFIERS.values(), ids=CLASSIFIERS)
@pytest.mark.parametrize("wrap", ENSEMBLES.values(), ids=ENSEMBLES)
def test_boosters_within_ensembles_answer_as_these_do(
    wrap: Callable[[Any], Any], make: Callable[[], Any], tmp_path: Path
) -> None:
    known, stage = patients(16)
    known["count"] = known["count"].fillna(0)
    model = wrap(make()).fit(known, stage)
    convert(model, tmp_path / "out", data=known, target=stage)
    fresh = patients(17)[0]
    assert_served_alike(tmp_path / "out", model, fresh.assign(count=fresh["count"].fillna(0)))


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_scores_of_two_classes_are_calibrated(method: str, tmp_path: Path) -> None:
    known, stage = patients(20)
    booster = lightgbm.LGBMClassifier(n_estimators=8, n_jobs=1, verbose=-1)
    booster.set_params(sigmoid=1.7)
    model = encoded(CalibratedClassifierCV(booster, cv=2, method=method), sparse_output=False)
    known["count"] = known["count"].fillna(0)
    model.fit(known, stage > 1)
    convert(model, tmp_path / "out", data=known, target=stage > 1)
    fresh = patients(21)[0]
    assert_served_alike(tmp_path / "out", model, fresh.assign(count=fresh["count"].fillna(0)))


def test_steps_that_need_double_precision_come_before_a_booster(tmp_path: Path) -> None:
    known, stage = patients(18)
    steps = make_pipeline(SimpleImputer(), PowerTransformer())
    model = make_pipeline(
        make_column_transformer((steps, NUMBERS), (OrdinalEncoder(), ["ward"])), CLASSIFIERS["XGBoost"]()
    ).fit(known, stage > 1)
    draft = convert(model, tmp_path / "out", data=known, target=stage > 1)
    assert draft.evaluations[-1].metrics["label_agreement"] == 1
    assert_served_alike(tmp_path / "out", model, patients(19)[0])


def test_an_ensemble_of_arrays_whose_first_member_forgot_their_width_converts(tmp_path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(200, 3))
    booster = catboost_model(catboost.CatBoostClassifier)
    model = StackingClassifier([("one", booster)], cv=2).fit(features, features[:, 0] > 0)
    restored = pickle.loads(pickle.dumps(model))  # noqa: S301 - its own
    assert restored.n_features_in_ == 0
    convert(restored, tmp_path / "out", data=features)
    assert_served_alike(tmp_path / "out", restored, pd.DataFrame(features, columns=["x0", "x1", "x2"]))


NAMES = {"age": "age  in years", "count": 'count, "raw" [1]', "ward": "Ü\u3000日本"}
LIGHTGBM_NAMES = {"age": "age  in years", "count": "count_1 µ", "ward": "Ü\u3000日本"}


def searched(booster: Any) -> Any:
    return GridSearchCV(booster, {}, cv=2)


HOLDERS: dict[str, Callable[[Any], Any]] = {
    "searched": searched,
    "calibrated": lambda booster: CalibratedClassifierCV(booster, cv=2),
    "voting": lambda booster: VotingClassifier([("one", booster)], voting="soft"),
    "stacked": lambda booster: StackingClassifier([("one", booster)], GaussianNB(), cv=2, passthrough=True),
    "behind nothing": lambda booster: make_pipeline("passthrough", booster),
}


@pytest.mark.parametrize("make", CLASSIFIERS.values(), ids=CLASSIFIERS)
@pytest.mark.parametrize("hold", HOLDERS.values(), ids=HOLDERS)
def test_columns_are_found_by_the_names_that_the_data_have(
    hold: Callable[[Any], Any], make: Callable[[], Any], tmp_path: Path
) -> None:
    names = LIGHTGBM_NAMES if isinstance(make(), lightgbm.LGBMModel) else NAMES
    if isinstance(make(), xgboost.XGBModel):
        # it refuses brackets itself
        names = {name: each.replace("[1]", "") for name, each in names.items()}
    known, stage = patients(22)
    known = known.assign(ward=known["ward"].map(len), count=known["count"].fillna(0)).rename(columns=names)
    model = hold(make()).fit(known, stage)
    convert(model, tmp_path / "out", data=known, target=stage)
    fresh = patients(23)[0]
    fresh = fresh.assign(ward=fresh["ward"].map(len), count=fresh["count"].fillna(0)).rename(columns=names)
    assert_served_alike(tmp_path / "out", model, fresh)


@pytest.mark.parametrize("hold", [searched, lambda booster: booster], ids=["searched", "by itself"])
def test_columns_whose_names_lightgbm_cannot_tell_apart_are_refused(hold: Callable[[Any], Any], tmp_path: Path) -> None:
    known, stage = patients(24)
    known = known[NUMBERS].rename(columns={"age": "age in years"})
    model = hold(CLASSIFIERS["LightGBM"]()).fit(known, stage)
    with pytest.raises(InvalidInputError, match=r"'age_in_years', 'age in years' .* have the same name to the model"):
        convert(model, tmp_path / "out", data=known.assign(age_in_years=1)[["age_in_years", *known]])


@pytest.mark.parametrize("make", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_classifiers_of_several_targets_hold_one_each(make: Callable[[], Any], tmp_path: Path) -> None:
    known, stage = patients(25)
    marks = np.stack([stage > 1, stage > 2], axis=1).astype(int)
    model = make_pipeline(make_column_transformer(("passthrough", NUMBERS)), MultiOutputClassifier(make()))
    model.fit(known, marks)
    convert(model, tmp_path / "out", data=known)
    fresh = patients(26)[0]
    answers = trained.served_model(tmp_path / "out").predict(
        {name: fresh[name].to_numpy() for name in ("age", "count", "ward")}, "columns"
    )
    for at in range(2):
        assert answers[f"label_y{at}"].tolist() == model.predict(fresh)[:, at].tolist()


RANKERS: dict[str, Callable[[Any], Any]] = {
    "XGBoost": lambda rows: (xgboost.XGBRanker(n_estimators=6, n_jobs=1), {"ranker__qid": np.arange(rows) // 10}),
    "LightGBM": lambda rows: (
        lightgbm.LGBMRanker(n_estimators=6, n_jobs=1, verbose=-1),
        {"ranker__group": [10] * (rows // 10)},
    ),
}


@pytest.mark.parametrize("make", RANKERS.values(), ids=RANKERS)
def test_rankers_at_the_end_of_a_pipeline_give_their_scores(make: Callable[[Any], Any], tmp_path: Path) -> None:
    known, stage = patients(27)
    ranker, groups = make(len(known))
    model = Pipeline([("scaled", StandardScaler()), ("ranker", ranker)]).fit(known[NUMBERS], stage, **groups)
    convert(model, tmp_path / "out", data=known[NUMBERS])
    assert_served_alike(tmp_path / "out", model, patients(28)[0][NUMBERS])


def pull_to_class(target: Any, predicted: Any) -> Any:
    probability = 1 / (1 + np.exp(-predicted))
    return probability - target, probability * (1 - probability)


@pytest.mark.filterwarnings("ignore:Cannot compute class probabilities")
def test_what_has_no_form_within_a_pipeline_is_refused_by_name(tmp_path: Path) -> None:
    known, stage = patients(29)
    scores = lightgbm.LGBMClassifier(objective=pull_to_class, n_estimators=3, n_jobs=1, verbose=-1)
    model = make_pipeline(StandardScaler(), scores).fit(known[NUMBERS], stage > 1)
    with pytest.raises(ConversionError, match=r"LGBMClassifier answers with scores .*convert it by itself"):
        convert(model, tmp_path / "out", data=known[NUMBERS])
    several = make_pipeline(StandardScaler(), CLASSIFIERS["XGBoost"]())
    several.fit(known[NUMBERS], np.stack([stage > 1, stage > 2], axis=1))
    with pytest.raises(ConversionError, match=r"XGBClassifier tells several labels .* a MultiOutputClassifier"):
        convert(several, tmp_path / "out", data=known[NUMBERS])


@pytest.mark.parametrize("make", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_values_at_the_thresholds_behind_a_scaler_go_the_way_that_they_go_there(
    make: Callable[[], Any], tmp_path: Path
) -> None:
    # halves of whole numbers are what trees split by, and single precision does not keep a scaled one at its place
    random = np.random.default_rng(30)
    known = pd.DataFrame({name: random.integers(0, 50, 400) * 2.0 for name in NUMBERS})
    model = make_pipeline(StandardScaler(), make()).fit(known, known["age"] + known["count"] > 90)
    convert(model, tmp_path / "out", data=known)
    fresh = pd.DataFrame({name: random.integers(0, 100, 2000).astype(np.float64) for name in NUMBERS})
    assert_served_alike(tmp_path / "out", model, fresh)


TREES: dict[str, Any] = {
    "forest": RandomForestClassifier(5, random_state=0),
    "boosted": GradientBoostingClassifier(n_estimators=5),
    "boosted by histograms": HistGradientBoostingClassifier(max_iter=5),
    "tree": DecisionTreeClassifier(max_depth=4, random_state=0),
}


@pytest.mark.parametrize("trees", TREES.values(), ids=TREES)
@pytest.mark.parametrize("make", CLASSIFIERS.values(), ids=CLASSIFIERS)
@pytest.mark.parametrize("classes", [2, 4])
def test_trees_of_scikit_learn_stand_beside_boosters(
    classes: int, make: Callable[[], Any], trees: Any, tmp_path: Path
) -> None:
    known, stage = patients(31)
    rows = known[NUMBERS].fillna(0)
    stage = stage if classes == 4 else stage // 2
    target = stage if isinstance(make(), xgboost.XGBModel) else STAGES[stage]
    model = VotingClassifier([("one", make()), ("other", trees)], voting="soft").fit(rows, target)
    convert(model, tmp_path / "out", data=rows)
    assert_served_alike(tmp_path / "out", model, patients(32)[0][NUMBERS].fillna(0))


@pytest.mark.parametrize("make", REGRESSORS.values(), ids=REGRESSORS)
def test_forests_of_numbers_stand_beside_boosters(make: Callable[[], Any], tmp_path: Path) -> None:
    known, stage = patients(33)
    rows = known[NUMBERS].fillna(0)
    forest = RandomForestRegressor(5, random_state=0)
    for model in (
        VotingRegressor([("one", make()), ("other", forest)]),
        StackingRegressor([("one", make())], forest, cv=2),
    ):
        convert(model.fit(rows, stage * 1.0), tmp_path / "out", data=rows)
        assert_served_alike(tmp_path / "out", model, patients(34)[0][NUMBERS].fillna(0))


@pytest.mark.parametrize("name", ["LightGBM", "XGBoost"])
def test_texts_as_categories_within_a_search_are_refused_by_name(name: str, tmp_path: Path) -> None:
    known, stage = patients(35)
    known = known.astype({"ward": "category"})
    booster = CLASSIFIERS[name]()
    booster = booster.set_params(enable_categorical=True) if name == "XGBoost" else booster
    model = searched(booster).fit(known, stage)
    with pytest.raises(ConversionError, match=r"(LGBM|XGB)Classifier reads texts as categories.* best_estimator_"):
        convert(model, tmp_path / "out", data=known)
    convert(model.best_estimator_, tmp_path / "out", data=known)
