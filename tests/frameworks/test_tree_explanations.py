"""Explanations of boosters from their graphs, against what the libraries themselves compute of their own trees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import onnx
import pandas as pd
import pytest
import xgboost

import onnxlet
from onnxlet.explain.trees.ensemble import Ensemble
from onnxlet.explain.trees.path_dependent import PathDependent
from onnxlet.toolchain.prepare.trees.nodes import KINDS, read_trees
from onnxlet.toolchain.workbench.offline import save_optimized
from onnxlet.values.tensors import Tensor
from shapley import answer_where_known, shapley_values

pytestmark = pytest.mark.boosting

COLUMNS = 6
CATEGORY = 3
TOLERANCE, SINGLE = 1e-6, 1e-5
"""Of values in double precision, and of those that XGBoost computes in single; times the largest above 1."""


def data(*, missing: bool = True) -> tuple[Tensor, Tensor]:
    random = np.random.default_rng(0)
    rows = random.normal(size=(800, COLUMNS)).astype(np.float32).astype(np.float64)
    rows[:, CATEGORY] = random.integers(0, 6, len(rows))
    target = rows[:, 0] + rows[:, 1] * rows[:, 2] + (rows[:, CATEGORY] == 2)
    if missing:
        holes = random.random(rows.shape) < 0.1
        holes[:, CATEGORY] = False
        rows[holes] = np.nan
    return rows, target


def targets(kind: str, target: Tensor) -> Tensor:
    return {"two": target > 0, "three": np.digitize(target, [-0.5, 0.5]), "number": target}[kind].astype(np.float64)


def trees_of(model: Any, folder: Path, dtype: type) -> Ensemble:
    onnxlet.convert(model, folder / "converted")
    save_optimized(folder / "converted" / "model.onnx", folder / "model.onnx", weights_apart=False, optimize=True)
    [node] = [node for node in onnx.load(folder / "model.onnx").graph.node if node.op_type in KINDS]
    ensemble = read_trees(node, np.dtype(dtype))
    assert ensemble.knows_shares
    return ensemble


def assert_agree(found: Tensor, own: Tensor, tolerance: float) -> None:
    """Ours [rows, columns, outputs] and theirs, [rows, (outputs,) columns + 1], which end with the expected value."""
    own = own[:, None, :] if own.ndim == 2 else own
    np.testing.assert_allclose(
        found, own[:, :, :-1].transpose(0, 2, 1), rtol=0, atol=tolerance * max(1.0, float(abs(own[:, :, :-1]).max()))
    )


def explained(ensemble: Ensemble, rows: Tensor) -> tuple[Tensor, Tensor]:
    trees = PathDependent(ensemble, np.arange(COLUMNS), COLUMNS)
    return trees.explain(rows.astype(ensemble.thresholds.dtype)), trees.expected


@pytest.mark.parametrize("kind", ["two", "three", "number"])
@pytest.mark.parametrize("booster", ["gbtree", "dart"])
def test_xgboosts_trees_give_its_own_contributions(kind: str, booster: str, tmp_path: Path) -> None:
    rows, target = data()
    estimator = xgboost.XGBRegressor if kind == "number" else xgboost.XGBClassifier
    further = {"rate_drop": 0.2} if booster == "dart" else {}
    model = estimator(n_estimators=20, max_depth=4, booster=booster, **further).fit(rows, targets(kind, target))

    found, expected = explained(trees_of(model, tmp_path, np.float32), rows[:50])

    own = model.get_booster().predict(xgboost.DMatrix(rows[:50]), pred_contribs=True, strict_shape=True)
    assert_agree(found, own, SINGLE)
    np.testing.assert_allclose(expected, own[0, :, -1], atol=SINGLE * 10)


@pytest.mark.parametrize("kind", ["two", "three", "number"])
def test_lightgbms_trees_give_its_own_contributions(kind: str, tmp_path: Path) -> None:
    rows, target = data()
    estimator = lightgbm.LGBMRegressor if kind == "number" else lightgbm.LGBMClassifier
    model = estimator(n_estimators=20, verbose=-1).fit(rows, targets(kind, target))

    found, expected = explained(trees_of(model, tmp_path, np.float64), rows[:50])

    own = model.booster_.predict(rows[:50], pred_contrib=True).reshape(50, -1, COLUMNS + 1)
    assert_agree(found, own, TOLERANCE)
    np.testing.assert_allclose(expected, own[0, :, -1], atol=TOLERANCE)


@pytest.mark.parametrize("kind", ["two", "three", "number"])
def test_catboosts_symmetric_trees_give_its_own_values(kind: str, tmp_path: Path) -> None:
    rows, target = data()
    estimator = catboost.CatBoostRegressor if kind == "number" else catboost.CatBoostClassifier
    model = estimator(iterations=20, verbose=0, allow_writing_files=False).fit(rows, targets(kind, target))

    found, expected = explained(trees_of(model, tmp_path, np.float64), rows[:50])

    own = np.asarray(model.get_feature_importance(catboost.Pool(rows[:50]), type="ShapValues")).reshape(
        50, -1, COLUMNS + 1
    )
    assert_agree(found, own, TOLERANCE)
    np.testing.assert_allclose(expected, own[0, :, -1], atol=TOLERANCE)


@pytest.mark.parametrize("policy", ["Depthwise", "Lossguide"])
def test_catboosts_other_trees_give_shapley_values(policy: str, tmp_path: Path) -> None:
    # its own values of these do not sum to its prediction
    rows, target = data()
    model = catboost.CatBoostRegressor(
        iterations=5, depth=3, grow_policy=policy, verbose=0, allow_writing_files=False
    ).fit(rows, target)
    ensemble = trees_of(model, tmp_path, np.float64)

    found, expected = explained(ensemble, rows[:3])

    for row, values in zip(rows[:3], found, strict=True):
        np.testing.assert_allclose(
            values,
            shapley_values(lambda known, row=row: answer_where_known(ensemble, row, set(known)), COLUMNS),  # type: ignore[misc]
            atol=TOLERANCE,
        )
    np.testing.assert_allclose(found.sum(axis=1)[:, 0] + expected, model.predict(rows[:3]), atol=TOLERANCE)


def frame() -> tuple[pd.DataFrame, Tensor]:
    rows, target = data(missing=False)
    columns = pd.DataFrame(rows, columns=[f"c{number}" for number in range(COLUMNS)])
    columns["c3"] = columns["c3"].astype(int).astype("category")
    return columns, target


def categories_of_xgboost(columns: pd.DataFrame, target: Tensor) -> tuple[Any, Tensor]:
    model = xgboost.XGBRegressor(n_estimators=20, max_depth=4, enable_categorical=True, max_cat_to_onehot=3)
    model.fit(columns, target)
    return model, model.get_booster().predict(
        xgboost.DMatrix(columns[:50], enable_categorical=True), pred_contribs=True
    )


def categories_of_lightgbm(columns: pd.DataFrame, target: Tensor) -> tuple[Any, Tensor]:
    model = lightgbm.LGBMRegressor(n_estimators=20, verbose=-1, min_data_per_group=5).fit(columns, target)
    return model, model.booster_.predict(columns[:50], pred_contrib=True)


def categories_of_catboost(columns: pd.DataFrame, target: Tensor) -> tuple[Any, Tensor]:
    model = catboost.CatBoostRegressor(
        iterations=20, verbose=0, allow_writing_files=False, one_hot_max_size=10, cat_features=["c3"]
    ).fit(columns, target)
    pool = catboost.Pool(columns[:50], cat_features=["c3"])
    return model, np.asarray(model.get_feature_importance(pool, type="ShapValues"))


@pytest.mark.parametrize(
    ("train", "tolerance"),
    [(categories_of_xgboost, SINGLE), (categories_of_lightgbm, TOLERANCE), (categories_of_catboost, TOLERANCE)],
    ids=["xgboost", "lightgbm", "catboost"],
)
def test_splits_by_categories_count_for_their_column(
    train: Callable[[pd.DataFrame, Tensor], tuple[Any, Tensor]], tolerance: float, tmp_path: Path
) -> None:
    columns, target = frame()
    model, own = train(columns, target)
    version = published(model, columns, tmp_path)

    told = version.explain(columns[:50])

    assert (told.method, told.players) == ("trees", tuple(columns))
    assert_agree(told.attributions, own, tolerance)


def test_splits_by_texts_count_for_their_column(tmp_path: Path) -> None:
    columns, target = frame()
    columns["c3"] = columns["c3"].map(lambda code: "abcdef"[int(code)]).astype("category")
    model, own = categories_of_lightgbm(columns, target)

    told = published(model, columns, tmp_path).explain(columns[:50])

    assert told.method == "trees"
    assert_agree(told.attributions, own, TOLERANCE)


def published(model: Any, columns: pd.DataFrame, folder: Path) -> Any:
    """The version in memory."""
    onnxlet.convert(model, folder / "converted", data=columns)
    onnxlet.publish(folder / "converted", "m", store=(folder / "store").as_uri())
    return onnxlet.load("m:1", store=(folder / "store").as_uri())
