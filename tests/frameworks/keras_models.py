"""Small Keras models, trained for moments, and TensorFlow itself, loaded as the toolchain loads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

import trained
from onnxlet.toolchain.workbench.tensorflow import load_tensorflow, silence_tensorflow

tf = load_tensorflow()

with silence_tensorflow():
    import keras

__all__ = ["digits", "digits_network", "keras", "saved", "tf", "two_inputs"]
ROUNDS = 12


def digits() -> tuple[trained.Array, trained.Array]:
    """Images of 8 x 8 with their one channel last, and the digits that they show."""
    bunch = load_digits()
    return (bunch.images[..., None] / 16).astype(np.float32), bunch.target


def digits_network() -> Any:
    """A convolutional network that reads most digits."""
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            keras.layers.Conv2D(8, 3, padding="same", activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    images, target = digits()
    with silence_tensorflow():
        network.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
        network.fit(images, target, batch_size=256, epochs=ROUNDS, verbose=0)
    return network


def two_inputs() -> Any:
    """A network of two inputs and two outputs, by names that are no words of Python."""
    keras.utils.set_random_seed(0)
    labs = keras.Input((4,), name="lab values")
    image = keras.Input((6, 6, 1), name="image")
    seen = keras.layers.Flatten()(keras.layers.Conv2D(2, 3, strides=2)(image))
    both = keras.layers.Concatenate()([keras.layers.Dense(5, activation="gelu")(labs), seen])
    risk = keras.layers.Dense(1, activation="sigmoid", name="risk")(both)
    stage = keras.layers.Dense(3, name="stage")(both)
    return keras.Model({"lab values": labs, "image": image}, {"risk": risk, "stage": stage})


def saved(network: Any, path: Path) -> Path:
    """The network in a `.keras` file, or, where the path has no ending, in a SavedModel directory."""
    with silence_tensorflow():
        if path.suffix:
            network.save(path)
        else:
            network.export(path, verbose=False)
    return path
