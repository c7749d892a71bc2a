"""Keras models in memory: converted as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drafts import classification_of
from frameworks.keras_models import digits, digits_network, keras
from onnxlet.errors import ConversionError
from onnxlet.serving.engine import load_engine
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.workbench.tensorflow import silence_tensorflow
from onnxlet.values.manifest import ReferenceOrigin

pytestmark = pytest.mark.tensorflow


def test_a_model_answers_as_its_own_predict_does(tmp_path: Path) -> None:
    network = digits_network()
    images, shown = digits()

    labels = [str(digit) for digit in range(10)]
    draft = convert(network, tmp_path / "out", data=images[:300], target=shown[:300], labels=labels)

    assert draft.reference == ReferenceOrigin("object", "Keras", keras.__version__)
    assert draft.evaluations[-1].metrics["label_agreement"] == 1
    fresh = images[300:800]
    with silence_tensorflow():
        expected = network.predict(fresh, verbose=0)
    engine = load_engine(tmp_path / "out/model.onnx", threads=1, optimized=False, run_deadline=30)
    answers = engine.run({"image": fresh})
    assert answers["label"].tolist() == expected.argmax(axis=1).tolist()
    probabilities = classification_of(draft).probabilities
    assert probabilities is not None
    np.testing.assert_allclose(answers[probabilities], expected, atol=1e-6)


def test_a_model_that_only_its_code_describes_is_refused(tmp_path: Path) -> None:
    class Doubling(keras.Model):  # type: ignore[misc]
        def call(self, numbers):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
            return numbers * 2

    with pytest.raises(ConversionError, match="the model is a Doubling, whose code alone says what it takes"):
        convert(Doubling(), tmp_path / "out")
