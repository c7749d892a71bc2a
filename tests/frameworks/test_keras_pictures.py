"""Keras' ways to scale pictures, as the step says them, and a network of Keras that takes pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import trained
from onnxlet.steps.image import Image
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.convert.networks.pictures import make_image_step, read_pictures
from pictures import picture, read, written

pytestmark = pytest.mark.tensorflow
MODES: dict[str, dict[str, Any]] = {
    "tf": {"scale": 0.00784313725490196, "mean": [1.0, 1.0, 1.0]},
    "torch": {"scale": 0.00392156862745098, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
    "caffe": {"color": "BGR", "mean": [103.939, 116.779, 123.68]},
}


@pytest.mark.parametrize("mode", MODES)
def test_the_modes_of_preprocess_input_are_steps(tmp_path: Path, mode: str) -> None:
    (tmp_path / "film.png").write_bytes(written(picture(40, 30)))
    step = make_image_step({"resize": {"exact": [30, 40]}, "layout": "NHWC", **MODES[mode]}, ["pixels"])

    made = read_pictures(step, [tmp_path / "film.png"])["pixels"]

    levels = np.asarray(picture(40, 30)).astype(np.float32)[None]
    expected = keras.applications.imagenet_utils.preprocess_input(levels, mode=mode)
    np.testing.assert_allclose(made, expected, rtol=1e-5, atol=1e-5)


def test_a_network_of_keras_takes_pictures(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    files = [tmp_path / f"{index}.png" for index in range(12)]
    for index, file in enumerate(files):
        file.write_bytes(written(picture(30, 20, seed=index)))
    small = np.stack([np.asarray(read(file.read_bytes()).resize((16, 16), 2)) for file in files])
    expected = network.predict(small.astype(np.float32) / np.float32(127.5) - 1, verbose=0)
    labels = [("normal", "opacity")[index] for index in expected.argmax(axis=1)]
    rows = [[file.name, label] for file, label in zip(files, labels, strict=True)]

    draft = convert(
        network,
        tmp_path / "out",
        data=trained.write_csv(tmp_path / "films.csv", ["image", "finding"], rows),
        target="finding",
        labels=("normal", "opacity"),
        image={"resize": {"exact": [16, 16]}, "layout": "NHWC", **MODES["tf"]},
    )

    assert draft.evaluations[-1].metrics["accuracy"] == 1
    assert isinstance(draft.steps[0], dict)
    assert draft.steps[0]["kind"] == Image.__struct_config__.tag
