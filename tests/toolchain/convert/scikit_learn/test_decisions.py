"""Decision functions: served where there are no probabilities, as the estimator's own gives them, or left out aloud."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import trained

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from sklearn.linear_model import LogisticRegression, Perceptron, RidgeClassifier
from sklearn.linear_model import SGDClassifier as Descent
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC, NuSVC

from onnxlet.errors import InvalidInputError
from onnxlet.steps import decode_steps
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.verify import verify
from onnxlet.toolchain.workbench.reference import PROBING_REFERENCE, read_reference
from toolchain.convert.scikit_learn.patients import ask_served, patients

pytestmark = [
    pytest.mark.toolchain,
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:X does not have valid feature names"),
]

ESTIMATORS: dict[str, Any] = {
    "linear support vectors": make_pipeline(StandardScaler(), LinearSVC(random_state=0)),
    "support vectors": make_pipeline(StandardScaler(), SVC()),
    "support vectors, by pairs of classes": make_pipeline(StandardScaler(), SVC(decision_function_shape="ovo")),
    "nu support vectors": make_pipeline(StandardScaler(), NuSVC(nu=0.2)),
    "ridge": RidgeClassifier(),
    "descent": make_pipeline(StandardScaler(), Descent(random_state=0)),
    "perceptron": make_pipeline(StandardScaler(), Perceptron(random_state=0)),
    "passive and aggressive": make_pipeline(
        StandardScaler(), Descent(penalty=None, learning_rate="pa1", eta0=1.0, random_state=0)
    ),
    "a search": GridSearchCV(make_pipeline(StandardScaler(), SVC()), {"svc__C": [1.0, 2.0]}, cv=2),
}


def asked(estimator: Any, target: Any, folder: Path) -> tuple[dict[str, Any], Any]:  # noqa: ANN401
    """What its version serves of fresh rows, and these."""
    known, _ = patients(1)
    convert(estimator.fit(known, target), folder / "out", data=known)
    fresh, _ = patients(2)
    return ask_served(folder / "out", fresh), fresh


@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS)
def test_the_estimators_own_is_served_beside_the_label(estimator: Any, classes: int, tmp_path: Path) -> None:  # noqa: ANN401
    known, _ = patients(1)
    score = known.to_numpy(dtype=np.float64) @ np.ones(known.shape[1])
    target = np.array(["a", "b", "c", "d"])[np.digitize(score, np.quantile(score, np.arange(1, classes) / classes))]

    served, fresh = asked(estimator, target, tmp_path)

    expected = estimator.decision_function(fresh)
    assert served["label"].tolist() == estimator.predict(fresh).tolist()
    assert served["decision"].shape == expected.shape
    np.testing.assert_allclose(served["decision"], expected, rtol=1e-3, atol=1e-4)
    probed = read_reference(tmp_path / "out", PROBING_REFERENCE)
    assert probed is not None
    assert "decision" in probed.stages["source"]


def test_a_threshold_of_it_leaves_it_as_it_is(tmp_path: Path) -> None:
    known, illness = patients(1)
    target = illness > np.median(illness)
    model = FixedThresholdClassifier(LinearSVC(random_state=0), threshold=0.2, response_method="decision_function")
    served, fresh = asked(make_pipeline(StandardScaler(), model), target, tmp_path)
    fitted = make_pipeline(StandardScaler(), model).fit(known, target)
    np.testing.assert_allclose(served["decision"], fitted.decision_function(fresh), rtol=1e-3, atol=1e-4)


def test_where_there_are_probabilities_these_are_enough(tmp_path: Path) -> None:
    features, target = trained.blobs(classes=2)
    draft = trained.converted(tmp_path, LogisticRegression(), features, target)
    assert [spec.name for spec in draft.signature.outputs] == ["label", "probability", "probabilities"]


def test_one_that_the_graph_does_not_give_is_left_out_aloud(tmp_path: Path) -> None:
    features, target = trained.blobs(classes=3)
    model = trained.fitted(OneVsRestClassifier(LinearSVC(random_state=0)), features, target)
    said: list[str] = []

    draft = convert(model, tmp_path / "out", data=features, on_progress=said.append)

    assert [spec.name for spec in draft.signature.outputs] == ["label"]
    assert decode_steps(draft.steps).methods == {}
    (line,) = (line for line in said if line.startswith("leaving out"))
    assert line.startswith("leaving out 'decision': the graph does not answer as the model does")


def test_expected_answers_hold_it_or_it_is_left_out(tmp_path: Path) -> None:
    features, target = trained.blobs(classes=2)
    model = trained.fitted(SVC(), features, target)
    label = model.predict(features)
    own = model.decision_function(features)

    draft = convert(model, tmp_path / "out", data=features, expected={"label": label, "decision": own})
    alone = convert(model, tmp_path / "alone", data=features, expected={"label": label})
    rows = [[*row] for row in zip(label, own, strict=True)]
    from_file = trained.write_csv(tmp_path / "expected.csv", ["label", "decision"], rows)

    assert [spec.name for spec in draft.signature.outputs] == ["label", "decision"]
    assert [spec.name for spec in alone.signature.outputs] == ["label"]
    assert convert(model, tmp_path / "file", data=features, expected=from_file).signature == draft.signature
    two = np.stack([own, own], axis=1)
    with pytest.raises(InvalidInputError, match=r"expects 'decision' of the shape \[120, 2\]"):
        convert(model, tmp_path / "other", data=features, expected={"label": label, "decision": two})


def test_a_graph_that_decides_otherwise_breaks_the_contract(tmp_path: Path) -> None:
    features, target = trained.blobs(classes=2)
    data = trained.csv_of(tmp_path / "data.csv", features, target)
    convert(trained.fitted(SVC(), features, target), tmp_path / "out", data=data, target="target")
    assert verify(tmp_path / "out", data=data, target="target").holds
    model = onnx.load(tmp_path / "out/model.onnx")
    (node,) = (node for node in model.graph.node if "decision" in node.output)
    node.output[:] = ["before"]
    model.graph.node.append(helper.make_node("Neg", ["before"], ["decision"]))
    onnx.save(model, tmp_path / "out/model.onnx")

    contract = verify(tmp_path / "out", data=data, target="target")

    assert not contract.holds
    assert "distance" in contract.breaches
