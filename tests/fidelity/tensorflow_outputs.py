"""Keras networks by what their outputs are: probabilities, labels by themselves, positions, numbers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
from keras import layers
from sklearn.preprocessing import StandardScaler

from fidelity.case import SEED, Case, Fresh, Trained
from fidelity.data import TARGET, Array, Data, images, real
from fidelity.tensorflow_training import EPOCHS, answers_of, asked, classes_of, one_or_other, trained, written

FRAMEWORK = "Keras"
BINARY = ("malignant", "benign")
FINDINGS = ("large", "rough", "benign")
DIGITS = tuple(map(str, range(10)))
LIGHT, DARK = 0.25, 0.6
"""Where a picture's pixels are of another class."""


def cases() -> Iterator[Case]:
    """All of them."""
    yield Case("average of two sigmoids, .keras", FRAMEWORK, "breast cancer", partial(_average, "keras"))
    yield Case("average of two sigmoids", "SavedModel", "breast cancer", partial(_average, "saved"))
    yield Case("three labels by themselves, in memory", FRAMEWORK, "breast cancer", _labels)
    yield Case("classes at each position, .keras", FRAMEWORK, "digits", partial(_positions, 3))
    yield Case("a mask, .keras", FRAMEWORK, "digits", partial(_positions, 1))
    yield Case("two numbers, in memory", FRAMEWORK, "digits", _forecast)
    yield Case("a picture and numbers, in memory", FRAMEWORK, "digits", _two_inputs)


def _scaled() -> Data:
    data = real("breast cancer")
    scaler = StandardScaler().fit(data.train)
    train, test, fresh = (scaler.transform(rows).astype(np.float32) for rows in (data.train, data.test, data.fresh))
    return Data(data.names, train, data.train_target, test, data.test_target, fresh)


def _average(kind: str, folder: Path) -> Trained:
    """Two heads, each with a sigmoid, and their mean."""
    keras.utils.set_random_seed(SEED)
    data = _scaled()
    features = keras.Input((30,), name="features")
    heads = [layers.Dense(1, activation="sigmoid")(features) for _ in range(2)]
    network = keras.Model(features, layers.Average(name="risk")(heads))
    trained(network, data.train, data.train_target, "binary_crossentropy")
    path, rows = written(network, folder, kind), data.npz(folder, features=data.test)
    return Trained(path, rows, TARGET, asked(network, data.test), one_or_other(network, data.fresh), {"labels": BINARY})


def _labels(folder: Path) -> Trained:  # noqa: ARG001 - nothing is saved
    keras.utils.set_random_seed(SEED)
    data = _scaled()

    def marks(rows: Array, benign: Array) -> Array:
        return np.stack([rows[:, 0] > 0, rows[:, 1] > 0.3, benign == 1], axis=1).astype(np.int64)

    network = keras.Sequential([keras.Input((30,), name="features"), layers.Dense(16), layers.Dense(3, "sigmoid")])
    trained(network, data.train, marks(data.train, data.train_target), "binary_crossentropy")
    shares = answers_of(network, data.fresh)
    fresh = Fresh(data.fresh, (shares > 0.5).astype(int), shares)
    told = {"labels": FINDINGS}
    return Trained(network, data.test, marks(data.test, data.test_target), asked(network, data.test), fresh, told)


def _positions(classes: int, folder: Path) -> Trained:
    """Which pixels are light, grey or dark, told from a picture with noise; or only whether they are dark."""
    keras.utils.set_random_seed(SEED)
    data = real("digits")
    random = np.random.default_rng(SEED)
    clear = [images(rows) for rows in (data.train, data.test, data.fresh)]
    train, test, fresh = ((each + random.normal(0, 0.1, each.shape)).astype(np.float32)[..., None] for each in clear)
    edges, ending, loss = ([LIGHT, DARK], "softmax", "sparse_categorical_crossentropy")
    if classes == 1:
        edges, ending, loss = [DARK], "sigmoid", "binary_crossentropy"
    truth, masks, _ = (np.digitize(each, edges) for each in clear)
    network = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.Conv2D(classes, 3, padding="same", activation=ending),
        ]
    )
    trained(network, train, truth if classes > 1 else truth[..., None], loss)
    held_out = Data(data.names, train, truth, test, masks, fresh)
    answers = Fresh(fresh, numbers=answers_of(network, fresh))
    path = written(network, folder, "keras")
    return Trained(path, held_out.npz(folder, image=test), TARGET, asked(network, test), answers)


def _forecast(folder: Path) -> Trained:  # noqa: ARG001 - nothing is saved
    """The ink of the last two lines of a picture, from those before."""
    keras.utils.set_random_seed(SEED)
    pictures = [images(rows) for rows in _parts(real("digits"))]
    train, test, fresh = (each[:, :6] for each in pictures)
    ink = [each[:, 6:].sum(axis=2) for each in pictures]
    network = keras.Sequential([keras.Input((6, 8), name="lines"), layers.GRU(32), layers.Dense(2)])
    trained(network, train, ink[0], "mean_squared_error")
    answers = Fresh(fresh, numbers=answers_of(network, fresh))
    return Trained(network, test, ink[1], asked(network, test), answers)


def _two_inputs(folder: Path) -> Trained:  # noqa: ARG001 - nothing is saved
    keras.utils.set_random_seed(SEED)
    data = real("digits")

    def both(rows: Array) -> dict[str, Array]:
        picture = images(rows)
        return {"image": picture[..., None], "numbers": picture.mean(axis=2)}

    train, test, fresh = map(both, _parts(data))
    inputs = [keras.Input((8, 8, 1), name="image"), keras.Input((8,), name="numbers")]
    maps = layers.Flatten()(layers.Conv2D(8, 3, activation="relu")(inputs[0]))
    scores = layers.Dense(10, activation="softmax")(layers.Concatenate()([maps, inputs[1]]))
    network = keras.Model(inputs, scores)
    network.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    network.fit(train, data.train_target, batch_size=64, epochs=EPOCHS, verbose=0)
    row = {name: each[:1] for name, each in test.items()}
    told = {"labels": DIGITS}
    alone = partial(network.predict, row, verbose=0)
    return Trained(network, test, data.test_target, alone, classes_of(network, fresh), told)


def _parts(data: Data) -> tuple[Array, Array, Array]:
    return data.train, data.test, data.fresh
