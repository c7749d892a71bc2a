"""Oddities: said where classes look misread, and never a reason to stop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score, roc_auc_score

import trained
from onnxlet.cli import cli
from onnxlet.steps import Steps
from onnxlet.toolchain.verify.contract import judge
from onnxlet.toolchain.workbench.task import ClassificationTarget, Task, task_of
from onnxlet.values.manifest import OutputMeaning
from onnxlet.values.tensors import Tensor, Tensors

pytestmark = pytest.mark.toolchain

BINARY = Task("classification", (ClassificationTarget((0, 1), ("well", "ill")),))


def answers(second: Tensor) -> Tensors:
    return {"label": (second > 0.5).astype(np.int64), "probabilities": np.stack([1 - second, second], axis=1)}


def doubled(count: int = 400) -> tuple[Tensor, Tensor]:
    """What a second sigmoid makes of good probabilities, and the truth: 0.42 are ill."""
    random = np.random.default_rng(0)
    truth = (random.random(count) < 0.42).astype(np.int64)
    shares = 1 / (1 + np.exp(-(3 * truth - 1.5 + random.normal(size=count))))
    return 1 / (1 + np.exp(-shares)), truth


def test_labels_that_do_not_follow_well_ranked_scores_are_odd() -> None:
    second, truth = doubled()

    contract = judge(answers(second), answers(second), truth, BINARY)

    assert contract.holds
    chance, never = contract.oddities
    assert "no better than always answering" in chance
    assert f"({accuracy_score(truth, second > 0.5):.4g} and {1 - truth.mean():.4g})" in chance
    assert f"{roc_auc_score(truth, second):.4g}:" in chance
    assert never == "the class 'well' is never predicted"


def test_many_labels_are_named_in_one_line() -> None:
    second, truth = doubled()
    both = Task("classification", tuple(ClassificationTarget((0, 1), (), name) for name in ("cough", "fever", "pain")))
    right = answers(np.where(truth == 1, 0.9, 0.1))
    each = {"cough": answers(second), "fever": answers(second), "pain": right}
    given = {f"{what}_{name}": tensor for name, one in each.items() for what, tensor in one.items()}

    contract = judge(given, given, np.stack([truth] * 3, axis=1), both)

    chance, never = contract.oddities
    assert "the accuracy of 'cough', 'fever' is no better" in chance
    assert never == "the classes 'cough: 0', 'fever: 0' are never predicted"


@pytest.mark.parametrize("classes", [2, 4])
def test_classes_in_another_order_are_told_by_what_they_would_be_right_for(classes: int) -> None:
    truth = np.arange(400) % classes
    wrong = np.where(np.arange(400) % 20 == 0, (truth + 1) % classes, truth)
    names = ("a", "b", "c", "d")[:classes]
    task = Task("classification", (ClassificationTarget(tuple(range(classes)), names),))
    turned = {"label": classes - 1 - wrong}

    (odd,) = judge(turned, turned, truth, task).oddities

    assert odd.startswith(f"the accuracy is {accuracy_score(truth, turned['label']):.4g}, and would be 0.95 if other")
    assert f"for 'a' {names[-1]!r}" in odd
    assert judge({"label": wrong}, {"label": wrong}, truth, task).oddities == ()


def test_scores_of_the_other_class_are_odd_though_one_label_is_always_given() -> None:
    second, truth = doubled()
    other = answers(1.2 - second)

    oddities = judge(other, other, truth, BINARY).oddities

    area = roc_auc_score(truth, 1.2 - second)
    assert f"the area under the curve is {area:.4g}: the scores rank the rows the wrong way around" in oddities[0]


def test_a_classifier_that_is_worse_than_chance_is_not_odd_for_that_alone() -> None:
    truth = np.arange(300) % 3
    label = np.where(np.arange(300) % 10 < 2, truth, (truth + 1 + np.arange(300) // 7 % 2) % 3)
    task = Task("classification", (ClassificationTarget((0, 1, 2), ("a", "b", "c")),))
    assert accuracy_score(truth, label) < 1 / 3
    assert judge({"label": label}, {"label": label}, truth, task).oddities == ()


def test_a_good_classifier_is_not_odd() -> None:
    second, truth = doubled()
    right = np.where(second > np.median(second), 0.9, 0.1)
    assert judge(answers(right), answers(right), truth, BINARY).oddities == ()
    assert judge(answers(second), answers(second), None, BINARY).oddities == ()


def test_a_class_that_no_position_gets_is_odd() -> None:
    truth = np.arange(64).reshape(1, 8, 8) % 3
    scores = np.stack([truth == 0, truth == 1, truth == 9], axis=1).astype(np.float32)
    meaning = OutputMeaning(
        are="logits", task="segmentation", output="prediction", class_axis=1, labels=("back", "organ", "lesion")
    )
    task = task_of(Steps(), {"prediction": scores}, truth, meaning)

    contract = judge({"prediction": scores}, {"prediction": scores}, truth, task)

    assert contract.oddities == ("the class 'lesion' is never predicted",)


def test_an_honest_forest_for_a_rare_disease_ships_and_says_what_is_odd(tmp_path: Path) -> None:
    features, disease = make_classification(
        6000, 8, n_informative=4, weights=[0.966], class_sep=0.6, flip_y=0.01, random_state=2
    )
    features = features.astype(np.float32).astype(np.float64)
    forest = RandomForestClassifier(60, max_depth=4, random_state=0).fit(features[:3000], disease[:3000])
    truth, held_out = disease[3000:], features[3000:]
    data = trained.csv_of(tmp_path / "data.csv", held_out, truth)
    runner = CliRunner(env={"ONNXLET_STORE": (tmp_path / "store").as_uri()})
    model = trained.saved(forest, tmp_path)

    shipped = runner.invoke(
        cli, ["ship", str(model), "rare", "--trust", "--data", str(data), "--target", "target", "--promote"]
    )
    shown = runner.invoke(cli, ["show", "rare"])

    assert truth.mean() < 0.05
    assert forest.predict(held_out).sum() == 0
    assert accuracy_score(truth, forest.predict(held_out)) == pytest.approx(1 - truth.mean())
    assert roc_auc_score(truth, forest.predict_proba(held_out)[:, 1]) > 0.8
    assert shipped.exit_code == 0, shipped.output
    for said in (shipped.output, shown.output):
        assert "no better than always answering" in said
        assert "the class '1' is never predicted" in said
