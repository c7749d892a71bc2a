"""What boosters' own files forget: it is asked for where it matters, and taken where it is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from click.testing import CliRunner

import onnxlet
import trained
from onnxlet.cli.root import cli
from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.convert import convert

pytestmark = pytest.mark.boosting

SENTINEL = -999.0
NAMES = ("I", "II", "III", "IV")


def patients(seed: int, rows: int = 400, *, missing: float | None = None) -> tuple[pd.DataFrame, trained.Array]:
    """Numbers, some of them missing where a number stands for that, and four stages from 0 on."""
    random = np.random.default_rng(seed)
    age = random.integers(20, 90, rows).astype(np.float64)
    marker = random.normal(size=rows)
    frame = pd.DataFrame({"age": age, "marker": marker, "smoker": (random.random(rows) < 0.4) * 1.0})
    if missing is not None:
        frame.loc[random.random(rows) < 0.3, "marker"] = missing
    return frame, np.digitize(age + 8 * marker + random.normal(0, 4, rows), [40, 60, 80])


def written(folder: Path, frame: pd.DataFrame, stage: Any, name: str = "data.csv") -> Path:
    frame.assign(stage=stage).to_csv(folder / name, index=False)
    return folder / name


def lightgbm_file(folder: Path, frame: pd.DataFrame, stage: Any) -> tuple[Any, Path]:
    model = lightgbm.LGBMClassifier(n_estimators=8, n_jobs=1, verbose=-1).fit(frame, stage)
    model.booster_.save_model(folder / "model.txt")
    return model, folder / "model.txt"


def xgboost_file(folder: Path, frame: pd.DataFrame, stage: Any, **parameters: Any) -> tuple[Any, Path]:
    model = xgboost.XGBClassifier(n_estimators=8, max_depth=4, n_jobs=1, **parameters).fit(frame, stage)
    model.save_model(folder / "model.ubj")
    return model, folder / "model.ubj"


def served(directory: Path, frame: pd.DataFrame) -> dict[str, Any]:
    columns = {str(name): frame[name].to_numpy() for name in frame}
    return dict(trained.served_model(directory).predict(columns, "columns"))


@pytest.mark.representative
def test_labels_are_the_class_values_of_a_lightgbm_file(tmp_path: Path) -> None:
    known, stage = patients(1)
    model, path = lightgbm_file(tmp_path, known, stage + 1)

    draft = convert(
        path, tmp_path / "out", data=written(tmp_path, known, stage + 1), target="stage", labels=("1", "2", "3", "4")
    )

    fresh, _ = patients(2)
    answers = served(tmp_path / "out", fresh)
    assert answers["label"].tolist() == model.predict(fresh).tolist()
    np.testing.assert_allclose(answers["probabilities"], model.predict_proba(fresh), atol=1e-6)
    assert draft.evaluations[0].metrics["accuracy"] == model.score(known, stage + 1)
    assert draft.reference is not None
    assert draft.reference.kind == "file"


def test_a_loaded_version_of_a_file_predicts_the_texts_that_its_labels_are(tmp_path: Path) -> None:
    known, stage = patients(1)
    named = np.array(NAMES)[stage]
    model, path = lightgbm_file(tmp_path, known, named)
    store = (tmp_path / "store").as_uri()

    onnxlet.ship(path, "stage", data=known, target=named, labels=NAMES, promote=True, store=store)

    assert onnxlet.load("stage", store=store).predict(known).tolist() == model.predict(known).tolist()


def test_class_values_far_apart_keep_their_order(tmp_path: Path) -> None:
    known, stage = patients(3)
    values = np.array([-7, 0, 40, 1000])
    model, path = lightgbm_file(tmp_path, known, values[stage])
    data = written(tmp_path, known, values[stage])
    convert(path, tmp_path / "out", data=data, target="stage", labels=("-7", "0", "40", "1000"))
    fresh, _ = patients(4)
    assert served(tmp_path / "out", fresh)["label"].tolist() == model.predict(fresh).tolist()


@pytest.mark.parametrize("stages", [(1, 2, 3, 4), (1, 2, 3, 3), (0, 1, 2, 2), ("I", "II", "III", "IV")])
def test_a_lightgbm_file_needs_labels_unless_the_target_is_exactly_from_0_on(
    stages: tuple[Any, ...], tmp_path: Path
) -> None:
    known, stage = patients(5)
    _, path = lightgbm_file(tmp_path, known, stage + 1)
    data = written(tmp_path, known, np.array(stages)[stage])
    with pytest.raises(InvalidInputError, match=r"does not say the values of its 4 classes.*--labels 1,2,3,4"):
        convert(path, tmp_path / "out", data=data, target="stage")


def test_a_lightgbm_file_needs_labels_where_there_is_no_target(tmp_path: Path) -> None:
    known, stage = patients(6)
    model, path = lightgbm_file(tmp_path, known, stage)
    with pytest.raises(InvalidInputError, match="there is no target: name the values"):
        convert(path, tmp_path / "out")
    with pytest.raises(InvalidInputError, match="there is no target: name the values"):
        convert(model.booster_, tmp_path / "out", data=known)
    convert(model.booster_, tmp_path / "out", data=known, labels=("0", "1", "2", "3"))


def test_a_lightgbm_file_whose_target_is_from_0_on_needs_nothing(tmp_path: Path) -> None:
    known, stage = patients(7)
    model, path = lightgbm_file(tmp_path, known, stage)
    convert(path, tmp_path / "out", data=written(tmp_path, known, stage), target="stage")
    fresh, _ = patients(8)
    assert served(tmp_path / "out", fresh)["label"].tolist() == model.predict(fresh).tolist()


@pytest.mark.parametrize("values", [(0, 1, 2, 3), NAMES])
def test_names_for_classes_stand_for_positions_or_for_themselves(values: tuple[Any, ...], tmp_path: Path) -> None:
    known, stage = patients(9)
    model, path = lightgbm_file(tmp_path, known, np.array(NAMES)[stage])
    data = written(tmp_path, known, np.array(values)[stage])
    draft = convert(path, tmp_path / "out", data=data, target="stage", labels=NAMES)
    fresh, _ = patients(10)
    assert served(tmp_path / "out", fresh)["label"].tolist() == model.predict(fresh).tolist()
    assert draft.evaluations[0].metrics["accuracy"] == model.score(known, np.array(NAMES)[stage])


@pytest.mark.parametrize("labels", [("1", "2", "3", "4"), NAMES])
def test_targets_outside_the_labels_stop(labels: tuple[str, ...], tmp_path: Path) -> None:
    known, stage = patients(11)
    _, path = lightgbm_file(tmp_path, known, stage)
    outside = np.where(stage == 0, 7, stage)
    with pytest.raises(InvalidInputError, match=r"no class has|does not say the values"):
        convert(path, tmp_path / "out", data=written(tmp_path, known, outside), target="stage", labels=labels)


def test_numbers_from_1_on_are_not_taken_for_the_positions_of_names(tmp_path: Path) -> None:
    known, stage = patients(12)
    _, path = lightgbm_file(tmp_path, known, stage + 1)
    first_three = known[stage < 3], stage[stage < 3] + 1
    with pytest.raises(InvalidInputError, match="does not say the values of its 4 classes"):
        convert(path, tmp_path / "out", data=written(tmp_path, *first_three), target="stage", labels=NAMES)


def test_labels_that_no_row_has_are_named(tmp_path: Path) -> None:
    known, stage = patients(13)
    _, path = lightgbm_file(tmp_path, known, stage + 1)
    lines: list[str] = []
    first_three = known[stage < 3], stage[stage < 3] + 1
    labels = ("1", "2", "3", "4")
    data = written(tmp_path, *first_three)
    convert(path, tmp_path / "out", data=data, target="stage", labels=labels, on_progress=lines.append)
    assert "no row of the data is labelled '4'" in lines


@pytest.mark.representative
def test_an_xgboost_file_is_asked_for_its_missing_value_once(tmp_path: Path) -> None:
    known, stage = patients(14, missing=SENTINEL)
    model, path = xgboost_file(tmp_path, known, stage, missing=SENTINEL)
    data = written(tmp_path, known, stage)
    with pytest.raises(InvalidInputError, match=r"-999 in 'marker' may: say --missing-value -999") as refusal:
        convert(path, tmp_path / "out", data=data, target="stage")
    assert refusal.value.detail.count("--missing-value") == 2  # that number, or none

    arguments = ["convert", str(path), "--data", str(data), "--target", "stage", "-o", str(tmp_path / "out")]
    assert CliRunner().invoke(cli, arguments).exit_code == 1
    assert CliRunner().invoke(cli, [*arguments, "--missing-value", "-999"]).exit_code == 0

    fresh, _ = patients(15, missing=SENTINEL)
    answers = served(tmp_path / "out", fresh)
    assert answers["label"].tolist() == model.predict(fresh).tolist()
    np.testing.assert_allclose(answers["probabilities"], model.predict_proba(fresh), atol=1e-6)


@pytest.mark.parametrize("form", ["file", "Booster"])
def test_none_says_that_only_nan_is_missing(form: str, tmp_path: Path) -> None:
    known, stage = patients(16, missing=SENTINEL)
    model, path = xgboost_file(tmp_path, known, stage)
    source = path if form == "file" else model.get_booster()
    with pytest.raises(InvalidInputError, match="--missing-value none"):
        onnxlet.convert(source, tmp_path / "out", data=known, target=stage)
    onnxlet.convert(source, tmp_path / "out", data=known, target=stage, missing_value="none")
    fresh, _ = patients(17, missing=SENTINEL)
    assert served(tmp_path / "out", fresh)["label"].tolist() == model.predict(fresh).tolist()


def test_a_missing_value_of_0_is_one(tmp_path: Path) -> None:
    known, stage = patients(18, missing=0.0)
    model, path = xgboost_file(tmp_path, known, stage, missing=0.0)
    onnxlet.convert(path, tmp_path / "out", data=known, target=stage, missing_value=0)
    fresh, _ = patients(19, missing=0.0)
    assert served(tmp_path / "out", fresh)["label"].tolist() == model.predict(fresh).tolist()


def test_data_without_such_a_number_are_not_asked_about(tmp_path: Path) -> None:
    known, stage = patients(20)
    _, path = xgboost_file(tmp_path, known, stage)
    convert(path, tmp_path / "out", data=written(tmp_path, known, stage), target="stage")


def test_an_estimator_knows_its_missing_value(tmp_path: Path) -> None:
    known, stage = patients(21, missing=SENTINEL)
    model, _ = xgboost_file(tmp_path, known, stage, missing=SENTINEL)
    with pytest.raises(InvalidInputError, match=r"was fitted with missing=-999\.0: leave missing_value out"):
        convert(model, tmp_path / "out", data=known, target=stage, missing_value="none")
    convert(model, tmp_path / "out", data=known, target=stage, missing_value=-999)


def test_other_models_have_no_missing_value_to_say(tmp_path: Path) -> None:
    known, stage = patients(22, missing=SENTINEL)
    _, path = lightgbm_file(tmp_path, known, stage)
    with pytest.raises(InvalidInputError, match="missing_value cannot be chosen"):
        convert(path, tmp_path / "out", data=known, target=stage, missing_value=-999)
    # -999 is a number like others to LightGBM
    convert(path, tmp_path / "out", data=known, target=stage)


FILES: dict[str, Callable[[Path], tuple[Any, Path]]] = {
    "XGBoost": lambda folder: xgboost_file(folder, *patients(23)),
    "XGBoost that stopped early": lambda folder: stopped(folder, *patients(23)),
    "CatBoost": lambda folder: catboost_file(folder, *patients(23)),
    "LightGBM": lambda folder: lightgbm_file(folder, *patients(23)),
}


def stopped(folder: Path, frame: pd.DataFrame, stage: Any) -> tuple[Any, Path]:
    model = xgboost.XGBClassifier(n_estimators=80, learning_rate=0.6, early_stopping_rounds=3, n_jobs=1)
    model.fit(frame, stage, eval_set=[patients(99)], verbose=False)
    assert model.best_iteration < 70
    model.save_model(folder / "model.json")
    return model, folder / "model.json"


def catboost_file(folder: Path, frame: pd.DataFrame, stage: Any) -> tuple[Any, Path]:
    model = catboost.CatBoostClassifier(iterations=10, depth=3, verbose=0, allow_writing_files=False, thread_count=1)
    model.fit(frame, np.array(NAMES)[stage])
    model.save_model(str(folder / "model.cbm"))
    return model, folder / "model.cbm"


@pytest.mark.parametrize("make", FILES.values(), ids=FILES)
def test_a_file_is_asked_as_the_estimator_that_wrote_it(
    make: Callable[[Path], tuple[Any, Path]], tmp_path: Path
) -> None:
    model, path = make(tmp_path)
    known, stage = patients(24)
    data = written(tmp_path, known, stage if model.classes_[0] == 0 else np.array(NAMES)[stage])
    draft = convert(path, tmp_path / "out", data=data, target="stage")
    assert draft.reference is not None
    assert draft.reference.kind == "file"
    fresh, _ = patients(25)
    answers = served(tmp_path / "out", fresh)
    assert answers["label"].tolist() == model.predict(fresh).reshape(-1).tolist()
    np.testing.assert_allclose(answers["probabilities"], model.predict_proba(fresh), atol=1e-6)
