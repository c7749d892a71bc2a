"""What a network's outputs are: told by all of its answers, or by the user, never by the operator that stands last."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper

import nets
import trained
from drafts import hold_to_own_answers
from onnxlet.cli import cli
from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.serving.engine import load_engine
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.convert.networks.class_scores import IndependentScores, find_class_scores
from onnxlet.toolchain.convert.networks.output_kinds import tell_outputs
from onnxlet.toolchain.verify import verify
from onnxlet.values.manifest import OutputMeaning
from onnxlet.values.tensors import Tensor

pytestmark = pytest.mark.toolchain

FINDINGS = ("pneumonia", "effusion", "nodule")
SLOPES = np.array([[2.0, -1.0, 0.5], [-1.5, 0.5, 2.0], [0.5, 1.5, -2.0]], dtype=np.float32)


def graph(nodes: list[onnx.NodeProto], columns: int, weights: dict[str, Tensor], folder: Path) -> Path:
    """`features` [N, 3] -> `y` [N, columns]."""
    made = nets.made(nodes, {"features": (TensorProto.FLOAT, ["N", 3])}, ["N", columns], weights)
    onnx.save_model(made, folder / "model.onnx")
    return folder / "model.onnx"


def clamped(folder: Path) -> Path:
    """A sigmoid, and behind it the clamp that keeps logarithms finite."""
    return graph(
        [
            helper.make_node("MatMul", ["features", "w"], ["logit"]),
            helper.make_node("Sigmoid", ["logit"], ["share"]),
            helper.make_node("Clip", ["share", "low", "high"], ["y"]),
        ],
        1,
        {"w": SLOPES[:, :1], "low": np.array(1e-6, np.float32), "high": np.array(1 - 1e-6, np.float32)},
        folder,
    )


def averaged(folder: Path) -> Path:
    """The mean of two sigmoids, as ensembles have it."""
    return graph(
        [
            helper.make_node("MatMul", ["features", "w"], ["a"]),
            helper.make_node("Sigmoid", ["a"], ["first"]),
            helper.make_node("MatMul", ["features", "v"], ["b"]),
            helper.make_node("Sigmoid", ["b"], ["second"]),
            helper.make_node("Mean", ["first", "second"], ["y"]),
        ],
        1,
        {"w": SLOPES[:, :1], "v": SLOPES[:, :1] * np.float32(1.3)},
        folder,
    )


def sigmoids(folder: Path, *, last: str = "Sigmoid") -> Path:
    return graph(
        [helper.make_node("MatMul", ["features", "w"], ["logits"]), helper.make_node(last, ["logits"], ["y"])],
        3,
        {"w": SLOPES},
        folder,
    )


def rows() -> Tensor:
    return np.random.default_rng(3).standard_normal((240, 3)).astype(np.float32)


def share(logits: Tensor) -> Tensor:
    shares: Tensor = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return shares


def binary_data(folder: Path) -> tuple[Path, Tensor]:
    features = rows()
    truth = np.where(features @ SLOPES[:, 0] > 0, "ill", "well")
    return trained.csv_of(folder / "data.csv", features, truth), truth


def served(directory: Path, features: Tensor) -> dict[str, Any]:
    engine = load_engine(directory / "model.onnx", threads=1, optimized=False, run_deadline=30)
    return dict(engine.run({"features": features}))


@pytest.mark.parametrize("make", [clamped, averaged])
def test_a_sigmoid_with_something_behind_it_gets_no_second_one(tmp_path: Path, make: Any) -> None:  # noqa: ANN401
    data, truth = binary_data(tmp_path)

    draft = convert(make(tmp_path), tmp_path / "out", data=data, target="target", labels=["well", "ill"])

    assert draft.outputs == OutputMeaning(are="probabilities", said_by="answers")
    assert draft.evaluations[-1].metrics["accuracy"] == 1
    probabilities = served(tmp_path / "out", rows())["probabilities"]
    assert probabilities[:, 1].min() < 0.2
    assert np.array_equal(probabilities[:, 1] > 0.5, truth == "ill")


def labelled(folder: Path) -> tuple[Path, Tensor]:
    """Rows with a column of 0 and 1 for each finding."""
    features = rows()
    marks = (features @ SLOPES > 0).astype(int)
    names = [*trained.feature_names(3), *FINDINGS]
    lines = [[*row, *mark] for row, mark in zip(features.tolist(), marks.tolist(), strict=True)]
    return trained.write_csv(folder / "data.csv", names, lines), marks


def test_independent_sigmoids_are_served_label_by_label(tmp_path: Path) -> None:
    data, marks = labelled(tmp_path)

    draft = convert(sigmoids(tmp_path), tmp_path / "out", data=data, target=list(FINDINGS), labels=FINDINGS)
    hold_to_own_answers(tmp_path / "out")
    contract = verify(tmp_path / "out", data=data, target=list(FINDINGS))

    assert draft.outputs == OutputMeaning(are="independent", said_by="answers")
    assert {spec.name for spec in draft.signature.outputs} == {
        f"{what}_{name}" for what in ("label", "probability", "probabilities") for name in FINDINGS
    }
    answers = served(tmp_path / "out", rows())
    for column, name in enumerate(FINDINGS):
        expected = share(rows() @ SLOPES[:, column])
        np.testing.assert_allclose(answers[f"probabilities_{name}"], np.stack([1 - expected, expected], 1), atol=1e-6)
        assert answers[f"label_{name}"].tolist() == marks[:, column].tolist()
    assert contract.holds
    assert contract.stages[0].metrics["accuracy_effusion"].value == 1


def test_a_label_that_no_row_has_is_named(tmp_path: Path) -> None:
    marks = (rows() @ SLOPES > 0).astype(np.int64)
    marks[:, 1] = 0
    said: list[str] = []

    convert(
        sigmoids(tmp_path),
        tmp_path / "out",
        data=arrays(tmp_path, y=marks),
        target="y",
        labels=FINDINGS,
        on_progress=said.append,
    )

    assert "no row of the data is labelled 'effusion'" in said


def test_logits_of_labels_with_a_target_each_get_a_sigmoid_each(tmp_path: Path) -> None:
    data, _ = labelled(tmp_path)

    draft = convert(
        sigmoids(tmp_path, last="Identity"), tmp_path / "out", data=data, target=list(FINDINGS), labels=FINDINGS
    )

    assert draft.outputs is not None
    assert draft.outputs.are == "independent-logits"
    expected = share(rows() @ SLOPES[:, 2])
    np.testing.assert_allclose(served(tmp_path / "out", rows())["probabilities_nodule"][:, 1], expected, atol=1e-6)


def test_expected_answers_name_each_label(tmp_path: Path) -> None:
    data, marks = labelled(tmp_path)
    shares = share(rows() @ SLOPES)
    names = [f"{what}{name}{end}" for name in FINDINGS for what, end in (("label_", ""), ("", "_0"), ("", "_1"))]
    lines = [
        [cell for mark, one in zip(marks[row], shares[row], strict=True) for cell in (mark, 1 - one, one)]
        for row in range(len(marks))
    ]
    expected = trained.write_csv(tmp_path / "expected.csv", names, lines)
    options: dict[str, Any] = {"data": data, "target": list(FINDINGS), "labels": FINDINGS}

    draft = convert(sigmoids(tmp_path), tmp_path / "out", **options, expected=expected)

    assert draft.reference is not None
    assert draft.reference.kind == "expected"
    lines[0][2] = 0.3
    lines[0][1] = 0.7
    wrong = trained.write_csv(tmp_path / "wrong.csv", names, lines)
    with pytest.raises(ConversionError, match="does not answer as the model does"):
        convert(sigmoids(tmp_path), tmp_path / "out", **options, expected=wrong)


def arrays(folder: Path, **tensors: Tensor) -> Path:
    return trained.npz_of(folder / "data.npz", {"features": rows(), **tensors})


def test_one_array_of_marks_is_a_target_for_each_label(tmp_path: Path) -> None:
    marks = (rows() @ SLOPES > 0).astype(np.int64)

    draft = convert(sigmoids(tmp_path), tmp_path / "out", data=arrays(tmp_path, y=marks), target="y", labels=FINDINGS)

    assert draft.outputs is not None
    assert draft.outputs.are == "independent"
    assert draft.evaluations[-1].metrics["accuracy"] == 1


def test_one_hot_targets_name_one_class_of_each_row(tmp_path: Path) -> None:
    one_hot = np.eye(3)[(rows() @ SLOPES).argmax(axis=1)]

    draft = convert(
        sigmoids(tmp_path, last="Identity"),
        tmp_path / "out",
        data=arrays(tmp_path, y=one_hot),
        target="y",
        labels="abc",
    )

    assert draft.outputs is not None
    assert draft.outputs.are == "logits"
    assert draft.evaluations[-1].metrics["accuracy"] == 1


def test_one_hot_columns_do_so_too(tmp_path: Path) -> None:
    one_hot = np.eye(3, dtype=int)[(rows() @ SLOPES).argmax(axis=1)]
    lines = [[*row, *mark] for row, mark in zip(rows().tolist(), one_hot.tolist(), strict=True)]
    data = trained.write_csv(tmp_path / "data.csv", [*trained.feature_names(3), *FINDINGS], lines)

    draft = convert(
        sigmoids(tmp_path, last="Identity"), tmp_path / "out", data=data, target=list(FINDINGS), labels=FINDINGS
    )

    assert draft.outputs is not None
    assert draft.outputs.are == "logits"
    assert draft.evaluations[-1].metrics["accuracy"] == 1
    hold_to_own_answers(tmp_path / "out")
    assert verify(tmp_path / "out", data=data, target=list(FINDINGS)).holds


def test_logits_without_a_target_are_taken_for_those_of_classes_aloud(tmp_path: Path) -> None:
    data = trained.csv_of(tmp_path / "data.csv", rows(), None)
    model = sigmoids(tmp_path, last="Identity")

    draft = convert(model, tmp_path / "out", data=data, labels=FINDINGS)
    said = convert(model, tmp_path / "said", data=data, labels=FINDINGS, outputs_are="independent-logits")

    assert draft.outputs == OutputMeaning(are="logits", said_by="answers")
    (note,) = draft.notes
    assert note.startswith("'pneumonia', 'effusion', 'nodule' are taken for classes of which each row has one")
    assert "say --outputs-are independent-logits" in note
    assert said.notes == ()


def test_sigmoids_beside_one_target_are_asked_about(tmp_path: Path) -> None:
    features = rows()
    truth = np.array(FINDINGS)[(features @ SLOPES).argmax(axis=1)]
    data = trained.csv_of(tmp_path / "data.csv", features, truth)
    options: dict[str, Any] = {"data": data, "target": "target", "labels": FINDINGS}

    with pytest.raises(InvalidInputError, match=r"do not sum to 1 .* say --outputs-are independent"):
        convert(sigmoids(tmp_path), tmp_path / "out", **options)
    draft = convert(sigmoids(tmp_path), tmp_path / "out", **options, outputs_are="logits")
    apart = convert(sigmoids(tmp_path), tmp_path / "apart", **options, outputs_are="independent")

    assert draft.outputs == OutputMeaning(are="logits", said_by="user")
    assert draft.evaluations[-1].metrics["accuracy"] == 1
    assert apart.outputs == OutputMeaning(are="independent", said_by="user")
    hold_to_own_answers(tmp_path / "apart")
    metrics = verify(tmp_path / "apart", data=data, target="target").stages[0].metrics
    for column, name in enumerate(FINDINGS):
        right = (features @ SLOPES[:, column] > 0) == (truth == name)
        assert metrics[f"accuracy_{name}"].value == pytest.approx(right.mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("said", "last", "message"),
    [
        ("probabilities", "Identity", "probabilities are from 0 to 1: say --outputs-are logits"),
        ("probabilities", "Sigmoid", "which sum to 1, and these sum to .*: say --outputs-are independent"),
        ("independent", "Identity", "say --outputs-are independent-logits"),
        ("logits", "Softmax", "sum to 1 in every row, as probabilities do"),
        ("values", "Softmax", "labels name classes, and --outputs-are values says"),
    ],
)
def test_what_is_said_and_cannot_be_stops(tmp_path: Path, said: Any, last: str, message: str) -> None:  # noqa: ANN401
    data = trained.csv_of(tmp_path / "data.csv", rows(), np.array(FINDINGS * 80))
    with pytest.raises(InvalidInputError, match=message):
        convert(
            sigmoids(tmp_path, last=last),
            tmp_path / "out",
            data=data,
            target="target",
            labels=FINDINGS,
            outputs_are=said,
        )
    assert not (tmp_path / "out").exists()


def test_what_is_said_of_a_net_without_labels_is_tried_too(tmp_path: Path) -> None:
    data = arrays(tmp_path)
    with pytest.raises(InvalidInputError, match="was said to give probabilities"):
        convert(sigmoids(tmp_path), tmp_path / "out", data=data, outputs_are="probabilities")

    draft = convert(sigmoids(tmp_path), tmp_path / "out", data=data, outputs_are="independent")

    assert draft.outputs == OutputMeaning(are="independent", said_by="user")
    assert [spec.name for spec in draft.signature.outputs] == ["y"]


def line(folder: Path, steps: float) -> Path:
    """The first feature, and where it is far off what `steps` make of it."""
    weights = {"w": np.array([[1], [0], [0]], np.float32), "low": np.float32(-steps), "high": np.float32(steps)}
    return graph(
        [
            helper.make_node("MatMul", ["features", "w"], ["first"]),
            helper.make_node("Clip", ["first", "low", "high"], ["y"]),
        ],
        1,
        {name: np.array(weight) for name, weight in weights.items()},
        folder,
    )


def within(folder: Path, name: str, features: Tensor) -> Path:
    return trained.npz_of(folder / f"{name}.npz", {"features": features, "ill": features[:, 0] > 0.5})


def test_a_score_that_random_rows_drive_out_of_zero_to_one_is_asked_about(tmp_path: Path) -> None:
    data = within(tmp_path, "near", np.abs(np.sin(rows())))
    options: dict[str, Any] = {"data": data, "target": "ill", "labels": ["well", "ill"]}

    with pytest.raises(InvalidInputError, match="to other rows, so these may be no probabilities: say --outputs-are"):
        convert(line(tmp_path, 50), tmp_path / "out", **options)

    draft = convert(line(tmp_path, 50), tmp_path / "out", **options, outputs_are="probabilities")
    assert draft.evaluations[-1].metrics["accuracy"] == 1


def test_so_is_one_that_the_rows_that_judge_do(tmp_path: Path) -> None:
    near, far = (within(tmp_path, name, each) for name, each in (("near", np.abs(np.sin(rows()))), ("far", rows())))

    with pytest.raises(InvalidInputError, match="to other rows, so these may be no probabilities"):
        convert(
            line(tmp_path, 1.5),
            tmp_path / "out",
            data=near,
            judge=far,
            target="ill",
            labels=["well", "ill"],
            outputs_are="probabilities",
        )


@pytest.mark.parametrize("options", [{"outputs_are": "sigmoid"}, {"task": "classification"}])
def test_words_that_mean_nothing_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=r"(outputs_are|task) is one of .*, not '(sigmoid|classification)'"):
        convert(sigmoids(tmp_path), tmp_path / "out", data=arrays(tmp_path), **options)


def test_a_target_that_is_no_class_stops(tmp_path: Path) -> None:
    marks = (rows() @ SLOPES > 0).astype(np.int64)
    marks[7, 1] = 2
    with pytest.raises(InvalidInputError, match="holds 1 number that no class has; the model predicts 3 targets of 2"):
        convert(sigmoids(tmp_path), tmp_path / "out", data=arrays(tmp_path, y=marks), target="y", labels=FINDINGS)


def test_the_scores_of_two_classes_may_be_one_or_two_columns() -> None:
    scores = np.array([[-3.0], [0.4], [5.0]])
    assert tell_outputs(scores, "y", None, by_label=None) == "logits"
    assert tell_outputs(share(scores), "y", None, by_label=None) == "probabilities"
    both = find_class_scores({"y": np.hstack([share(scores), share(scores)])}, ("a", "b"), None, by_label=None)
    assert isinstance(both, IndependentScores)


def test_the_command_says_what_outputs_are_and_show_keeps_it(tmp_path: Path) -> None:
    data, _ = binary_data(tmp_path)
    clamped(tmp_path)
    runner = CliRunner(env={"ONNXLET_STORE": (tmp_path / "store").as_uri()})
    options = ["--data", str(data), "--target", "target", "--labels", "well,ill"]

    shipped = runner.invoke(
        cli, ["ship", str(tmp_path / "model.onnx"), "risk", *options, "--outputs-are", "probabilities"]
    )
    shown = runner.invoke(cli, ["show", "risk:1"])
    stored = runner.invoke(cli, ["show", "risk:1", "--json"])

    assert shipped.exit_code == 0, shipped.output
    for said in (shipped.output, shown.output):
        assert "probabilities of classes that exclude each other, as the user said" in said
    assert json.loads(stored.output)["outputs"]["are"] == "probabilities"


def test_models_that_say_it_themselves_take_no_other_word(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    from sklearn.linear_model import LogisticRegression

    features = rows()
    model = LogisticRegression().fit(features, features[:, 0] > 0)
    with pytest.raises(InvalidInputError, match="says itself what its scores are"):
        convert(model, tmp_path / "out", data=features, outputs_are="logits")
