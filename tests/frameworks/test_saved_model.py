"""Converting SavedModels: the signature that is chosen becomes the graph, under its own names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import trained
from frameworks.conftest import Ship
from frameworks.keras_models import digits, digits_network, saved, tf
from onnxlet.cli import cli
from onnxlet.errors import ConversionError, InvalidInputError, TrustRequiredError
from onnxlet.serving.engine import load_engine
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.workbench.tensorflow import silence_tensorflow
from onnxlet.values.keys import GRAPH
from onnxlet.values.signature import TensorSpec

pytestmark = pytest.mark.tensorflow
ROW = tf.TensorSpec([None, 3], tf.float32)


def module(path: Path, **functions: Any) -> Path:
    """A SavedModel with a signature for each function of one tensor `x`."""
    holder = tf.Module()
    holder.scale = tf.Variable([1.0, 2.0, 3.0])
    signatures = {
        name: tf.function(lambda x, function=function: function(x, holder.scale)).get_concrete_function(x=ROW)
        for name, function in functions.items()
    }
    with silence_tensorflow():
        tf.saved_model.save(holder, str(path), signatures=signatures)
    return path


def two_signatures(path: Path) -> Path:
    """One that scales, and one that adds up too."""
    return module(
        path,
        serving_default=lambda x, scale: {"scaled": x * scale},
        total=lambda x, scale: {"total": tf.reduce_sum(x * scale, 1), "largest": tf.reduce_max(x, 1)},
    )


@pytest.mark.representative
def test_the_default_signature_is_served_under_its_names(tmp_path: Path, shipping: Ship) -> None:
    rows = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    data = trained.npz_of(tmp_path / "rows.npz", {"x": rows})

    shipped = shipping(two_signatures(tmp_path / "model"), data)

    draft = shipped.draft
    assert draft.graph.inputs == (TensorSpec("x", "FP32", (-1, 3)),)
    assert draft.graph.outputs == (TensorSpec("scaled", "FP32", (-1, 3)),)
    assert draft.provenance.framework == "TensorFlow"
    predictions = shipped.dataplane.invoke({"model": "model", "instances": rows[:2].tolist()})["predictions"]
    assert np.allclose(predictions, rows[:2] * [1, 2, 3])


def test_another_signature_can_be_chosen(tmp_path: Path) -> None:
    path = two_signatures(tmp_path / "model")
    arguments = ["convert", str(path), "--signature", "total", "-o", str(tmp_path / "out")]

    result = CliRunner().invoke(cli, arguments)

    assert result.exit_code == 0, result.stderr
    engine = load_engine(tmp_path / "out" / GRAPH, threads=1, optimized=False, run_deadline=10)
    got = engine.run({"x": np.array([[1, 1, 1], [0, 5, 0]], np.float32)})
    assert got["total"].tolist() == [6, 10]
    assert got["largest"].tolist() == [1, 5]


def test_a_signature_that_is_not_there_is_answered_with_those_that_are(tmp_path: Path) -> None:
    path = two_signatures(tmp_path / "model")
    with pytest.raises(InvalidInputError, match="no signature 'sum', only 'serving_default', 'total'"):
        convert(path, tmp_path / "out", signature="sum")


def test_a_model_without_signatures_is_told_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="has no signatures"):
        convert(module(tmp_path / "model"), tmp_path / "out")


def test_a_signature_cannot_be_chosen_of_other_kinds(tmp_path: Path) -> None:
    (tmp_path / "model.joblib").write_bytes(b"")
    with pytest.raises(InvalidInputError, match="signature cannot be chosen"):
        convert(tmp_path / "model.joblib", tmp_path / "out", signature="total")


def test_what_keras_exports_predicts_what_it_did(tmp_path: Path) -> None:
    network = digits_network()
    images, target = digits()
    data = trained.npz_of(tmp_path / "digits.npz", {"image": images[:200], "shown": target[:200]})

    draft = convert(
        saved(network, tmp_path / "digits"), tmp_path / "out", data=data, target="shown", labels=list("0123456789")
    )

    assert draft.evaluations[0].metrics["accuracy"] == draft.evaluations[1].metrics["accuracy"] > 0.9
    assert draft.evaluations[1].metrics["label_agreement"] == 1.0


def test_an_operator_without_onnx_form_is_named(tmp_path: Path) -> None:
    path = module(tmp_path / "model", serving_default=lambda x, _: {"y": tf.math.lgamma(x)})
    with pytest.raises(ConversionError, match="'Lgamma'"):
        convert(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_texts_that_only_pass_through_are_served(tmp_path: Path) -> None:
    holder = tf.Module()
    function = tf.function(lambda name, x: {"name": tf.identity(name), "twice": x * 2}).get_concrete_function(
        name=tf.TensorSpec([None], tf.string), x=tf.TensorSpec([None], tf.float32)
    )
    with silence_tensorflow():
        tf.saved_model.save(holder, str(tmp_path / "model"), signatures=function)

    draft = convert(tmp_path / "model", tmp_path / "out")

    assert [spec.datatype for spec in draft.graph.inputs] == ["BYTES", "FP32"]


def test_work_on_texts_names_the_operator(tmp_path: Path) -> None:
    holder = tf.Module()
    function = tf.function(lambda text: {"bytes": tf.strings.length(text)}).get_concrete_function(
        text=tf.TensorSpec([None], tf.string)
    )
    with silence_tensorflow():
        tf.saved_model.save(holder, str(tmp_path / "model"), signatures=function)
    with pytest.raises(ConversionError, match="'StringLength'"):
        convert(tmp_path / "model", tmp_path / "out")


def test_a_model_that_reads_files_needs_trust(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("3.0")

    def leaking(x: Any, _: Any) -> dict[str, Any]:
        return {"y": x * tf.strings.to_number(tf.io.read_file(str(tmp_path / "secret.txt")))}

    with pytest.raises(TrustRequiredError, match="'ReadFile', which reaches files"):
        convert(module(tmp_path / "model", serving_default=leaking), tmp_path / "out")


def test_a_model_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    path = two_signatures(tmp_path / "model")
    (path / "variables/variables.index").unlink()
    with pytest.raises(ConversionError, match=f"which TensorFlow {tf.__version__} saved"):
        convert(path, tmp_path / "out")
    (path / "saved_model.pb").write_bytes(b"no protobuf")
    with pytest.raises(ConversionError, match="no SavedModel, or not all of it"):
        convert(path, tmp_path / "out")
