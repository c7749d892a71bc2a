"""What is served of a model's answers: calibrated, decided by thresholds, left to a human, listed, rounded."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from onnxlet.errors import RejectedModelError, UnknownStepError
from onnxlet.steps import Classification, Steps, decode_steps
from onnxlet.steps.calibration import Isotonic, Platt, Temperature, sigmoid, softmax
from onnxlet.steps.output import Band, Output
from onnxlet.values.signature import Signature, TensorSpec
from onnxlet.values.tensors import Tensor, Tensors

quickly = settings(max_examples=50, deadline=None)
LABELS = ("benign", "malignant", "unsure")


def graph(classes: int) -> Signature:
    return Signature(
        (TensorSpec("x", "FP32", (-1, 3)),),
        (TensorSpec("c", "INT64", (-1,)), TensorSpec("p", "FP32", (-1, classes))),
    )


def shares(rows: list[list[float]] | Tensor) -> Tensors:
    probabilities = np.array(rows, np.float32)
    return {"c": probabilities.argmax(axis=1), "p": probabilities}


def serve(outputs: Tensors, labels: tuple[str, ...] = (), **declared: Any) -> Tensors:  # noqa: ANN401
    """What a classifier and an output step serve of the graph's outputs."""
    classes = tuple(range(outputs["p"].shape[1]))
    steps = Steps((Classification("c", "p", labels, classes), Output(classes=labels or classes, **declared)))
    served = [spec.name for spec in steps.outputs(graph(len(classes)))]
    for postprocessor in steps.postprocessors():
        outputs = outputs | postprocessor.apply(outputs)
    return {name: outputs[name] for name in served}


def simplex(classes: int) -> st.SearchStrategy[Tensor]:
    numbers = arrays(np.float64, st.tuples(st.integers(1, 8), st.just(classes)), elements=st.floats(0.001, 1))
    return numbers.map(lambda each: (each / each.sum(axis=1, keepdims=True)).astype(np.float32))


# --- thresholds -------------------------------------------------------------------------------------------------------


@quickly
@given(simplex(2), st.floats(0.01, 1))
def test_of_two_classes_a_threshold_decides_as_scikit_learns_fixed_threshold(rows: Tensor, threshold: float) -> None:
    base = pytest.importorskip("sklearn.base")
    selection = pytest.importorskip("sklearn.model_selection")

    class Given(base.ClassifierMixin, base.BaseEstimator):  # type: ignore[misc, name-defined]
        """A classifier whose rows are its probabilities."""

        classes_ = np.array([0, 1])

        def fit(self, *_: Any) -> Any:  # noqa: ANN401
            self.fitted_ = True
            return self

        def predict_proba(self, rows: Tensor) -> Tensor:
            return rows

    # it compares float32 with float64; ours is the same where the threshold is a float32
    threshold = float(np.float32(threshold))
    fixed = selection.FixedThresholdClassifier(
        Given(), threshold=threshold, pos_label=1, response_method="predict_proba"
    )
    expected = fixed.fit(rows, np.arange(len(rows)) % 2).predict(rows)

    served = serve(shares(rows), thresholds={"1": threshold})

    assert served["label"].tolist() == expected.tolist()
    assert served["probability"].tolist() == rows[np.arange(len(rows)), expected].tolist()
    assert served["probabilities"].tolist() == rows.tolist()


def test_what_is_served_as_the_threshold_reaches_it() -> None:
    assert float(np.float32(0.7)) < 0.7
    assert serve(shares([[0.3, 0.7]]), thresholds={"1": 0.7})["label"].tolist() == [1]


@pytest.mark.parametrize(
    ("row", "thresholds", "label"),
    [
        ([0.6, 0.15, 0.25], {"malignant": 0.1}, "malignant"),
        ([0.6, 0.05, 0.35], {"malignant": 0.1}, "benign"),
        ([0.2, 0.7, 0.1], {"malignant": 0.8}, "benign"),
        ([0.3, 0.3, 0.4], {"malignant": 0.2, "unsure": 0.2}, "unsure"),
        ([0.3, 0.3, 0.4], {"malignant": 0.1, "unsure": 0.2}, "malignant"),
    ],
    ids=["lowered", "not reached", "raised", "two by as much", "the one that passes its own by more"],
)
def test_a_class_that_reaches_its_threshold_takes_the_row(
    row: list[float], thresholds: dict[str, float], label: str
) -> None:
    served = serve(shares([row]), LABELS, thresholds=thresholds)
    assert served["label"].tolist() == [label]
    assert served["probability"].tolist() == pytest.approx([row[LABELS.index(label)]])
    assert "abstain" not in served


def test_where_all_classes_have_thresholds_and_none_is_reached_a_human_shall_say_it() -> None:
    served = serve(shares([[0.4, 0.6], [0.2, 0.8]]), thresholds={"0": 0.7, "1": 0.7})
    assert served["label"].tolist() == [1, 1]
    assert served["abstain"].tolist() == [True, False]
    assert served["reason"].tolist() == ["no class reaches its threshold", ""]


@quickly
@given(simplex(3), st.dictionaries(st.sampled_from(LABELS), st.floats(0.01, 1), max_size=3))
def test_decisions_are_those_that_the_rule_says_in_words(rows: Tensor, thresholds: dict[str, float]) -> None:
    served = serve(shares(rows), LABELS, thresholds=thresholds)
    for row, label in zip(rows, served["label"].tolist(), strict=True):
        by_name = dict(zip(LABELS, row, strict=True))
        reached = {
            name: by_name[name] / np.float32(at) for name, at in thresholds.items() if by_name[name] >= np.float32(at)
        }
        others = {name: share for name, share in by_name.items() if name not in thresholds} or by_name
        candidates = reached or others
        assert candidates[label] == max(candidates.values())


# --- abstaining -------------------------------------------------------------------------------------------------------


def test_rows_in_a_band_are_for_a_human_with_its_reason() -> None:
    bands = (Band(0.4, 0.6, "borderline"), Band(0.55, 0.7))
    rows = shares([[0.5, 0.5], [0.6, 0.4], [0.4, 0.6], [0.35, 0.65], [0.2, 0.8]])
    served = serve(rows, LABELS[:2], abstain=bands)
    assert served["abstain"].tolist() == [True, True, True, True, False]
    assert served["reason"].tolist() == ["borderline"] * 3 + ["the score is between 0.55 and 0.7", ""]
    assert served["label"].tolist() == ["benign", "benign", "malignant", "malignant", "malignant"]


def test_of_more_than_two_classes_the_band_is_of_the_one_that_is_told_or_of_one_by_name() -> None:
    rows = shares([[0.4, 0.3, 0.3], [0.7, 0.1, 0.2], [0.1, 0.8, 0.1]])
    assert serve(rows, LABELS, abstain=(Band(0, 0.5),))["abstain"].tolist() == [True, False, False]
    named = serve(rows, LABELS, abstain=(Band(0.15, 0.35, of="unsure"),))
    assert named["reason"].tolist() == ["unsure is between 0.15 and 0.35"] * 2 + [""]


def test_a_score_that_is_no_number_is_for_a_human() -> None:
    served = serve({"c": np.array([0]), "p": np.full((1, 2), np.nan, np.float32)}, abstain=(Band(0.4, 0.6),))
    assert served["reason"].tolist() == ["the score is no number"]


@quickly
@given(simplex(2), st.floats(0, 1), st.floats(0, 1))
def test_a_band_holds_its_ends_and_what_is_between(rows: Tensor, one: float, other: float) -> None:
    low, high = sorted((one, other))
    served = serve(shares(rows), abstain=(Band(low, high),))
    expected = [np.float32(low) <= share <= np.float32(high) for share in rows[:, 1]]
    assert served["abstain"].tolist() == expected
    assert [bool(reason) for reason in served["reason"]] == expected


# --- top --------------------------------------------------------------------------------------------------------------


@quickly
@given(simplex(5), st.integers(1, 5))
def test_the_likeliest_classes_come_first(rows: Tensor, count: int) -> None:
    served = serve(shares(rows), top=count)
    assert served["top_labels"].shape == served["top_probabilities"].shape == (len(rows), count)
    for row, labels, told in zip(rows, served["top_labels"], served["top_probabilities"], strict=True):
        ordered = sorted(range(5), key=lambda place: -row[place])[:count]
        assert labels.tolist() == ordered
        assert told.tolist() == row[ordered].tolist()


# --- calibration ------------------------------------------------------------------------------------------------------


@quickly
@given(arrays(np.float64, (6, 4), elements=st.floats(-30, 30)), st.floats(0.1, 10))
def test_a_temperature_divides_the_logits(logits: Tensor, temperature: float) -> None:
    special = pytest.importorskip("scipy.special")
    served = serve(
        {"c": logits.argmax(axis=1), "p": special.softmax(logits, axis=1)}, calibration=Temperature(temperature)
    )
    assert served["probabilities"] == pytest.approx(special.softmax(logits / temperature, axis=1), abs=1e-9)


@quickly
@given(arrays(np.float64, (4, 3), elements=st.floats(-800, 800)))
def test_softmax_and_sigmoid_are_scipys(scores: Tensor) -> None:
    special = pytest.importorskip("scipy.special")
    assert softmax(scores) == pytest.approx(special.softmax(scores, axis=-1), abs=1e-12)
    assert sigmoid(scores) == pytest.approx(special.expit(scores), abs=1e-15)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibrated_probabilities_are_those_of_scikit_learns_calibrated_classifier(classes: int, method: str) -> None:
    calibration = pytest.importorskip("sklearn.calibration")
    from sklearn.datasets import make_classification
    from sklearn.frozen import FrozenEstimator
    from sklearn.naive_bayes import GaussianNB

    features, truth = make_classification(
        900, n_informative=4, n_classes=classes, n_clusters_per_class=1, flip_y=0.2, random_state=classes
    )
    model = GaussianNB().fit(features[:300], truth[:300])
    calibrated = calibration.CalibratedClassifierCV(FrozenEstimator(model), method=method, ensemble=False)
    calibrated.fit(features[300:600], truth[300:600])
    fitted = calibrated.calibrated_classifiers_[0].calibrators
    each = tuple(
        Platt(-fit.a_, -fit.b_, of="probability")
        if method == "sigmoid"
        else Isotonic(tuple(map(float, fit.X_thresholds_)), tuple(map(float, fit.y_thresholds_)))
        for fit in fitted
    )
    own = model.predict_proba(features[600:])

    served = serve({"c": own.argmax(axis=1), "p": own}, calibration=each[0] if classes == 2 else each)

    assert served["probabilities"] == pytest.approx(calibrated.predict_proba(features[600:]), abs=1e-12)
    assert served["label"].tolist() == calibrated.predict(features[600:]).tolist()


def test_platts_scale_is_of_the_logit_unless_it_says_otherwise() -> None:
    served = serve({"c": np.array([0]), "p": np.array([[0.8, 0.2]])}, calibration=Platt(1.0, 0.0))
    assert served["probabilities"] == pytest.approx(np.array([[0.8, 0.2]]))


@pytest.mark.parametrize("shares_", [[1.0, 0.0], [0.0, 1.0]])
@pytest.mark.parametrize("calibration", [Temperature(2.0), Platt(2.0, 0.5), Platt(0.0, 0.5)])
def test_certain_rows_stay_numbers(shares_: list[float], calibration: Temperature | Platt) -> None:
    served = serve({"c": np.array([0]), "p": np.array([shares_])}, calibration=calibration)
    assert np.isfinite(served["probabilities"]).all()
    assert served["probabilities"].sum() == pytest.approx(1)


def test_where_no_class_is_likely_they_are_all_alike() -> None:
    never = Isotonic((0.0, 1.0), (0.0, 0.0))
    served = serve({"c": np.array([0]), "p": np.array([[0.5, 0.3, 0.2]])}, calibration=(never, never, never))
    assert served["probabilities"] == pytest.approx(np.full((1, 3), 1 / 3))


# --- numbers ----------------------------------------------------------------------------------------------------------

BOXES = Signature(
    (TensorSpec("x", "FP32", (-1, 3)),),
    (
        TensorSpec("boxes", "FP32", (-1, 100, 4)),
        TensorSpec("risk", "FP32", (-1, 1)),
        TensorSpec("masks", "FP32", (-1, 1, 28, 28)),
    ),
)


def test_numbers_are_linked_rounded_and_left_to_a_human_and_the_others_are_passed_on() -> None:
    step = Output(output="risk", passes=("boxes", "masks"), link="sigmoid", decimals=2, abstain=(Band(0.4, 0.6),))
    steps = Steps((step,))
    assert [str(spec) for spec in steps.outputs(BOXES)] == [
        "boxes: FP32[-1, 100, 4]",
        "risk: FP32[-1, 1]",
        "masks: FP32[-1, 1, 28, 28]",
        "abstain: BOOL[-1]",
        "reason: BYTES[-1]",
    ]
    (postprocessor,) = steps.postprocessors()
    served = postprocessor.apply({"risk": np.array([[0.1], [3.0]], np.float32)})
    assert served["risk"].tolist() == [[np.float32(0.52)], [np.float32(0.95)]]
    assert served["abstain"].tolist() == [True, False]


def test_the_step_is_a_document_that_reads_back_the_same() -> None:
    step = Output(classes=LABELS, thresholds={"malignant": 0.3}, abstain=(Band(0.2, 0.4, "close"),), top=2, decimals=3)
    steps = Steps((step,))
    assert steps.documents == (
        {
            "kind": "output",
            "classes": list(LABELS),
            "thresholds": {"malignant": 0.3},
            "abstain": [{"low": 0.2, "high": 0.4, "reason": "close"}],
            "top": 2,
            "decimals": 3,
        },
    )
    assert decode_steps(steps.documents) == steps


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({}, "classes of a target, or about one output"),
        ({"classes": [0, 1], "output": "y"}, "classes of a target, or about one output"),
        ({"classes": ["a", "b"], "thresholds": {"c": 0.5}}, "no class 'c', only 'a', 'b'"),
        ({"classes": ["a", "b"], "thresholds": {"a": 0.0}}, "more than 0 and at most 1"),
        ({"classes": ["a", "b"], "thresholds": {"a": 30}}, "more than 0 and at most 1"),
        ({"classes": ["a", "b"], "abstain": [{"low": 0.6, "high": 0.4}]}, "from a low number to a high"),
        ({"classes": ["a", "b"], "abstain": [{"low": 0.4, "high": 0.6, "of": "c"}]}, "no class 'c'"),
        ({"classes": ["a", "b"], "abstain": [{"low": 0.4, "high": 0.6, "reason": "x" * 201}]}, "at most 200"),
        ({"classes": ["a", "b"], "top": 3}, "top is from 1 to 2"),
        ({"classes": ["a", "b"], "top": 0}, "top is from 1 to 2"),
        ({"classes": ["a", "b"], "decimals": -1}, "decimals are from 0"),
        ({"classes": ["a", "b"], "link": "softmax"}, "of outputs of numbers"),
        ({"output": "y", "top": 1}, "are of classes"),
        ({"output": "y", "calibration": {"method": "temperature", "temperature": 2}}, "are of classes"),
        ({"classes": ["a", "b"], "calibration": {"method": "temperature", "temperature": 0}}, "more than 0"),
        ({"classes": ["a", "b"], "calibration": {"method": "platt", "slope": -1, "intercept": 0}}, "not less than 0"),
        ({"classes": ["a", "b"], "calibration": {"method": "isotonic", "x": [0, 1], "y": [1, 0]}}, "that rise"),
        ({"classes": ["a", "b"], "calibration": {"method": "isotonic", "x": [0], "y": []}}, "as many points"),
        ({"classes": ["a", "b"], "calibration": {"method": "isotonic", "x": [0, 1], "y": [0, 2]}}, "from 0 to 1"),
        ({"classes": ["a", "b", "c"], "calibration": {"method": "platt", "slope": 1, "intercept": 0}}, "3 classes"),
        ({"classes": ["a", "b"], "calibration": {"method": "beta"}}, "beta"),
        ({"classes": ["a", "b"], "later": 1}, "later"),
    ],
)  # fmt: skip
def test_a_step_that_contradicts_itself_is_refused_with_the_reason(document: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnknownStepError, match=reason):
        decode_steps([{"kind": "output", **document}])


def test_a_step_that_disagrees_with_the_graph_says_in_what() -> None:
    classification = Classification("c", "p", (), (0, 1, 2))
    for step, reason in (
        (Output(classes=(0, 1)), "about 2 classes, and the graph gives probabilities: FP32"),
        (Output(output="c"), "with a fraction, and the graph gives c: INT64"),
        (Output(output="p", abstain=(Band(0, 1),)), "one number for each row"),
        (Output(classes=(0, 1), target="stage"), "'probabilities_stage', which the graph lacks"),
    ):
        with pytest.raises(RejectedModelError, match=reason):
            Steps((classification, step)).outputs(graph(3))


def test_names_that_the_model_has_already_are_not_taken() -> None:
    signature = Signature((), (TensorSpec("risk", "FP32", (-1,)), TensorSpec("abstain", "FP32", (-1,))))
    with pytest.raises(RejectedModelError, match="adds abstain, which the model has already"):
        Steps((Output(output="risk", passes=("abstain",), abstain=(Band(0, 1),)),)).outputs(signature)


def test_an_older_onnxlet_reads_nothing_into_fields_that_it_does_not_know() -> None:
    (document,) = Steps((Output(classes=(0, 1), top=1),)).documents
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(document, Classification)
