"""What the outputs of Keras models are: an Average of sigmoids got a second one once, and masks have channels last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import f1_score, jaccard_score

import trained
from frameworks.keras_models import keras, saved
from onnxlet.serving.engine import load_engine
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.verify import verify
from onnxlet.toolchain.workbench.tensorflow import silence_tensorflow
from onnxlet.values.manifest import OutputMeaning

pytestmark = pytest.mark.tensorflow


def tumours() -> tuple[trained.Array, trained.Array]:
    bunch = load_breast_cancer()
    features = (bunch.data - bunch.data.mean(axis=0)) / bunch.data.std(axis=0)
    return features.astype(np.float32), bunch.target


def average_of_sigmoids() -> Any:
    """Two heads, each with a sigmoid, and their Average."""
    keras.utils.set_random_seed(0)
    features = keras.Input((30,), name="features")
    heads = [keras.layers.Dense(1, activation="sigmoid")(features) for _ in range(2)]
    network = keras.Model(features, keras.layers.Average(name="risk")(heads))
    with silence_tensorflow():
        network.compile(keras.optimizers.Adam(0.05), "binary_crossentropy")
        network.fit(*tumours(), batch_size=128, epochs=6, verbose=0)
    return network


def predicted(network: Any, inputs: trained.Array) -> trained.Array:
    with silence_tensorflow():
        answers: trained.Array = network.predict(inputs, verbose=0)
    return answers


@pytest.mark.parametrize("place", ["risk.keras", "risk"])
def test_an_average_of_sigmoids_is_a_probability(tmp_path: Path, place: str) -> None:
    features, truth = tumours()
    network = average_of_sigmoids()
    data = trained.npz_of(tmp_path / "data.npz", {"features": features, "benign": truth})

    draft = convert(
        saved(network, tmp_path / place), tmp_path / "out", data=data, target="benign", labels=["malignant", "benign"]
    )
    contract = verify(tmp_path / "out", data=data, target="benign")

    own = predicted(network, features).ravel()
    accuracy = ((own > 0.5) == truth).mean()
    assert accuracy > 0.95
    assert draft.outputs == OutputMeaning(are="probabilities", said_by="answers")
    assert contract.holds
    assert contract.oddities == ()
    assert contract.stages[-1].metrics["accuracy"].value == pytest.approx(accuracy, rel=1e-5)
    engine = load_engine(tmp_path / "out/model.onnx", threads=1, optimized=False, run_deadline=30)
    np.testing.assert_allclose(engine.run({"features": features})["probabilities"][:, 1], own, atol=1e-5)


@pytest.mark.parametrize("ending", ["softmax", "sigmoid"])
def test_masks_have_their_classes_in_the_last_dimension(tmp_path: Path, ending: str) -> None:
    keras.utils.set_random_seed(0)
    channels = 3 if ending == "softmax" else 1
    network = keras.Sequential(
        [
            keras.Input((16, 16, 1), name="image"),
            keras.layers.Conv2D(4, 3, padding="same", activation="relu"),
            keras.layers.Conv2D(channels, 3, padding="same", activation=ending),
        ]
    )
    images = np.random.default_rng(0).normal(size=(20, 16, 16, 1)).astype(np.float32)
    answers = predicted(network, images)
    own = answers.argmax(axis=-1) if channels > 1 else (answers[..., 0] > 0.5).astype(int)
    wrong = np.random.default_rng(1).random(own.shape) < 0.1
    masks = np.where(wrong, (own + 1) % max(channels, 2), own)

    draft = convert(network, tmp_path / "out", data=images, target=masks)
    contract = verify(tmp_path / "out", data=images, target=masks)

    assert draft.outputs == OutputMeaning(are="probabilities", task="segmentation", output="prediction", class_axis=3)
    assert contract.holds
    metrics = contract.stages[-1].metrics
    average = "macro" if channels > 1 else "binary"
    assert metrics["dice"].value == pytest.approx(f1_score(masks.ravel(), own.ravel(), average=average), abs=2e-3)
    assert metrics["iou"].value == pytest.approx(jaccard_score(masks.ravel(), own.ravel(), average=average), abs=2e-3)
