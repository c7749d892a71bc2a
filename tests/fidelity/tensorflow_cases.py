"""Keras files and SavedModel directories."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from fidelity import tensorflow_outputs
from fidelity.case import SEED, Case, Fresh, Trained
from fidelity.data import TARGET, Data, images, real
from fidelity.tensorflow_training import Network, answers_of, asked, classes_of, one_or_other, trained, written

DIGITS = tuple(map(str, range(10)))
PICTURE = (8, 8, 1)


def cases() -> Iterator[Case]:
    """All of them."""
    for name, make in (
        ("two convolutions", _convolutions),
        ("two wide convolutions", partial(_convolutions, 32, 256)),
        ("separable convolutions", _separable),
    ):
        yield Case(f"{name}, .keras", "Keras", "digits", partial(_of_pictures, make, "keras"))
    yield Case("recurrent network (LSTM), .keras", "Keras", "digits", partial(_of_lines, _recurrent))
    yield Case("attention, .keras", "Keras", "digits", partial(_of_lines, _attentive))
    yield Case("perceptron of columns, .keras", "Keras", "breast cancer", _columns)
    yield Case("perceptron, 1024 x 512, .keras", "Keras", "digits", _wide_columns)
    yield Case("regression of columns, .keras", "Keras", "diabetes", _regression)
    yield Case("two convolutions", "SavedModel", "digits", partial(_of_pictures, _convolutions, "saved"))
    yield Case(
        "two wide convolutions", "SavedModel", "digits", partial(_of_pictures, partial(_convolutions, 32, 256), "saved")
    )
    yield Case("one of two signatures", "SavedModel", "digits", _two_signatures)
    yield from tensorflow_outputs.cases()


def _convolutions(channels: int = 8, hidden: int = 32) -> Network:
    return keras.Sequential(
        [
            keras.Input(PICTURE, name="image"),
            layers.Conv2D(channels, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.Conv2D(2 * channels, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(hidden, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax"),
        ]
    )


def _separable() -> Network:
    return keras.Sequential(
        [
            keras.Input(PICTURE, name="image"),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.SeparableConv2D(32, 3, padding="same", activation="silu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, activation="softmax"),
        ]
    )


def _recurrent() -> Network:
    return keras.Sequential(
        [keras.Input((8, 8), name="lines"), layers.LSTM(32), layers.Dense(10, activation="softmax")]
    )


def _attentive() -> Network:
    lines = keras.Input((8, 8), name="lines")
    read = layers.Dense(32)(lines)
    read = layers.LayerNormalization()(read + layers.MultiHeadAttention(4, 8)(read, read))
    read = layers.GlobalAveragePooling1D()(layers.Dense(64, activation="gelu")(read))
    return keras.Model(lines, layers.Dense(10, activation="softmax")(read))


def _of_pictures(make: Callable[[], Network], kind: str, folder: Path) -> Trained:
    keras.utils.set_random_seed(SEED)
    data = real("digits")
    network = trained(make(), images(data.train).reshape(-1, *PICTURE), data.train_target)
    pictures = images(data.test).reshape(-1, *PICTURE)
    path = written(network, folder, kind)
    fresh = classes_of(network, images(data.fresh).reshape(-1, *PICTURE))
    told = {"labels": DIGITS}
    return Trained(path, data.npz(folder, image=pictures), TARGET, asked(network, pictures), fresh, told)


def _of_lines(make: Callable[[], Network], folder: Path) -> Trained:
    keras.utils.set_random_seed(SEED)
    data = real("digits")
    network = trained(make(), images(data.train), data.train_target)
    lines = images(data.test)
    path = written(network, folder, "keras")
    fresh = classes_of(network, images(data.fresh))
    told = {"labels": DIGITS}
    return Trained(path, data.npz(folder, lines=lines), TARGET, asked(network, lines), fresh, told)


def _columns(folder: Path) -> Trained:
    keras.utils.set_random_seed(SEED)
    data = real("breast cancer")
    scaler = layers.Normalization()
    scaler.adapt(data.train)
    network = keras.Sequential(
        [
            keras.Input((30,), name="features"),
            scaler,
            layers.Dense(32, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    trained(network, data.train, data.train_target, "binary_crossentropy")
    told = {"labels": ("malignant", "benign")}
    row = data.test.astype(np.float32)
    path, fresh = written(network, folder, "keras"), one_or_other(network, data.fresh.astype(np.float32))
    return Trained(path, data.csv(folder), TARGET, asked(network, row), fresh, told)


def _wide_columns(folder: Path) -> Trained:
    keras.utils.set_random_seed(SEED)
    data = real("digits")
    network = keras.Sequential(
        [
            keras.Input((64,), name="pixels"),
            layers.Rescaling(1 / 16),
            layers.Dense(1024, activation="relu"),
            layers.Dense(512, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    trained(network, data.train, data.train_target)
    row = data.test.astype(np.float32)
    path = written(network, folder, "keras")
    fresh = classes_of(network, data.fresh.astype(np.float32))
    return Trained(path, data.csv(folder), TARGET, asked(network, row), fresh, {"labels": DIGITS})


def _regression(folder: Path) -> Trained:
    keras.utils.set_random_seed(SEED)
    data = real("diabetes")
    scaled = Data(data.names, data.train * 20, data.train_target, data.test * 20, data.test_target, data.fresh * 20)
    network = keras.Sequential(
        [keras.Input((10,), name="features"), layers.Dense(32, activation="tanh"), layers.Dense(1)]
    )
    trained(network, scaled.train, scaled.train_target, "mean_squared_error")
    row, fresh = scaled.test.astype(np.float32), scaled.fresh.astype(np.float32)
    answers = Fresh(fresh, numbers=answers_of(network, fresh))
    return Trained(written(network, folder, "keras"), scaled.csv(folder), TARGET, asked(network, row), answers)


class Halves(tf.Module):  # type: ignore[misc]
    """Two ways to ask one network: for scores as they are, and for probabilities."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    @tf.function(input_signature=[tf.TensorSpec((None, *PICTURE), tf.float32, name="image")])  # type: ignore[untyped-decorator]
    def probabilities(self, image: Any) -> Any:  # noqa: ANN401 - TensorFlow has no types
        """Of each digit."""
        return {"probabilities": self.network(image)}

    @tf.function(input_signature=[tf.TensorSpec((None, *PICTURE), tf.float32, name="image")])  # type: ignore[untyped-decorator]
    def surprise(self, image: Any) -> Any:  # noqa: ANN401
        """Their negative logarithms."""
        return {"surprise": -tf.math.log(self.network(image))}


def _two_signatures(folder: Path) -> Trained:
    keras.utils.set_random_seed(SEED)
    data = real("digits")
    network = trained(_convolutions(), images(data.train).reshape(-1, *PICTURE), data.train_target)
    module = Halves(network)
    path = folder / "saved"
    signatures = {"serving_default": module.surprise, "classify": module.probabilities}
    tf.saved_model.save(module, str(path), signatures=signatures)
    pictures = images(data.test).reshape(-1, *PICTURE)
    told = {"labels": DIGITS, "signature": "classify"}
    fresh = classes_of(network, images(data.fresh).reshape(-1, *PICTURE))
    return Trained(path, data.npz(folder, image=pictures), TARGET, asked(network, pictures), fresh, told)
