"""Converting scikit-learn estimators: the same answers, the right names, and what is said where it cannot be."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import trained

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import ClassifierChain
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.semi_supervised import LabelPropagation
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from onnxlet.errors import ConversionError, InvalidInputError, MissingExtraError, TrustRequiredError
from onnxlet.serving.engine import load_engine
from onnxlet.serving.golden import check
from onnxlet.serving.model import Model
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.verify import verify
from onnxlet.toolchain.workbench.directory import read_draft
from onnxlet.values.manifest import Draft
from onnxlet.values.signature import TensorSpec

pytestmark = pytest.mark.toolchain

CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "logistic regression": lambda: LogisticRegression(max_iter=500),
    "scaler and perceptron": lambda: make_pipeline(StandardScaler(), MLPClassifier((8,), max_iter=50, random_state=0)),
    "support vectors with probabilities": lambda: SVC(probability=True, random_state=0),
    "decision tree": lambda: DecisionTreeClassifier(random_state=0),
    "forest": lambda: RandomForestClassifier(10, random_state=0),
    "scaler and forest": lambda: make_pipeline(StandardScaler(), RandomForestClassifier(10, random_state=0)),
    "gradient boosting": lambda: GradientBoostingClassifier(n_estimators=5, random_state=0),
    "histogram gradient boosting": lambda: HistGradientBoostingClassifier(max_iter=5, random_state=0),
    "neighbours": KNeighborsClassifier,
    "naive Bayes": GaussianNB,
    "calibrated": lambda: CalibratedClassifierCV(LinearSVC(random_state=0)),
}
REGRESSORS: dict[str, Callable[[], Any]] = {
    "linear": LinearRegression,
    "scaler and support vectors": lambda: make_pipeline(StandardScaler(), SVR()),
    "forest": lambda: RandomForestRegressor(10, random_state=0),
    "scaler and forest": lambda: make_pipeline(StandardScaler(), RandomForestRegressor(10, random_state=0)),
    "histogram gradient boosting": lambda: HistGradientBoostingRegressor(max_iter=5, random_state=0),
}


def converted(folder: Path, estimator: Any, features: Any, target: Any, **options: Any) -> Draft:  # noqa: ANN401
    """Fit, save, write the data with its target, and convert."""
    path = trained.saved(trained.fitted(estimator, features, target), folder)
    data = trained.csv_of(folder / "data.csv", features, target)
    return convert(path, folder / "out", data=data, target="target", trust=True, **options)


def model_in(folder: Path) -> Model:
    """The converted model, as it would be served."""
    draft, _ = read_draft(folder)
    engine = load_engine(folder / "model.onnx", threads=1, optimized=False, run_deadline=10)
    fields = {field: getattr(draft, field) for field in draft.__struct_fields__}
    from onnxlet.values.manifest import Manifest

    return Model(Manifest(**fields, model="m", version=1, created="", publisher="", artifacts=()), engine)


@pytest.mark.parametrize("make", CLASSIFIERS.values(), ids=CLASSIFIERS.keys())
@pytest.mark.parametrize("classes", [2, 3])
def test_classifiers_answer_as_they_did(tmp_path: Path, make: Callable[[], Any], classes: int) -> None:
    features, target = trained.blobs(classes=classes)
    estimator = make()

    converted(tmp_path, estimator, features, target)

    answers = model_in(tmp_path / "out").predict({f"feature {i}": features[:, i] for i in range(4)}, "columns")
    label, probabilities = estimator.predict(features), estimator.predict_proba(features)
    np.testing.assert_array_equal(answers["label"], label)
    np.testing.assert_allclose(answers["probabilities"], probabilities, atol=1e-4)
    np.testing.assert_allclose(answers["probability"], probabilities[np.arange(len(label)), label], atol=1e-4)


@pytest.mark.parametrize("make", REGRESSORS.values(), ids=REGRESSORS.keys())
def test_regressors_answer_as_they_did(tmp_path: Path, make: Callable[[], Any]) -> None:
    features, target = trained.slopes()
    estimator = make()

    draft = converted(tmp_path, estimator, features, target)

    assert draft.signature.outputs[0].shape == (-1,)
    answers = model_in(tmp_path / "out").predict({f"feature {i}": features[:, i] for i in range(4)}, "columns")
    np.testing.assert_allclose(answers["prediction"], estimator.predict(features), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("estimator", [SVC(), LinearSVC(random_state=0), GridSearchCV(SVC(), {"C": [1.0, 2.0]}, cv=2)])
def test_classifiers_without_probabilities_have_none(tmp_path: Path, estimator: Any) -> None:  # noqa: ANN401
    features, target = trained.blobs(classes=2)

    draft = converted(tmp_path, estimator, features, target)

    assert draft.signature.outputs == (TensorSpec("label", "INT64", (-1,)),)
    assert draft.graph.outputs == (TensorSpec("label", "INT64", (-1,)),)
    assert draft.steps.classification is not None
    assert draft.steps.classification.probabilities is None


def test_several_targets_keep_their_shape(tmp_path: Path) -> None:
    features, target = trained.slopes()
    estimator = trained.fitted(RandomForestRegressor(5, random_state=0), features, np.stack([target, -target], axis=1))

    draft = convert(
        trained.saved(estimator, tmp_path),
        tmp_path / "out",
        data=trained.csv_of(tmp_path / "data.csv", features, None),
        trust=True,
    )

    assert draft.signature.outputs == (TensorSpec("prediction", "FP32", (-1, 2)),)


def test_the_draft_names_columns_classes_versions_and_metrics(tmp_path: Path) -> None:
    features, target = trained.blobs(classes=2)

    draft = converted(
        tmp_path, LogisticRegression(), features, target, labels=["benign", "malignant"], training_commit="abc123"
    )

    tabular, classification = draft.steps.tabular, draft.steps.classification
    assert tabular is not None
    assert tabular.input == "features"
    assert [column.name for column in tabular.columns] == trained.feature_names()
    assert classification is not None
    assert classification.labels == draft.labels == ("benign", "malignant")
    assert classification.classes == (0, 1)
    assert draft.signature.inputs == (TensorSpec("features", "FP32", (-1, 4)),)
    assert draft.signature.outputs == (
        TensorSpec("label", "BYTES", (-1,)),
        TensorSpec("probability", "FP32", (-1,)),
        TensorSpec("probabilities", "FP32", (-1, 2)),
    )
    assert draft.provenance.framework == "scikit-learn"
    assert {"scikit-learn", "skl2onnx", "onnx", "onnxruntime", "onnxlet"} <= draft.provenance.versions.keys()
    assert draft.provenance.training_commit == "abc123"
    source, onnx = draft.evaluations
    assert (source.stage, source.rows, set(source.metrics)) == ("source", 120, {"accuracy", "f1", "auc"})
    assert onnx.stage == "onnx"
    assert onnx.metrics["accuracy"] == source.metrics["accuracy"]
    assert onnx.metrics["label_agreement"] == 1.0
    assert 0 <= onnx.metrics["largest_distance"] < 1e-4


def test_the_directory_holds_what_the_draft_says(tmp_path: Path) -> None:
    features, target = trained.blobs()
    draft = converted(tmp_path, LogisticRegression(), features, target)

    read, cases = read_draft(tmp_path / "out")

    assert read == draft
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names == {"model.onnx", "draft.json", "golden.json", "reference.npz"}
    assert {file.name for file in tmp_path.iterdir()} == {"model.joblib", "data.csv", "out"}
    assert draft.golden is not None
    assert len(cases) == draft.golden.cases == 4
    check(
        load_engine(tmp_path / "out/model.onnx", threads=1, optimized=False, run_deadline=10),
        cases,
        draft.golden.tolerance,
    )


def test_golden_rows_are_made_up_unless_the_data_are_asked_for(tmp_path: Path) -> None:
    features, target = trained.blobs()
    known = {tuple(row) for row in features.astype(np.float32).tolist()}

    synthetic = converted(tmp_path, LogisticRegression(), features, target)
    rows = {tuple(case.inputs["features"][0].tolist()) for case in read_draft(tmp_path / "out")[1]}
    assert not rows & known
    assert synthetic.golden is not None
    assert synthetic.golden.source == "synthetic"

    real = converted(tmp_path, LogisticRegression(), features, target, golden_from="data")
    rows = {tuple(case.inputs["features"][0].tolist()) for case in read_draft(tmp_path / "out")[1]}
    assert rows <= known
    assert real.golden is not None
    assert real.golden.source == "data"


def test_text_classes_are_their_own_labels(tmp_path: Path) -> None:
    features, target = trained.blobs(classes=2)

    estimator = LogisticRegression()

    draft = converted(tmp_path, estimator, features, np.array(["no", "yes"])[target])

    assert draft.labels == ("no", "yes")
    assert draft.signature.outputs[0].datatype == "BYTES"
    answers = model_in(tmp_path / "out").predict({"features": features[:3].astype(np.float32)})
    assert answers["label"].tolist() == estimator.predict(features[:3]).tolist()


@pytest.mark.parametrize("of_class", [bool, float, lambda c: 2 * c - 1])
def test_classes_of_other_types_become_integers(tmp_path: Path, of_class: Callable[[int], Any]) -> None:
    features, target = trained.blobs(classes=2)

    draft = converted(tmp_path, LogisticRegression(), features, np.array([of_class(int(c)) for c in target]))

    assert draft.steps.classification is not None
    assert all(type(value) is int for value in draft.steps.classification.classes)
    assert draft.evaluations[-1].metrics["label_agreement"] == 1.0


def test_the_target_may_hold_the_labels(tmp_path: Path) -> None:
    features, target = trained.blobs(classes=2)
    path = trained.saved(trained.fitted(LogisticRegression(), features, target), tmp_path)
    data = trained.csv_of(tmp_path / "data.csv", features, np.array(["benign", "malignant"])[target])

    draft = convert(path, tmp_path / "out", data=data, target="target", labels=["benign", "malignant"], trust=True)

    assert draft.evaluations[0].metrics["accuracy"] > 0.8


def test_splits_between_two_float32_values_are_kept_by_doubles(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    features = random.normal(1e4, 1, size=(400, 4))
    target = (features.sum(axis=1) > 4e4).astype(int)

    draft = converted(
        tmp_path, make_pipeline(StandardScaler(), DecisionTreeClassifier(random_state=0)), features, target
    )

    assert draft.signature.inputs[0].datatype == "FP64"
    assert draft.evaluations[-1].metrics["label_agreement"] == 1.0


def test_without_data_random_rows_are_compared(tmp_path: Path) -> None:
    features, target = trained.blobs()
    estimator = trained.fitted(make_pipeline(StandardScaler(), LogisticRegression()), features, target)

    draft = convert(trained.saved(estimator, tmp_path), tmp_path / "out", trust=True)

    assert draft.golden is not None
    assert draft.golden.source == "random"
    assert draft.steps.tabular is not None
    assert [column.name for column in draft.steps.tabular.columns] == ["x0", "x1", "x2", "x3"]
    (onnx,) = draft.evaluations
    assert onnx.stage == "onnx"
    assert onnx.rows == 256


def mixed_rows() -> list[list[Any]]:
    """Rows of age, sex, ward, pressure and whether someone stays."""
    random = np.random.default_rng(5)
    rows = []
    for _ in range(150):
        age, pressure = int(random.integers(20, 90)), float(np.float32(random.normal(120, 15)))
        sex, ward = str(random.choice(["female", "male"])), str(random.choice(["A1", "B2", "C3"]))
        rows.append([age, sex, ward, pressure, int(age + (sex == "male") * 10 + (ward == "B2") * 15 > 60)])
    return rows


NAMES = ["age", "sex", "hospital ward", "pressure", "stays"]


def test_columns_picked_by_position_become_inputs_of_their_own(tmp_path: Path) -> None:
    rows = mixed_rows()
    features = np.array([row[:-1] for row in rows], dtype=object)
    target = np.array([row[-1] for row in rows])
    columns = ColumnTransformer(
        [("n", StandardScaler(), [0, 3]), ("c", OneHotEncoder(handle_unknown="ignore"), [1, 2])]
    )
    estimator = trained.fitted(make_pipeline(columns, LogisticRegression()), features, target)
    data = trained.write_csv(tmp_path / "data.csv", NAMES, rows)

    draft = convert(trained.saved(estimator, tmp_path), tmp_path / "out", data=data, target="stays", trust=True)

    assert draft.steps.tabular is not None
    assert draft.steps.tabular.input is None
    assert [(spec.name, spec.datatype, spec.shape) for spec in draft.graph.inputs] == [
        ("age", "FP32", (-1, 1)),
        ("sex", "BYTES", (-1, 1)),
        ("hospital ward", "BYTES", (-1, 1)),
        ("pressure", "FP32", (-1, 1)),
    ]
    assert [spec.shape for spec in draft.signature.inputs] == [(-1,)] * 4
    served = model_in(tmp_path / "out").predict(
        {
            "age": np.array([80.0, 20.0], dtype=np.float32),
            "sex": np.array(["male", "female"], dtype=object),
            "hospital ward": np.array(["B2", "elsewhere"], dtype=object),
            "pressure": np.array([120.0, 120.0], dtype=np.float32),
        }
    )
    assert served["label"].tolist() == [1, 0]
    assert draft.golden is not None
    assert draft.golden.source == "synthetic"
    known = {tuple(map(str, row[:-1])) for row in rows}
    for case in read_draft(tmp_path / "out")[1]:
        assert tuple(str(tensor[0, 0]) for tensor in case.inputs.values()) not in known


def test_columns_picked_by_name_take_a_data_frame(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    rows = mixed_rows()
    frame = pandas.DataFrame([row[:-1] for row in rows], columns=NAMES[:-1])
    columns = ColumnTransformer(
        [("n", StandardScaler(), ["pressure", "age"]), ("c", OrdinalEncoder(), ["hospital ward"])], remainder="drop"
    )
    estimator = trained.fitted(
        make_pipeline(columns, RandomForestClassifier(5, random_state=0)), frame, np.array([row[-1] for row in rows])
    )
    shuffled = [[row[3], row[2], row[1], "ignored", row[0], row[4]] for row in rows]
    names = ["pressure", "hospital ward", "sex", "note", "age", "stays"]
    data = trained.write_csv(tmp_path / "data.csv", names, shuffled)

    draft = convert(trained.saved(estimator, tmp_path), tmp_path / "out", data=data, target="stays", trust=True)

    assert draft.steps.tabular is not None
    assert {"age", "hospital ward", "pressure"} <= {column.name for column in draft.steps.tabular.columns}
    assert draft.evaluations[-1].metrics["label_agreement"] == 1.0


def test_columns_with_missing_values_in_the_data_may_lack_them_when_served(tmp_path: Path) -> None:
    rows = [
        ["" if (at + place) % 9 == 0 and place in (0, 2) else cell for place, cell in enumerate(row)]
        for at, row in enumerate(mixed_rows())
    ]
    features = np.array(
        [[np.nan if cell == "" and place != 2 else cell for place, cell in enumerate(row[:-1])] for row in rows],
        dtype=object,
    )
    imputed = make_pipeline(SimpleImputer(), StandardScaler())
    columns = ColumnTransformer([("n", imputed, [0, 3]), ("c", OneHotEncoder(handle_unknown="ignore"), [1, 2])])
    estimator = trained.fitted(
        make_pipeline(columns, LogisticRegression()), features, np.array([row[-1] for row in rows])
    )
    data = trained.write_csv(tmp_path / "data.csv", NAMES, rows)

    draft = convert(trained.saved(estimator, tmp_path), tmp_path / "out", data=data, target="stays", trust=True)

    assert draft.steps.tabular is not None
    assert {column.name: column.missing for column in draft.steps.tabular.columns} == {
        "age": True,
        "sex": False,
        "hospital ward": True,
        "pressure": False,
    }


def test_numbers_as_categories_stay_whole(tmp_path: Path) -> None:
    random = np.random.default_rng(6)
    codes, names = random.integers(0, 4, 80), random.choice(["x", "y"], 80)
    features = np.array([[int(code), str(name)] for code, name in zip(codes, names, strict=True)], dtype=object)
    columns = ColumnTransformer([("a", OneHotEncoder(), [0]), ("b", OneHotEncoder(), [1])])
    estimator = trained.fitted(make_pipeline(columns, Ridge()), features, codes * 1.5)
    data = trained.write_csv(tmp_path / "data.csv", ["code", "name"], features.tolist())

    draft = convert(trained.saved(estimator, tmp_path), tmp_path / "out", data=data, trust=True)

    assert [spec.datatype for spec in draft.signature.inputs] == ["INT64", "BYTES"]
    assert draft.golden is None  # every pair of a code and a name is a row of the data


def test_a_column_may_be_called_like_an_output(tmp_path: Path) -> None:
    features = np.array([["a", 1.0], ["b", 2.0]] * 20, dtype=object)
    columns = ColumnTransformer([("c", OneHotEncoder(), [0]), ("n", StandardScaler(), [1])])
    estimator = trained.fitted(make_pipeline(columns, LogisticRegression()), features, np.array([0, 1] * 20))
    data = trained.write_csv(tmp_path / "data.csv", ["label", "probabilities"], features.tolist())

    draft = convert(trained.saved(estimator, tmp_path), tmp_path / "out", data=data, trust=True)

    assert [spec.name for spec in draft.graph.inputs] == ["label", "probabilities"]
    assert draft.evaluations[-1].metrics["label_agreement"] == 1.0


@pytest.mark.parametrize("unknown", ["error", "ignore"])
def test_spaces_around_a_text_are_part_of_it_but_not_of_a_class(tmp_path: Path, unknown: str) -> None:
    works = np.array([" Private", " State", "Own "] * 20, dtype=object)
    hours = np.arange(60.0)
    target = np.where(works == " Private", "rich", "poor")
    columns = ColumnTransformer([("w", OneHotEncoder(handle_unknown=unknown), [0]), ("h", StandardScaler(), [1])])
    rows = np.stack([works, hours.astype(object)], axis=1)
    path = trained.saved(trained.fitted(make_pipeline(columns, LogisticRegression(C=100)), rows, target), tmp_path)
    cells = [[work, f" {hour} ", f" {wanted}"] for work, hour, wanted in zip(works, hours, target, strict=True)]
    data = trained.write_csv(tmp_path / "data.csv", ["work", "hours", "income"], cells)

    draft = convert(path, tmp_path / "out", data=data, target="income", trust=True)

    assert [evaluation.metrics["accuracy"] for evaluation in draft.evaluations] == [1.0, 1.0]


def test_pickles_need_trust_and_are_not_read_without(tmp_path: Path) -> None:
    path = tmp_path / "model.joblib"
    path.write_bytes(b"anything")

    with pytest.raises(TrustRequiredError, match="--trust"):
        convert(path, tmp_path / "out")


def test_skops_files_need_no_trust(tmp_path: Path) -> None:
    skops_io = pytest.importorskip("skops.io")
    features, target = trained.blobs()
    path = tmp_path / "model.skops"
    skops_io.dump(trained.fitted(make_pipeline(StandardScaler(), LogisticRegression()), features, target), path)

    draft = convert(path, tmp_path / "out", data=trained.csv_of(tmp_path / "data.csv", features, None))

    assert draft.evaluations[-1].metrics["label_agreement"] == 1.0


class Unknown(LogisticRegression):  # type: ignore[misc]
    """A type that skops does not know."""


def test_skops_files_with_unknown_types_name_them(tmp_path: Path) -> None:
    skops_io = pytest.importorskip("skops.io")
    features, target = trained.blobs()
    path = tmp_path / "model.skops"
    skops_io.dump(trained.fitted(Unknown(), features, target), path)

    with pytest.raises(TrustRequiredError, match=r"Unknown"):
        convert(path, tmp_path / "out")


@pytest.mark.parametrize(
    ("package", "written"),
    [
        ("xgboost", "save_model('model.ubj')"),
        ("lightgbm", "booster_.save_model('model.txt')"),
        ("catboost", "save_model('model.cbm')"),
    ],
)
def test_wrappers_of_packages_that_are_not_installed_are_to_save_their_own_files(
    tmp_path: Path, package: str, written: str
) -> None:
    path = tmp_path / "model.joblib"
    path.write_bytes(f"c{package}.nowhere\nClassifier\n.".encode())

    with pytest.raises(ConversionError, match=f"estimator of {package}, .* write it with {re.escape(written)}"):
        convert(path, tmp_path / "out", trust=True)


@pytest.mark.parametrize("contents", [b"", b"not a pickle", b"\x80\x04K\x01."])
def test_a_file_without_an_estimator_says_so(tmp_path: Path, contents: bytes) -> None:
    path = tmp_path / "model.joblib"
    path.write_bytes(contents)

    with pytest.raises(ConversionError, match=r"model\.joblib"):
        convert(path, tmp_path / "out", trust=True)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("compress", [0, 3])
def test_a_file_that_was_cut_off_says_so(tmp_path: Path, compress: int, share: float) -> None:
    import joblib

    features, target = trained.blobs()
    path = tmp_path / "model.joblib"
    joblib.dump(trained.fitted(LogisticRegression(), features, target), path, compress=compress)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])

    with pytest.raises(ConversionError, match=r"'model.joblib' ends too early: copy it again"):
        convert(path, tmp_path / "out", trust=True)


def test_what_cannot_be_read_or_found_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x08\x0a")
    with pytest.raises(ConversionError, match="no graph"):
        convert(tmp_path / "model.onnx", tmp_path / "out")
    (tmp_path / "model.doc").write_bytes(b"\x08\x0a")
    with pytest.raises(ConversionError, match=r"\.joblib.*\.skops.*config\.json"):
        convert(tmp_path / "model.doc", tmp_path / "out")
    with pytest.raises(InvalidInputError, match="there is no file"):
        convert(tmp_path / "model.joblib", tmp_path / "out", trust=True)


@pytest.mark.parametrize(("version", "refused"), [("1.2.3", True), ("{minor}.99", False)])
def test_the_scikit_learn_that_saved_it_matters(tmp_path: Path, version: str, refused: bool) -> None:
    import sklearn

    features, target = trained.blobs()
    other = version.format(minor=".".join(sklearn.__version__.split(".")[:2]))
    path = saved_by(other, trained.fitted(LogisticRegression(), features, target), tmp_path)
    said: list[str] = []

    if refused:
        with pytest.raises(ConversionError, match=rf"saved by scikit-learn 1\.2\.3, this is {sklearn.__version__}"):
            convert(path, tmp_path / "out", trust=True)
    else:
        convert(path, tmp_path / "out", trust=True, on_progress=said.append)
        assert any(other in sentence for sentence in said)


def saved_by(version: str, estimator: Any, folder: Path) -> Path:  # noqa: ANN401
    """The estimator in a pickle that says it comes from another scikit-learn."""
    import pickle

    state = estimator.__getstate__()
    original = state["_sklearn_version"]
    data = pickle.dumps(estimator, protocol=0).replace(original.encode(), version.encode())
    path = folder / "model.pkl"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("estimator", "said"),
    [
        (KMeans(2, n_init=1), "neither a classifier nor a regressor"),
        (TransformedTargetRegressor(LinearRegression()), "TransformedTargetRegressor"),
        (LabelPropagation(), "no converter for the LabelPropagation: use another estimator there"),
        (make_pipeline(StandardScaler(), LabelPropagation()), "converter for the LabelPropagation in the Pipeline:"),
        (ClassifierChain(LogisticRegression()), "predicts several targets .* fit a MultiOutputClassifier"),
    ],
)
def test_what_has_no_conversion_is_named(tmp_path: Path, estimator: Any, said: str) -> None:  # noqa: ANN401
    features, target = trained.blobs()
    targets = np.stack([target > 0, target > 1], axis=1) if "several" in said else target
    path = trained.saved(trained.fitted(estimator, features, targets), tmp_path)

    with pytest.raises(ConversionError, match=said):
        convert(path, tmp_path / "out", trust=True)


def test_an_estimator_that_was_never_fitted_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="never fitted"):
        convert(trained.saved(LogisticRegression(), tmp_path), tmp_path / "out", trust=True)


def test_other_answers_are_refused_with_what_was_measured(tmp_path: Path) -> None:
    features, target = trained.blobs()
    from onnxlet.values.manifest import Tolerance

    with pytest.raises(
        ConversionError, match=r"in float32 answers differ by up to .* on 120 rows|120 rows: in float32"
    ):
        converted(tmp_path, GaussianNB(), features, target, tolerance=Tolerance(absolute=0.0, relative=0.0))
    assert not (tmp_path / "out").exists()


def test_double_precision_is_taken_where_single_is_far_and_double_is_near(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    features, target = random.integers(0, 16, (120, 64)).astype(float), random.integers(0, 3, 120)
    said: list[str] = []

    draft = converted(tmp_path, MultinomialNB(), features, target, on_progress=said.append)

    assert draft.graph.inputs[0].datatype == "FP64"
    assert draft.evaluations[-1].metrics["largest_distance"] < 1e-9
    (reason,) = (line for line in said if line.startswith("taking"))
    assert reason == "taking float64: in float32 answers are 0.0002 off"


def test_double_precision_is_taken_where_saturated_probabilities_lose_their_order(tmp_path: Path) -> None:
    # its features say one thing many times over, so that naive Bayes is sure of everything
    features, target = load_breast_cancer(return_X_y=True)
    path = trained.saved(trained.fitted(GaussianNB(), features[::2], target[::2]), tmp_path)
    data = trained.csv_of(tmp_path / "data.csv", features[1::2], target[1::2])
    said: list[str] = []

    draft = convert(path, tmp_path / "out", data=data, target="target", trust=True, on_progress=said.append)

    assert draft.graph.inputs[0].datatype == "FP64"
    source, onnx = (evaluation.metrics["auc"] for evaluation in draft.evaluations)
    assert source - onnx < 1e-6
    (reason,) = (line for line in said if line.startswith("taking"))
    assert "the accuracy contract would not hold: auc loss" in reason


def test_a_disk_that_fills_leaves_nothing_half_written_and_says_so(tmp_path: Path) -> None:
    features, target = trained.blobs()
    path = trained.saved(trained.fitted(RandomForestClassifier(50, random_state=0), features, target), tmp_path)
    program = f"""
import resource
from pathlib import Path
from onnxlet.toolchain.convert import convert
from onnxlet.errors import UnavailableError

# no file may grow beyond 20 kB, as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    convert(Path({str(path)!r}), Path({str(tmp_path / "out")!r}), trust=True)
except UnavailableError as error:
    print(error.detail)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "nothing was written" in done.stdout
    assert str(tmp_path / "out") in done.stdout
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_failed_conversion_leaves_the_one_before(tmp_path: Path) -> None:
    features, target = trained.blobs()
    converted(tmp_path, LogisticRegression(), features, target)
    before = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}

    with pytest.raises(ConversionError):
        converted(tmp_path, KMeans(2, n_init=1), features, target)

    assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == before
    assert {file.name for file in tmp_path.iterdir()} == {"model.joblib", "data.csv", "out"}


def test_a_directory_of_other_things_is_not_replaced(tmp_path: Path) -> None:
    features, target = trained.blobs()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("years of work")

    with pytest.raises(InvalidInputError, match="no converted model"):
        converted(tmp_path, LogisticRegression(), features, target)
    assert (tmp_path / "out/thesis.txt").exists()


def problem(folder: Path, data: str, target: str | None = "target", **options: Any) -> str:  # noqa: ANN401
    """What converting a three-class model with this data complains of."""
    features, classes = trained.blobs(features=2)
    path = trained.saved(trained.fitted(LogisticRegression(), features, classes), folder)
    (folder / "data.csv").write_text(data)
    with pytest.raises(InvalidInputError) as raised:
        convert(path, folder / "out", data=folder / "data.csv", target=target, trust=True, **options)
    return raised.value.detail


def test_data_that_do_not_fit_are_named(tmp_path: Path) -> None:
    assert "no column 'target'; it has 'a', 'b'" in problem(tmp_path, "a,b\n1,2\n")
    assert "wants 2; if it holds the target, name it with --target" in problem(
        tmp_path, "a,b,target\n1,2,0\n", target=None
    )
    assert "holds '7'; the model knows the classes '0', '1', '2'" in problem(tmp_path, "a,b,target\n1,2,7\n")
    unnamed = problem(tmp_path, "a,b,target\n1,2,knee\n3,4,lung\n5,6,well\n")
    assert unnamed.endswith(
        "'0', '1', '2'; if these name them, convert or ship with --labels and the names in this order"
    )
    assert "row 2 of" in problem(tmp_path, "a,b,target\n1,2,0\n1,2\n")
    assert "names columns twice: 'a'" in problem(tmp_path, "a,a,target\n1,2,0\n")
    assert "at least one row" in problem(tmp_path, "a,b,target\n")
    assert "2 labels were given, the model has 3 classes" in problem(
        tmp_path, "a,b,target\n1,2,0\n", labels=["benign", "malignant"]
    )


def test_a_column_to_slice_by_lies_beside_the_features_where_these_have_names(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    features, target = trained.blobs()
    frame = pandas.DataFrame(features, columns=trained.feature_names())
    sites = np.array(["a", "b"])[np.arange(len(features)) % 2]
    data = tmp_path / "data.csv"
    frame.assign(site=sites, target=target).to_csv(data, index=False)

    named = trained.saved(trained.fitted(LogisticRegression(), frame, target), tmp_path)
    convert(named, tmp_path / "out", data=data, target="target", trust=True)
    contract = verify(tmp_path / "out", data=data, target="target", slices=["site"])
    assert {each.value for each in contract.slices} == {"a", "b"}

    nameless = trained.saved(trained.fitted(LogisticRegression(), features, target), tmp_path)
    with pytest.raises(InvalidInputError, match=r"has 5 columns of features, .* wants 4; a model that was fitted with"):
        convert(nameless, tmp_path / "out", data=data, target="target", trust=True)


def test_labels_that_would_swap_the_names_of_classes_are_refused(tmp_path: Path) -> None:
    features, _ = trained.blobs(features=2)
    target = np.where(features[:, 0] > 0, "malignant", "benign")
    path = trained.saved(trained.fitted(LogisticRegression(), features, target), tmp_path)
    with pytest.raises(InvalidInputError, match="in this order: 'benign', 'malignant'"):
        convert(path, tmp_path / "out", labels=["malignant", "benign"], trust=True)


def test_missing_columns_are_named(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    features, target = trained.blobs(features=2)
    frame = pandas.DataFrame(features, columns=["radius", "texture"])
    path = trained.saved(trained.fitted(LogisticRegression(), frame, target), tmp_path)
    data = trained.write_csv(tmp_path / "data.csv", ["radius"], [[1.0]])

    with pytest.raises(InvalidInputError, match="lacks the columns 'texture'"):
        convert(path, tmp_path / "out", data=data, trust=True)


def test_names_learned_from_a_data_frame_order_the_columns(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    features, target = trained.blobs(features=2)
    frame = pandas.DataFrame(features, columns=["radius", "texture"])
    path = trained.saved(trained.fitted(LogisticRegression(), frame, target), tmp_path)
    data = trained.write_csv(tmp_path / "data.csv", ["texture", "id", "radius"], [[b, 0, a] for a, b in features])

    draft = convert(path, tmp_path / "out", data=data, trust=True)

    assert draft.steps.tabular is not None
    assert [column.name for column in draft.steps.tabular.columns] == ["radius", "texture"]


def test_options_that_need_data_say_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="need --data"):
        convert(tmp_path / "model.joblib", tmp_path / "out", golden_from="data")
    with pytest.raises(InvalidInputError, match="needs --data"):
        convert(tmp_path / "model.joblib", tmp_path / "out", target="y")


def test_text_columns_cannot_be_guessed(tmp_path: Path) -> None:
    features = np.array([["a", "x"], ["b", "y"]] * 10, dtype=object)
    estimator = trained.fitted(make_pipeline(OneHotEncoder(), LogisticRegression()), features, np.array([0, 1] * 10))

    with pytest.raises(InvalidInputError, match="--data"):
        convert(trained.saved(estimator, tmp_path), tmp_path / "out", trust=True)


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.joblib").write_bytes(b"")
    code = (
        "import sys; sys.modules['sklearn'] = sys.modules['skl2onnx'] = None\n"
        "from pathlib import Path\nfrom onnxlet.toolchain.convert import convert\n"
        f"convert(Path({str(tmp_path / 'model.joblib')!r}), Path('out'), trust=True)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert MissingExtraError.__name__ in done.stderr
    assert "pip install 'onnxlet[sklearn]'" in done.stderr


def test_importing_the_toolchain_is_light() -> None:
    code = (
        "import sys, onnxlet.toolchain.convert, onnxlet.toolchain.optimize, onnxlet.toolchain.prepare\n"
        "heavy = {'sklearn', 'skl2onnx', 'onnx', 'onnxruntime', 'numpy', 'joblib', 'pandas'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )

    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_draft_is_canonical_json(tmp_path: Path) -> None:
    features, target = trained.blobs()
    draft = converted(tmp_path, LogisticRegression(), features, target)

    text = (tmp_path / "out/draft.json").read_bytes()

    assert msgspec.json.decode(text, type=Draft) == draft
    assert text.endswith(b"\n")
