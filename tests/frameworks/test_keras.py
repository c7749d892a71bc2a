"""Converting Keras: models answer as they did, under their own names, and what cannot be read says why."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trained
from drafts import tabular_of
from frameworks.conftest import Ship
from frameworks.keras_models import digits, digits_network, keras, saved, two_inputs
from onnxlet.errors import ConversionError, InvalidInputError, TrustRequiredError
from onnxlet.serving.engine import load_engine
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.workbench.tensorflow import silence_tensorflow
from onnxlet.values.keys import GRAPH
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import Tensors

pytestmark = pytest.mark.tensorflow
DIGITS = [str(digit) for digit in range(10)]


def answers(converted: Path, inputs: Tensors) -> Tensors:
    """The graph's answers."""
    return load_engine(converted / GRAPH, threads=1, optimized=False, run_deadline=10).run(inputs)


@pytest.mark.representative
def test_a_network_of_images_predicts_what_it_did(tmp_path: Path, shipping: Ship) -> None:
    network = digits_network()
    images, target = digits()
    data = trained.npz_of(tmp_path / "digits.npz", {"image": images[:300], "shown": target[:300]})

    shipped = shipping(saved(network, tmp_path / "digits.keras"), data, target="shown", labels=DIGITS)

    draft = shipped.draft
    assert draft.graph.inputs == (TensorSpec("image", "FP32", (-1, 8, 8, 1)),)
    assert draft.provenance.framework == "Keras"
    assert draft.provenance.versions["keras"] == keras.__version__
    source, onnx = draft.evaluations
    assert source.metrics["accuracy"] == onnx.metrics["accuracy"] > 0.9
    assert shipped.agreement() == 1.0
    assert shipped.distance() < 1e-4
    assert draft.golden is not None
    assert draft.golden.source == "synthetic"
    predictions = shipped.dataplane.invoke({"model": "model", "instances": images[:5].tolist()})["predictions"]
    expected = network.predict(images[:5], verbose=0)
    assert [row["label"] for row in predictions] == [DIGITS[index] for index in expected.argmax(axis=1)]
    assert np.allclose([row["probabilities"] for row in predictions], expected, atol=1e-6)


def test_inputs_and_outputs_keep_their_names_and_any_number_of_rows(tmp_path: Path) -> None:
    network = two_inputs()

    draft = convert(saved(network, tmp_path / "risk.keras"), tmp_path / "out")

    assert {spec.name: spec.shape for spec in draft.graph.inputs} == {"image": (-1, 6, 6, 1), "lab values": (-1, 4)}
    assert {spec.name: spec.shape for spec in draft.signature.outputs} == {"risk": (-1, 1), "stage": (-1, 3)}
    for rows in (1, 6):
        random = np.random.default_rng(rows)
        inputs = {
            "image": random.normal(size=(rows, 6, 6, 1)).astype(np.float32),
            "lab values": random.normal(size=(rows, 4)).astype(np.float32),
        }
        with silence_tensorflow():
            expected = {name: np.asarray(tensor) for name, tensor in network(inputs).items()}
        got = answers(tmp_path / "out", inputs)
        assert all(np.allclose(got[name], tensor, atol=1e-6) for name, tensor in expected.items())


def test_a_functional_model_of_one_input_keeps_its_name(tmp_path: Path) -> None:
    x = keras.Input((3,), name="x")
    network = keras.Model(x, keras.layers.Dense(2, name="y")(x))

    draft = convert(saved(network, tmp_path / "small.keras"), tmp_path / "out")

    assert draft.graph.inputs == (TensorSpec("x", "FP32", (-1, 3)),)
    assert draft.graph.outputs == (TensorSpec("y", "FP32", (-1, 2)),)


def test_columns_of_a_table_become_the_rows_of_a_network(tmp_path: Path, shipping: Ship) -> None:
    keras.utils.set_random_seed(1)
    network = keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(3), keras.layers.Dense(1, name="dose")])
    features, target = trained.slopes()
    data = trained.csv_of(tmp_path / "doses.csv", features, target)

    shipped = shipping(saved(network, tmp_path / "dose.keras"), data, target="target")

    tabular = tabular_of(shipped.draft)
    assert [column.name for column in tabular.columns] == trained.feature_names()
    assert "rmse" in shipped.draft.evaluations[0].metrics
    instance = dict(zip(trained.feature_names(), features[0].tolist(), strict=True))
    (prediction,) = shipped.dataplane.invoke({"model": "model", "instances": [instance]})["predictions"]
    assert np.allclose(prediction, network.predict(features[:1], verbose=0)[0], atol=1e-5)


def test_sequences_of_any_length_stay_so(tmp_path: Path) -> None:
    keras.utils.set_random_seed(2)
    network = keras.Sequential(
        [
            keras.Input((None,), dtype="int32", name="tokens"),
            keras.layers.Embedding(10, 4),
            keras.layers.Bidirectional(keras.layers.LSTM(3)),
            keras.layers.Dense(1, name="score"),
        ]
    )

    path = saved(network, tmp_path / "words.keras")

    draft = convert(path, tmp_path / "out", outputs=["liking"])

    assert draft.graph.inputs == (TensorSpec("tokens", "INT32", (-1, -1)),)
    with pytest.raises(InvalidInputError, match="2 outputs were named, the model has 1: score"):
        convert(path, tmp_path / "other", outputs=["liking", "dislike"])
    for length in (2, 9):
        tokens = np.random.default_rng(0).integers(0, 10, (3, length)).astype(np.int32)
        with silence_tensorflow():
            expected = np.asarray(network(tokens))
        assert np.allclose(answers(tmp_path / "out", {"tokens": tokens})["liking"], expected, atol=1e-6)


def test_a_layer_that_carries_code_needs_trust(tmp_path: Path) -> None:
    network = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x * 2)])
    path = saved(network, tmp_path / "lambda.keras")

    with pytest.raises(TrustRequiredError, match="Lambda layer, whose code runs"):
        convert(path, tmp_path / "out")

    draft = convert(path, tmp_path / "out", trust=True)
    assert draft.graph.outputs[0].shape == (-1, 4)


def test_a_class_of_ones_own_is_named_with_a_way_out(tmp_path: Path) -> None:
    class Doubling(keras.Model):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return x * 2

    network = Doubling()
    with silence_tensorflow():
        network(np.ones((1, 4), np.float32))

    with pytest.raises(ConversionError, match=r"'Doubling'.*model\.export\(directory\)"):
        convert(saved(network, tmp_path / "own.keras"), tmp_path / "out", trust=True)


def test_a_file_of_another_version_says_which(tmp_path: Path) -> None:
    path = saved(two_inputs(), tmp_path / "risk.keras")
    newer = tmp_path / "newer.keras"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(newer, "w") as new:
        for name in old.namelist():
            text = old.read(name)
            if name == "metadata.json":
                text = json.dumps({**json.loads(text), "keras_version": "4.0.0"}).encode()
            new.writestr(name, text.replace(b'"Conv2D"', b'"Conv2DPlus"'))

    with pytest.raises(ConversionError, match=r"Keras 4\.0\.0 saved.*install keras==4\.0\.0"):
        convert(newer, tmp_path / "out")


def test_what_is_no_keras_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "old.keras").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(ConversionError, match="no file of Keras 3"):
        convert(tmp_path / "old.keras", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_data_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = saved(two_inputs(), tmp_path / "risk.keras")
    data = trained.npz_of(tmp_path / "some.npz", {"image": np.zeros((3, 6, 6, 1), np.float32)})
    with pytest.raises(InvalidInputError, match="'lab values'"):
        convert(path, tmp_path / "out", data=data)


def test_the_command_keeps_the_frameworks_quiet(tmp_path: Path) -> None:
    path = saved(two_inputs(), tmp_path / "risk.keras")
    program = "from onnxlet.cli import main; main()"
    command = [sys.executable, "-c", program, "convert", str(path), "-o", str(tmp_path / "out")]

    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ), timeout=120)

    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'out'}\n"), done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.endswith("…")]
    assert len(lines) == 3, done.stderr
    assert lines[0].startswith("STAGE")
    assert lines[2].startswith("reference")
