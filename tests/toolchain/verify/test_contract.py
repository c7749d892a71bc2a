"""The accuracy contract: what it bounds, what it leaves aside, and what it says of data that tells little."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlet.errors import InvalidInputError
from onnxlet.steps import Steps
from onnxlet.toolchain.verify.contract import MOST_CLASSES, judge
from onnxlet.toolchain.workbench.slices import describe_worst_slice, make_slicing
from onnxlet.toolchain.workbench.task import ClassificationTarget, Task, task_of
from onnxlet.values.canonical import canonical
from onnxlet.values.contract import Bounds, Contract, Finding, Stage
from onnxlet.values.tensors import Tensors

BINARY = Task("classification", (ClassificationTarget((0, 1), ("benign", "malignant")),))
REGRESSION = Task("regression")


def classified(probability: npt.ArrayLike) -> Tensors:
    """A binary classifier's answers with these probabilities of the second class."""
    second = np.asarray(probability, dtype=np.float64)
    return {"label": (second > 0.5).astype(np.int64), "probabilities": np.stack([1 - second, second], axis=1)}


def rows(count: int = 200) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Probabilities between 0.02 and 0.98, and a truth that goes with most of them."""
    probability = np.linspace(0.02, 0.98, count)
    truth = (probability > 0.5).astype(np.int64)
    truth[:: count // 10] ^= 1
    return probability, truth


def found(contract: Contract, name: str) -> Finding:
    """The finding of a name."""
    return next(finding for finding in contract.findings if finding.name == name)


def stage(contract: Contract, name: str) -> Stage:
    """The stage of a name."""
    return next(each for each in contract.stages if each.stage == name)


def test_a_model_holds_the_contract_with_itself() -> None:
    probability, truth = rows()

    contract = judge(classified(probability), classified(probability), truth, BINARY)

    assert contract.holds
    assert contract.breaches == ""
    assert contract.metric == "accuracy"
    assert [each.stage for each in contract.stages] == ["source", "optimized"]
    assert contract.notes == ()
    estimate = stage(contract, "optimized").metrics["accuracy"]
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.low < estimate.value < estimate.high


def test_a_loss_of_the_metric_beyond_the_bound_breaks_it() -> None:
    probability, truth = rows()
    label_noise = probability.copy()
    wrong = np.flatnonzero((truth == 1) & (probability > 0.5))[:6]
    label_noise[wrong] = 0.45

    contract = judge(classified(probability), classified(label_noise), truth, BINARY)

    assert not contract.holds
    assert found(contract, "accuracy_loss").value == pytest.approx(6 / 190, abs=1e-6)
    assert not found(contract, "accuracy_loss").ok
    recall = found(contract, "recall_loss")
    assert recall.about == "malignant"
    assert not recall.ok
    assert "recall loss of malignant 0.06, at most 0.02" in contract.breaches


def test_one_row_aside_is_no_loss() -> None:
    probability, truth = rows(50)
    moved = probability.copy()
    moved[np.flatnonzero(truth == 1)[-1]] = 0.49

    contract = judge(classified(probability), classified(moved), truth, BINARY, Bounds(distance=1, mean_distance=1))

    assert found(contract, "accuracy_loss").value > 0.005
    assert found(contract, "accuracy_loss").ok
    assert found(contract, "recall_loss").ok


def test_a_tie_may_fall_either_way() -> None:
    tied = classified([0.50005] * 30)
    other = classified([0.49995] * 30)

    assert found(judge(tied, other, None, BINARY), "label_change").value == 0


def test_without_a_target_distances_are_judged_alone_with_a_note() -> None:
    probability, _ = rows()

    contract = judge(classified(probability), classified(np.clip(probability + 0.2, 0, 1)), None, BINARY)

    assert {finding.name for finding in contract.findings} == {
        "numbers_lost", "label_change", "distance", "mean_distance"
    }  # fmt: skip
    assert not contract.holds
    assert contract.metric is None
    assert "no target was given" in contract.notes[0]


def test_numbers_that_are_lost_break_it() -> None:
    expected = {"prediction": np.arange(30.0)}
    got = {"prediction": np.where(np.arange(30) == 3, np.nan, np.arange(30.0))}

    contract = judge(expected, got, None, REGRESSION)

    assert found(contract, "numbers_lost") == Finding("numbers_lost", 1, 0, ok=False)
    assert msgspec.json.decode(canonical(contract), type=Contract) == contract


def test_rows_that_the_model_itself_cannot_answer_are_left_out_and_counted() -> None:
    expected = {"prediction": np.where(np.arange(30) < 4, np.nan, np.arange(30.0))}
    truth = np.arange(30.0) + 0.5

    contract = judge(expected, expected, truth, REGRESSION, slicings=[make_slicing("sex", ["F", "M"] * 15, None)])

    assert contract.holds
    assert contract.rows == 26
    assert "4 rows are left out" in contract.notes[0]
    assert sum(each.rows for each in contract.slices) == 26


def test_no_row_with_an_answer_is_an_error() -> None:
    nothing = {"prediction": np.full(5, np.nan)}

    with pytest.raises(InvalidInputError, match="no numbers for any of the rows"):
        judge(nothing, nothing, None, REGRESSION)


def test_answers_to_other_rows_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="same rows"):
        judge({"prediction": np.zeros(3)}, {"prediction": np.zeros(4)}, None, REGRESSION)


def test_a_target_that_the_answers_do_not_match_is_refused() -> None:
    answers = {"prediction": np.zeros((30, 2))}

    with pytest.raises(InvalidInputError, match="leave --target out"):
        judge(answers, answers, np.zeros(30), REGRESSION)


def test_one_class_alone_is_judged_by_what_it_can_show_with_a_note() -> None:
    probability, _ = rows()

    contract = judge(classified(probability), classified(probability), np.ones(200, dtype=np.int64), BINARY)

    assert "1 of 2 classes" in contract.notes[0]
    assert "auc" not in stage(contract, "source").metrics
    assert stage(contract, "source").recalls[0].sensitivity is None
    assert stage(contract, "source").recalls[0].rows == 0


def test_few_rows_are_judged_without_intervals_with_a_note() -> None:
    contract = judge(classified([0.1, 0.9]), classified([0.1, 0.9]), np.array([0, 1]), BINARY)

    assert contract.holds
    few, rows_, class_ = contract.notes
    assert "2 rows show little: even if none of them differs, up to 78 % of other rows may (at 95 % confidence)" in few
    assert "2 rows cannot show a loss of accuracy under 50 %, which is one row and let pass" in rows_
    assert "the bound of 0.5 % needs 200 rows" in rows_
    assert "1 row of the class 'benign' cannot show a loss of its recall under 100 %" in class_
    assert stage(contract, "source").metrics["accuracy"].low is None


def test_a_note_names_what_the_smallest_class_and_slice_cannot_show() -> None:
    probability, truth = rows(100)
    sites = [make_slicing("site", ["a"] * 92 + ["b"] * 8, None)]

    known = judge(classified(probability), classified(probability), truth, BINARY, slicings=sites).notes
    unknown = judge(classified(probability), classified(probability), None, BINARY, Bounds(label_change=0.0)).notes

    assert "100 rows cannot show a loss of accuracy under 1 %" in known[0]
    assert "8 rows of the slice site = b cannot show a loss of its accuracy under 12 %" in known[1]
    assert len(known) == 2
    assert unknown[1] == "100 rows cannot show a share of changed labels under 1 %, which is one row and let pass"


def test_the_worst_slice_is_described_with_its_metric_and_loss() -> None:
    sites = [make_slicing("site", ["a", "b"] * 10, None)]
    truth = np.arange(20.0)
    off = {"prediction": truth + np.where(np.arange(20) % 2, 1.0, 0.5)}
    more = {"prediction": truth + np.where(np.arange(20) % 2, 1.25, 0.5)}

    assert describe_worst_slice(judge(off, more, truth, REGRESSION, slicings=sites)) == (
        "site = b: rmse 1.25 on 10 rows, 1 before, loss 0.25"
    )
    assert describe_worst_slice(judge(off, more, truth, REGRESSION)) is None


def test_a_breach_has_as_many_digits_as_tell_it_from_its_bound() -> None:
    assert str(Finding("mean_distance", 0.010028, 0.01, ok=False)) == "mean distance 0.01003, at most 0.01"
    assert str(Finding("recall_loss", 0.06, 0.02, ok=False, about="yes")) == "recall loss of yes 0.06, at most 0.02"
    assert str(Finding("numbers_lost", 0, 0, ok=True)) == "numbers lost 0, at most 0"


def test_errors_count_relative_to_what_they_were() -> None:
    truth = np.linspace(0, 10, 200)
    before = {"prediction": truth + np.where(np.arange(200) % 2, 0.5, -0.5)}

    worse = judge(before, {"prediction": truth + (before["prediction"] - truth) * 1.02}, truth, REGRESSION)
    same = judge(before, {"prediction": truth + (before["prediction"] - truth) * 1.002}, truth, REGRESSION)

    assert found(worse, "rmse_loss").value == pytest.approx(0.02)
    assert not worse.holds
    assert same.holds


def test_a_perfect_fit_may_gain_rounding_errors() -> None:
    truth = np.linspace(0, 10, 200)

    contract = judge({"prediction": truth}, {"prediction": truth + 1e-6}, truth, REGRESSION)

    assert contract.holds


def test_embeddings_are_held_to_their_angle() -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(40, 32))
    task = task_of(Steps(), {"embedding": vectors}, None)

    turned = judge({"embedding": vectors}, {"embedding": 2 * vectors}, None, task)
    other = judge({"embedding": vectors}, {"embedding": random.normal(size=(40, 32))}, None, task)

    assert task.kind == "embedding"
    assert turned.holds
    assert turned.metric == "cosine"
    assert stage(turned, "optimized").distances["smallest_cosine"] == pytest.approx(1)
    assert not other.holds


def test_stages_between_are_measured_and_not_judged() -> None:
    probability, truth = rows()
    answers = classified(probability)

    contract = judge(answers, answers, truth, BINARY, between={"onnx": classified(1 - probability)})

    assert contract.holds
    assert stage(contract, "onnx").distances["label_agreement"] == 0


def test_a_slice_that_loses_is_found_where_the_mean_hides_it() -> None:
    probability, truth = rows(1000)
    truth = (probability > 0.5).astype(np.int64)
    sex = np.where(np.arange(1000) % 50 == 0, "F", "M")
    moved = np.where((sex == "F") & (truth == 1) & (probability < 0.58), 0.49, probability)

    contract = judge(
        classified(probability),
        classified(moved),
        truth,
        BINARY,
        Bounds(distance=1),
        slicings=[make_slicing("sex", sex.tolist(), None)],
    )

    loss = found(contract, "slice_loss")
    assert (loss.about, loss.ok) == ("sex = F", False)
    assert found(contract, "accuracy_loss").ok
    assert contract.worst_slice == "sex = F"
    assert {(each.value, each.rows) for each in contract.slices} == {("F", 20), ("M", 980)}


def test_no_slice_is_named_where_none_loses() -> None:
    probability, truth = rows(1000)
    sex = np.where(np.arange(1000) % 2 == 0, "F", "M")

    contract = judge(
        classified(probability),
        classified(probability),
        truth,
        BINARY,
        Bounds(),
        slicings=[make_slicing("sex", sex.tolist(), None)],
    )

    loss = found(contract, "slice_loss")
    assert (loss.value, loss.about, loss.ok) == (0.0, "", True)


def test_of_many_classes_those_with_the_worst_recall_are_listed() -> None:
    classes = tuple(range(40))
    truth = np.repeat(np.arange(40), 3)
    label = np.where(truth == 17, 0, truth)
    answers = {"label": label}

    contract = judge(answers, answers, truth, Task("classification", (ClassificationTarget(classes),)))

    listed = stage(contract, "source").recalls
    assert len(listed) == MOST_CLASSES
    assert listed[0].label == "17"


@given(st.integers(0, 10**6), st.floats(0, 0.3))
@settings(max_examples=25, deadline=None)
def test_a_contract_always_reads_back_as_it_was_written(seed: int, noise: float) -> None:
    random = np.random.default_rng(seed)
    probability, truth = rows(60)
    got = np.clip(probability + noise * random.normal(size=60), 0, 1)

    contract = judge(classified(probability), classified(got), truth, BINARY, resamples=50)

    assert msgspec.json.decode(canonical(contract), type=Contract) == contract
    assert contract.holds == (contract.breaches == "")


def several(*probabilities: npt.ArrayLike) -> Tensors:
    """A classifier's answers about as many targets, called a, b …"""
    return {
        f"{name}_{target}": tensor
        for target, probability in zip("abc", probabilities, strict=False)
        for name, tensor in classified(probability).items()
    }


SEVERAL = Task("classification", tuple(ClassificationTarget((0, 1), ("no", "yes"), name) for name in "ab"))


def test_what_one_of_several_targets_loses_is_not_hidden_by_the_others() -> None:
    probability, truth = rows()
    truths = np.stack([truth, truth], axis=1)
    worse = probability.copy()
    worse[np.flatnonzero((truth == 1) & (probability > 0.5))[:3]] = 0.45

    kept = judge(several(probability, probability), several(probability, probability), truths, SEVERAL)
    lost = judge(several(probability, probability), several(probability, worse), truths, SEVERAL)

    assert kept.holds
    assert not lost.holds
    for name in ("accuracy_loss", "label_change", "recall_loss"):
        assert "b" in found(lost, name).about.split(":")
    metrics = stage(lost, "optimized").metrics
    assert metrics["accuracy"].value == pytest.approx((metrics["accuracy_a"].value + metrics["accuracy_b"].value) / 2)
    assert [recall.label for recall in stage(lost, "source").recalls] == ["a: no", "a: yes", "b: no", "b: yes"]


def test_a_target_without_all_classes_is_named() -> None:
    probability, truth = rows()
    truths = np.stack([truth, np.ones_like(truth)], axis=1)

    contract = judge(several(probability, probability), several(probability, probability), truths, SEVERAL)

    assert any(note.startswith("the target 'b' holds 1 of 2 classes") for note in contract.notes)
    assert "auc" not in stage(contract, "source").metrics


def test_of_several_numbers_each_is_judged_by_its_own_spread() -> None:
    truths = np.stack([np.linspace(0, 1e6, 100), np.linspace(0, 1, 100)], axis=1)
    reference = {"prediction": truths + np.array([1e4, 0.01])}
    candidate = {"prediction": reference["prediction"] + np.array([0, 0.05])}

    contract = judge(reference, candidate, truths, REGRESSION)

    assert found(contract, "rmse_loss").about == "2"
    assert not found(contract, "rmse_loss").ok
    assert found(contract, "distance").value == pytest.approx(0.05 / np.std(truths[:, 1]), rel=0.01)
    assert set(stage(contract, "source").metrics) >= {"rmse", "rmse_1", "rmse_2"}
