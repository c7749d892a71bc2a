"""Classifiers and regressors of several targets, from the estimator to the answer over HTTP."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import trained

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from onnxlet.cli import cli
from onnxlet.dataplane.dispatch import DataPlane
from onnxlet.dataplane.lambda_events import handle
from onnxlet.errors import InvalidInputError
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.steps import decode_steps
from onnxlet.store import open_store
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.verify import verify
from onnxlet.values.manifest import Draft
from trained import Array

pytestmark = pytest.mark.toolchain

TARGETS = ("stage", "tumour type")
SERVED = [f"{name}_{target}" for target in TARGETS for name in ("label", "probability", "probabilities")]
FOREST = RandomForestClassifier(5, random_state=0)


def two_targets() -> tuple[Array, Array]:
    """Points, a target of three classes and one of two."""
    features, target = trained.blobs()
    return features, np.stack([target, (features[:, 0] > 0).astype(int)], axis=1)


def written(path: Path, features: Array, targets: Array) -> Path:
    """A CSV file of both."""
    rows = [[*point, *values] for point, values in zip(features.tolist(), targets.tolist(), strict=True)]
    return trained.write_csv(path, [*trained.feature_names(features.shape[1]), *TARGETS], rows)


def converted(folder: Path, estimator: Any, features: Array, targets: Array, **options: Any) -> Draft:  # noqa: ANN401
    """The estimator, fitted on every second row and converted with all."""
    path = trained.saved(trained.fitted(estimator, features[::2], targets[::2]), folder)
    data = written(folder / "data.csv", features, targets)
    return convert(path, folder / "out", data=data, trust=True, **{"target": TARGETS, **options})


MANY: dict[str, Callable[[], Any]] = {
    "one estimator each": lambda: MultiOutputClassifier(LogisticRegression()),
    "one at a pipeline's end": lambda: make_pipeline(StandardScaler(), MultiOutputClassifier(FOREST)),
    "one pipeline each": lambda: MultiOutputClassifier(make_pipeline(StandardScaler(), LogisticRegression())),
    "tree": lambda: DecisionTreeClassifier(random_state=0),
    "forest": lambda: RandomForestClassifier(5, random_state=0),
    "extra trees": lambda: ExtraTreesClassifier(5, random_state=0),
    "neighbours": KNeighborsClassifier,
    "search": lambda: GridSearchCV(RandomForestClassifier(3, random_state=0), {"max_depth": [2, 3]}, cv=2),
}
YES_OR_NO: dict[str, Callable[[], Any]] = {
    "perceptron": lambda: make_pipeline(StandardScaler(), MLPClassifier((8,), max_iter=50, random_state=0)),
    "one against the rest": lambda: OneVsRestClassifier(LogisticRegression()),
}


@pytest.mark.parametrize("make", MANY.values(), ids=MANY)
@pytest.mark.parametrize("names", [None, np.array(["I", "II", "III"], dtype=object)], ids=["numbers", "texts"])
def test_each_target_is_answered_as_it_was(tmp_path: Path, make: Callable[[], Any], names: Array | None) -> None:
    features, targets = two_targets()

    draft = converted(tmp_path, make(), features, targets if names is None else names[targets])

    assert [spec.name for spec in draft.signature.outputs] == SERVED
    assert [spec.shape for spec in draft.signature.outputs[2::3]] == [(-1, 3), (-1, 2)]
    assert [step.target for step in decode_steps(draft.steps).targets] == list(TARGETS)
    assert decode_steps(draft.steps).targets[0].labels == (() if names is None else ("I", "II", "III"))
    metrics = draft.evaluations[-1].metrics
    assert metrics["label_agreement"] == 1.0
    assert metrics["largest_distance"] < 1e-5
    assert metrics["accuracy"] > 0.6
    assert draft.golden is not None


@pytest.mark.parametrize("make", YES_OR_NO.values(), ids=YES_OR_NO)
def test_what_is_or_is_not_is_answered_target_by_target(tmp_path: Path, make: Callable[[], Any]) -> None:
    features, targets = two_targets()

    draft = converted(tmp_path, make(), features, np.minimum(targets, 1))

    assert [spec.name for spec in draft.signature.outputs] == SERVED
    assert [step.classes for step in decode_steps(draft.steps).targets] == [(0, 1), (0, 1)]
    assert draft.evaluations[-1].metrics["label_agreement"] == 1.0


@pytest.mark.parametrize("make", [RidgeClassifier, lambda: MultiOutputClassifier(LinearSVC(random_state=0))])
def test_without_probabilities_there_are_labels(tmp_path: Path, make: Callable[[], Any]) -> None:
    features, targets = two_targets()

    draft = converted(tmp_path, make(), features, np.minimum(targets, 1))

    assert [spec.name for spec in draft.signature.outputs] == SERVED[::3]


def test_what_targets_share_is_computed_once(tmp_path: Path) -> None:
    features, targets = two_targets()

    converted(tmp_path, make_pipeline(StandardScaler(), MultiOutputClassifier(FOREST)), features, targets)

    used = [node.op_type for node in onnx.load(tmp_path / "out/model.onnx").graph.node]
    assert used.count("TreeEnsembleClassifier") == 2
    assert len(used) <= 5


def test_targets_that_nobody_named_are_numbered(tmp_path: Path) -> None:
    features, targets = two_targets()
    path = trained.saved(trained.fitted(FOREST, features, targets), tmp_path)

    draft = convert(path, tmp_path / "out", data=trained.csv_of(tmp_path / "data.csv", features, None), trust=True)

    assert [spec.name for spec in draft.signature.outputs[::3]] == ["label_y0", "label_y1"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"target": "stage"}, "has 5 columns of features, the estimator wants 4"),
        ({"target": ("stage", "stage")}, "named twice"),
        ({"labels": ["a", "b", "c"]}, "of 1 target, the model has 2: give the option once for each"),
        ({"labels": [["a", "b", "c"], ["x"]]}, "1 labels were given, the model has 2 classes"),
        ({"target": ("tumour type", "stage")}, "the model knows the classes"),
    ],
)
def test_targets_and_labels_that_do_not_fit_are_named(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    features, targets = two_targets()

    with pytest.raises(InvalidInputError, match=said):
        converted(tmp_path, RandomForestClassifier(2, random_state=0), features, targets, **options)


def test_verifying_asks_for_every_target(tmp_path: Path) -> None:
    features, targets = two_targets()
    converted(tmp_path, FOREST, features, targets)

    with pytest.raises(InvalidInputError, match="the model predicts 2 targets, 'stage' is named"):
        verify(tmp_path / "out", data=tmp_path / "data.csv", target="stage")


def test_targets_of_three_and_of_two_classes_are_judged_together(tmp_path: Path) -> None:
    features, targets = two_targets()
    converted(tmp_path, FOREST, features, targets)

    contract = verify(tmp_path / "out", data=tmp_path / "data.csv", target=TARGETS)

    assert contract.holds
    metrics = contract.stages[0].metrics
    assert metrics["auc"].low is not None
    assert metrics["auc"].value == pytest.approx((metrics["auc_stage"].value + metrics["auc_tumour type"].value) / 2)


def test_several_numbers_are_measured_target_by_target(tmp_path: Path) -> None:
    features, target = trained.slopes()
    targets = np.stack([target, -1000 * target], axis=1)

    draft = converted(tmp_path, RandomForestRegressor(5, random_state=0), features, targets)
    contract = verify(tmp_path / "out", data=tmp_path / "data.csv", target=TARGETS)

    assert draft.signature.outputs[0].shape == (-1, 2)
    assert draft.evaluations[-1].metrics["r2"] > 0.5
    assert contract.holds
    assert {"rmse", "rmse_1", "rmse_2"} <= contract.stages[0].metrics.keys()


def test_they_ship_answer_over_http_and_score_files(tmp_path: Path, directory_url: str) -> None:
    features, targets = two_targets()
    estimator = make_pipeline(StandardScaler(), MLPClassifier((8,), max_iter=50, random_state=0))
    yes_or_no = np.minimum(targets, 1)
    fitted = trained.fitted(estimator, features, yes_or_no)
    data = written(tmp_path / "data.csv", features, np.array(["no", "yes"], dtype=object)[yes_or_no])

    def run(*words: str) -> str:
        result = CliRunner().invoke(cli, ["--store", directory_url, *words])
        assert result.exit_code == 0, result.stderr
        return result.stdout

    named = ("--target", TARGETS[0], "--target", TARGETS[1], "--labels", "no,yes", "--labels", "no,yes")
    model = str(trained.saved(fitted, tmp_path))
    shipped = run(
        *("ship", model, "m", "--trust", "--data", str(data), *named, "--slice", "feature 1", "--promote"),
        *("--method", "fp16-weights", "--json"),
    )
    contract = json.loads(shipped)["version"]["contract"]
    assert contract["holds"]
    assert contract["task"] == "classification"
    assert {finding["name"] for finding in contract["findings"]} >= {"label_change", "recall_loss", "slice_loss"}

    dataplane = DataPlane(Predictor(open_store(directory_url), Settings(cache_dir=str(tmp_path / "cache"))))
    instance = dict(zip(trained.feature_names(), features[0].tolist(), strict=True))
    event = {
        "version": "2.0",
        "rawPath": "/v1/models/m:predict",
        "rawQueryString": "",
        "headers": {"content-type": "application/json"},
        "requestContext": {"http": {"method": "POST", "path": "/v1/models/m:predict"}, "stage": "$default"},
        "body": json.dumps({"instances": [instance]}),
        "isBase64Encoded": False,
    }
    answer = handle(dataplane, event, None)
    assert answer["statusCode"] == 200, answer["body"]
    (prediction,) = json.loads(answer["body"])["predictions"]
    assert list(prediction) == SERVED
    likely = fitted.predict_proba(features[:1])[0]
    assert prediction["probabilities_tumour type"] == pytest.approx([1 - likely[1], likely[1]], abs=1e-2)
    assert prediction["label_stage"] == ("yes" if likely[0] > 0.5 else "no")

    run("score", str(data), "--model", "m", "-o", str(tmp_path / "scored.csv"))
    with (tmp_path / "scored.csv").open() as file:
        scored = list(csv.DictReader(file))
    assert len(scored) == len(features)
    assert {"label_stage", "probability_stage_yes", "probability_tumour type_no"} <= scored[0].keys()
    assert prediction["label_stage"] == scored[0]["label_stage"]
