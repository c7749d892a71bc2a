"""Training Keras networks a while, asking and writing them."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
import tensorflow as tf

from fidelity.case import Fresh
from fidelity.data import Array

EPOCHS = 15
Network = Any


def trained(network: Network, inputs: Array, target: Array, loss: str = "sparse_categorical_crossentropy") -> Network:
    """The network, trained a while."""
    network.compile(optimizer=keras.optimizers.Adam(3e-3), loss=loss)
    network.fit(inputs, target, batch_size=64, epochs=EPOCHS, verbose=0)
    return network


def asked(network: Network, inputs: Array) -> Callable[[], object]:
    """As fast as TensorFlow answers: a traced function, called with a tensor."""
    traced = tf.function(lambda row: network(row, training=False))
    return partial(traced, tf.constant(inputs[:1]))


def answers_of(network: Network, inputs: Any) -> Array:  # noqa: ANN401 - an array, or some by name
    """The network's own predict."""
    answers: Array = network.predict(inputs, verbose=0)
    return answers


def classes_of(network: Network, inputs: Any) -> Fresh:  # noqa: ANN401 - an array, or some by name
    """Fresh rows, to which the network answers with probabilities of classes."""
    shares = answers_of(network, inputs)
    return Fresh(inputs, shares.argmax(axis=1), shares)


def one_or_other(network: Network, inputs: Array) -> Fresh:
    """Fresh rows, to which the network answers with the probability of the second of two classes."""
    share = answers_of(network, inputs).ravel()
    return Fresh(inputs, (share > 0.5).astype(int), np.stack([1 - share, share], axis=1))


def written(network: Network, folder: Path, kind: str) -> Path:
    """A .keras file, or a SavedModel."""
    if kind == "keras":
        path = folder / "model.keras"
        network.save(path)
        return path
    path = folder / "saved"
    network.export(path, verbose=False)
    return path
