"""Converting ONNX files: they stay what they are, and get what data tells of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import InferenceSession

import trained
from drafts import tabular_of
from models import tiny
from onnxlet.cli import cli
from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.serving.engine import load_engine
from onnxlet.serving.golden import check
from onnxlet.steps import decode_steps
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.prepare import prepare
from onnxlet.toolchain.verify import verify
from onnxlet.toolchain.workbench.directory import read_draft, write_draft
from onnxlet.values.manifest import Draft, ReferenceOrigin
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import Tensor

pytestmark = pytest.mark.toolchain


def linear(weights: Tensor, last: str | None = None, *, producer: str = "") -> onnx.ModelProto:
    """`features` [N, rows of the weights] times the weights, and an activation."""
    nodes = [helper.make_node("MatMul", ["features", "weights"], ["scores" if last else "output"])]
    if last:
        nodes.append(helper.make_node(last, ["scores"], ["output"]))
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, weights.shape[0]])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [None, weights.shape[1]])],
        [numpy_helper.from_array(weights.astype(np.float32), "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name=producer)
    model.ir_version = 8
    return model


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "model.onnx"
    onnx.save_model(model, path)
    return path


def slopes(folder: Path) -> tuple[Path, Tensor, Tensor]:
    features = np.random.default_rng(0).standard_normal((40, 3))
    target = features @ [1.0, -2.0, 0.5]
    return trained.csv_of(folder / "data.csv", features, target), features, target


def test_a_graph_gets_column_names_metrics_and_synthetic_golden_cases_from_the_data(tmp_path: Path) -> None:
    data, _, _ = slopes(tmp_path)
    path = saved(linear(np.array([[1.0], [-2.0], [0.5]]), producer="pytorch"), tmp_path)

    draft = convert(path, tmp_path / "out", data=data, target="target")

    assert draft.provenance.framework == "pytorch"
    assert [column.name for column in tabular_of(draft).columns] == ["feature 0", "feature 1", "feature 2"]
    assert tabular_of(draft).input == "features"
    assert {evaluation.stage: evaluation.metrics["r2"] for evaluation in draft.evaluations}["onnx"] > 0.999
    assert draft.golden is not None
    assert draft.golden.source == "synthetic"
    engine = load_engine(tmp_path / "out/model.onnx", threads=1, optimized=False, run_deadline=10)
    check(engine, read_draft(tmp_path / "out")[1], draft.golden.tolerance)


@pytest.mark.parametrize(("columns", "last"), [(2, None), (2, "Softmax"), (1, None), (1, "Sigmoid")], ids=str)
def test_labels_make_a_classifier_of_scores(tmp_path: Path, columns: int, last: str | None) -> None:
    weights = np.stack([-np.arange(1.0, 4.0), np.arange(1.0, 4.0)], axis=1)[:, -columns:]
    features = np.random.default_rng(0).standard_normal((60, 3))
    truth = np.where(features @ np.arange(1.0, 4.0) > 0, "sick", "well")
    data = trained.csv_of(tmp_path / "data.csv", features, truth)

    draft = convert(
        saved(linear(weights, last), tmp_path), tmp_path / "out", data=data, target="target", labels=["well", "sick"]
    )

    assert [spec.name for spec in draft.signature.outputs] == ["label", "probability", "probabilities"]
    assert draft.labels == ("well", "sick")
    assert draft.evaluations[-1].metrics["accuracy"] == 1.0
    engine = load_engine(tmp_path / "out/model.onnx", threads=1, optimized=False, run_deadline=10)
    probabilities = engine.run({"features": features.astype(np.float32)})["probabilities"]
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert np.array_equal(probabilities[:, 1] > 0.5, truth == "sick")


def test_arrays_give_rows_to_inputs_of_any_rank(tmp_path: Path) -> None:
    model = tiny.embedder()
    engine = load_engine(saved(model, tmp_path), threads=1, optimized=False, run_deadline=10)
    arrays = {spec.name: np.ones((70, 5), dtype=np.int32) for spec in engine.signature.inputs}

    draft = convert(tmp_path / "model.onnx", tmp_path / "out", data=trained.npz_of(tmp_path / "rows.npz", arrays))

    assert draft.graph == engine.signature
    assert decode_steps(draft.steps).columns is None
    assert draft.evaluations[-1].rows == 70
    assert draft.golden is not None
    assert draft.golden.source == "random"


def with_sites(folder: Path, features: Tensor, target: Tensor) -> Path:
    """Numbers, a target, and a column of texts that is no input."""
    names = [*trained.feature_names(features.shape[1]), "site", "target"]
    rows = [[*row, "ab"[index % 2], value] for index, (row, value) in enumerate(zip(features, target, strict=True))]
    return trained.write_csv(folder / "data.csv", names, rows)


def answers(model: Path, features: Tensor) -> dict[str, Tensor]:
    """What ONNX Runtime itself answers, as a user would keep it."""
    (output,) = InferenceSession(model).run(None, {"features": features.astype(np.float32)})
    return {"prediction": output}


def test_a_graph_alone_has_neither_reference_nor_contract(tmp_path: Path) -> None:
    features = np.random.default_rng(0).standard_normal((60, 3))
    truth = np.where(features @ np.array([1.0, -2.0, 0.5]) > 0, "sick", "well")
    data = trained.csv_of(tmp_path / "data.csv", features, truth)
    model = saved(linear(np.array([[1.0], [-2.0], [0.5]]), "Sigmoid"), tmp_path)
    options: dict[str, Any] = {"data": data, "target": "target", "labels": ("well", "sick")}

    draft = convert(model, tmp_path / "out", **options)

    assert draft.reference is None
    assert [(each.stage, *each.metrics) for each in draft.evaluations] == [("onnx", "accuracy", "f1", "auc")]
    with pytest.raises(InvalidInputError, match=r"a graph does not know the model .* convert it with --expected"):
        verify(tmp_path / "out", data=data, target="target")
    assert read_draft(tmp_path / "out")[0].contract is None


def test_what_is_odd_about_a_graph_alone_is_noted(tmp_path: Path) -> None:
    features = np.random.default_rng(0).standard_normal((60, 3))
    truth = np.where(features @ np.array([1.0, -2.0, 0.5]) > 0, "sick", "well")
    data = trained.csv_of(tmp_path / "data.csv", features, truth)
    model = linear(np.array([[1.0], [-2.0], [0.5]]), "Sigmoid")
    model.graph.initializer.append(numpy_helper.from_array(np.array([9.0], dtype=np.float32), "bias"))
    model.graph.node[0].op_type = "Gemm"
    model.graph.node[0].input.append("bias")

    draft = convert(saved(model, tmp_path), tmp_path / "out", data=data, target="target", labels=("well", "sick"))

    assert len(draft.notes) == 2
    assert "no better than always answering the most frequent class" in draft.notes[0]
    assert draft.notes[1] == "the class 'well' is never predicted"


def test_what_its_model_answered_gives_a_graph_both(tmp_path: Path) -> None:
    features = np.random.default_rng(0).standard_normal((60, 3))
    data = trained.csv_of(tmp_path / "data.csv", features, None)
    model = saved(linear(np.array([[1.0], [-2.0], [0.5]])), tmp_path)
    own = answers(model, features)

    draft = convert(model, tmp_path / "out", data=data, expected=own)

    assert draft.reference == ReferenceOrigin("expected", "onnx")
    assert verify(tmp_path / "out", data=data).holds
    with pytest.raises(ConversionError, match="does not answer as the model does"):
        convert(model, tmp_path / "other", data=data, expected={"prediction": own["prediction"] + 0.1})


def test_a_column_of_texts_beside_a_graphs_numbers_can_be_sliced_by(tmp_path: Path) -> None:
    features = np.random.default_rng(0).standard_normal((60, 3))
    data = with_sites(tmp_path, features, features @ np.array([1.0, -2.0, 0.5]))
    said: list[str] = []

    model = saved(linear(np.array([[1.0], [-2.0], [0.5]])), tmp_path)
    draft = convert(
        model, tmp_path / "out", data=data, target="target", expected=answers(model, features), on_progress=said.append
    )
    contract = verify(tmp_path / "out", data=data, target="target", slices=["site"])

    assert [column.name for column in tabular_of(draft).columns] == trained.feature_names(3)
    assert "leaving out 'site': texts are no inputs of this model" in said
    assert {each.value for each in contract.slices} == {"a", "b"}


def test_columns_that_are_no_inputs_of_a_graph_are_named(tmp_path: Path) -> None:
    path = saved(linear(np.array([[1.0], [-2.0], [0.5]])), tmp_path)
    features = np.random.default_rng(0).standard_normal((9, 4))

    with pytest.raises(InvalidInputError, match="4 columns do not fill: leave out those that are no inputs"):
        convert(path, tmp_path / "out", data=trained.csv_of(tmp_path / "four.csv", features, None))
    cells = features[:, :3].astype(object)
    cells[1, 0] = "high"
    with pytest.raises(InvalidInputError, match="row 2 of column 'feature 0' holds a text, which is no number"):
        convert(path, tmp_path / "out", data=trained.csv_of(tmp_path / "high.csv", cells, None))
    texts = trained.write_csv(tmp_path / "texts.csv", ["a", "b"], [["x", "y"]])
    with pytest.raises(InvalidInputError, match="has no column of numbers besides the target"):
        convert(path, tmp_path / "out", data=texts)


def test_columns_of_texts_fill_a_graphs_inputs_of_texts(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [
            helper.make_node(
                "LabelEncoder",
                ["sex"],
                ["coded"],
                domain="ai.onnx.ml",
                keys_strings=["f", "m"],
                values_floats=[10.0, 20.0],
            ),
            helper.make_node("Add", ["coded", "age"], ["risk"]),
        ],
        "mixed",
        [
            helper.make_tensor_value_info("sex", TensorProto.STRING, [None, 1]),
            helper.make_tensor_value_info("age", TensorProto.FLOAT, [None, 1]),
        ],
        [helper.make_tensor_value_info("risk", TensorProto.FLOAT, [None, 1])],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
    path = saved(helper.make_model(graph, opset_imports=opsets, ir_version=10), tmp_path)
    rows = [["f", 1.0, 11.0, "x"], ["m", 2.0, 22.0, "y"]] * 10
    data = trained.write_csv(tmp_path / "data.csv", ["sex", "age", "risk", "note"], rows)

    draft = convert(path, tmp_path / "out", data=data, target="risk")

    assert [column.datatype for column in tabular_of(draft).columns] == ["BYTES", "FP32"]
    assert draft.evaluations[-1].metrics["rmse"] < 1e-5


def test_weights_that_lie_apart_come_along(tmp_path: Path) -> None:
    path = tiny.save(tiny.classifier(), tmp_path / "source", external=True)["model.onnx"]

    draft = convert(path, tmp_path / "out")

    assert draft.golden is not None
    _, files = prepare(tmp_path / "out", tmp_path / "work")
    assert {name for name in files if not name.startswith("explain.")} == {"model.onnx", "golden.json"}


def test_a_wrongly_declared_output_is_corrected(tmp_path: Path) -> None:
    model = tiny.regressor()
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 1

    draft = convert(saved(model, tmp_path), tmp_path / "out")

    assert draft.signature.outputs == (TensorSpec("prediction", "FP32", (-1,)),)


def test_a_graph_with_a_fixed_number_of_rows_says_so(tmp_path: Path) -> None:
    data, _, _ = slopes(tmp_path)
    model = linear(np.ones((3, 1)))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2

    with pytest.raises(InvalidInputError, match="40 rows"):
        convert(saved(model, tmp_path), tmp_path / "out", data=data, target="target")


def test_old_opsets_foreign_domains_and_other_files_are_refused(tmp_path: Path) -> None:
    old = linear(np.ones((3, 1)))
    old.opset_import[0].version = 6
    foreign = linear(np.ones((3, 1)))
    foreign.graph.node[0].domain = "mine"
    for model, said in ((old, "opset 6"), (foreign, "'mine'")):
        with pytest.raises(ConversionError, match=said):
            convert(saved(model, tmp_path), tmp_path / "out")
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(ConversionError, match="no ONNX file"):
        convert(tmp_path / "model.onnx", tmp_path / "out")


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"other": np.ones((4, 3))}, "'features'"),
        ({"features": np.ones((4, 2))}, r"\[4, 2\]"),
        ({"features": np.ones((4, 3)), "y": np.ones(5)}, "first dimension"),
        ({"features": np.array([["a", "b", "c"]])}, "FP32"),
    ],
)
def test_arrays_that_do_not_fit_are_named(tmp_path: Path, arrays: dict[str, Tensor], said: str) -> None:
    data = trained.npz_of(tmp_path / "rows.npz", arrays)

    with pytest.raises(InvalidInputError, match=said):
        convert(saved(linear(np.ones((3, 1))), tmp_path), tmp_path / "out", data=data)


def test_labels_that_no_output_scores_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="3 labels"):
        convert(saved(linear(np.ones((3, 2))), tmp_path), tmp_path / "out", labels=["a", "b", "c"])


def test_a_target_of_classes_asks_for_labels(tmp_path: Path) -> None:
    data, _, _ = slopes(tmp_path)

    with pytest.raises(InvalidInputError, match="--labels"):
        convert(saved(linear(np.ones((3, 4))), tmp_path), tmp_path / "out", data=data, target="target")


def test_options_of_other_frameworks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="weights"):
        convert(saved(linear(np.ones((3, 1))), tmp_path), tmp_path / "out", weights=tmp_path / "weights.safetensors")


def test_assets_are_published_with_the_graph(tmp_path: Path) -> None:
    convert(saved(linear(np.ones((3, 1))), tmp_path), tmp_path / "out")
    (tmp_path / "out/tokenizer.json").write_text("{}")
    draft, cases = read_draft(tmp_path / "out")
    write_draft(tmp_path / "out", msgspec.structs.replace(draft, assets=(*draft.assets, "tokenizer.json")), cases)

    _, files = prepare(tmp_path / "out", tmp_path / "work")

    assert files["tokenizer.json"] == tmp_path / "out/tokenizer.json"
    assert isinstance(draft, Draft)
    (tmp_path / "out/tokenizer.json").unlink()
    with pytest.raises(InvalidInputError, match=r"no file .tokenizer"):
        prepare(tmp_path / "out", tmp_path / "again")


@pytest.mark.parametrize("text", ["photo", "photo=FP32", "photo=FLOAT[1]", "photo=FP32[]", "photo=FP32[0]", "=FP32[1]"])
def test_what_describes_no_input_is_a_usage_error(text: str) -> None:
    result = CliRunner().invoke(cli, ["convert", "model.onnx", "--input", text])

    assert result.exit_code == 2
    assert "photo=FP32" in result.stderr or "describes no input" in result.stderr


def test_the_command_converts_graphs_and_refuses_code_without_trust(tmp_path: Path) -> None:
    path = saved(linear(np.ones((3, 1))), tmp_path)

    done = CliRunner().invoke(cli, ["convert", str(path), "-o", str(tmp_path / "out")])
    refused = CliRunner().invoke(cli, ["convert", "nets:net", "--input", "x=FP32[-1, 3]"])

    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'out'}\n")
    assert refused.exit_code == 1
    assert "--trust" in refused.stderr
