"""What publish advises for files that it does not take; where it can be, the advice is followed."""

from __future__ import annotations

from pathlib import Path

import joblib
import numpy as np
import onnx
import pytest
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

from models import tiny
from onnxlet.errors import RejectedModelError
from onnxlet.toolchain.prepare import prepare

ROWS = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
ESTIMATOR = LogisticRegression().fit(ROWS, ROWS[:, 0] > 0)


def test_a_scikit_learn_classifier_with_a_zipmap_can_be_published_as_advised(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(to_onnx(ESTIMATOR, ROWS[:1]).SerializeToString())
    with pytest.raises(RejectedModelError, match=r"is a sequence, .* options=\{'zipmap': False\}"):
        prepare(path, tmp_path / "work")

    path.write_bytes(to_onnx(ESTIMATOR, ROWS[:1], options={"zipmap": False}).SerializeToString())
    draft, _ = prepare(path, tmp_path / "work")

    assert [spec.name for spec in draft.signature.outputs] == ["label", "probabilities"]


@pytest.mark.parametrize(
    ("producer", "advice"),
    [
        ("OnnxMLTools", "convert the model with zipmap=False"),
        ("CatBoost", r"save_model\('model\.cbm'\), and `onnxlet ship` that"),
        ("another", "take the node ZipMap out, whose input 'probabilities' has the same probabilities"),
    ],
)
def test_the_advice_is_that_for_the_framework_which_made_the_file(tmp_path: Path, producer: str, advice: str) -> None:
    model = tiny.maps()
    model.producer_name = producer

    with pytest.raises(RejectedModelError, match=advice):
        prepare(tiny.save(model, tmp_path / "source")["model.onnx"], tmp_path / "work")


def test_a_sequence_that_no_zipmap_made_gets_other_advice(tmp_path: Path) -> None:
    model = tiny.identity()
    model.graph.node[0].op_type = "SequenceConstruct"
    kind = onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None)
    model.graph.output[0].CopyFrom(onnx.helper.make_value_info("y", onnx.helper.make_sequence_type_proto(kind)))

    with pytest.raises(RejectedModelError, match="with its parts as inputs and outputs of their own"):
        prepare(tiny.save(model, tmp_path / "source")["model.onnx"], tmp_path / "work")


def test_an_opset_that_the_runtime_does_not_know_any_more_is_named(tmp_path: Path) -> None:
    model = tiny.two_inputs()
    del model.opset_import[:]
    model.opset_import.append(onnx.helper.make_opsetid("", 6))

    with pytest.raises(RejectedModelError, match=r"Add\(6\).*uses opset 6, .* from 7: .* onnx\.version_converter"):
        prepare(tiny.save(model, tmp_path / "source")["model.onnx"], tmp_path / "work")


def test_a_joblib_is_to_be_shipped(tmp_path: Path) -> None:
    joblib.dump(ESTIMATOR, tmp_path / "model.joblib")

    with pytest.raises(RejectedModelError) as refused:
        prepare(tmp_path / "model.joblib", tmp_path / "work")

    assert refused.value.detail == (
        "'model.joblib' is no ONNX file: `onnxlet ship model.joblib NAME --data ROWS` converts models of other kinds "
        "and publishes them"
    )


@pytest.mark.parametrize("contents", [b"", b"tree\nversion=v4\n", b'{"learner": {}}', b"PK\x03\x04", b"\x80\x04\x95"])
def test_so_is_any_file_that_is_named_otherwise_whatever_protobuf_makes_of_it(tmp_path: Path, contents: bytes) -> None:
    (tmp_path / "model.bin").write_bytes(contents)

    with pytest.raises(RejectedModelError, match=r"`onnxlet ship model\.bin NAME --data ROWS`"):
        prepare(tmp_path / "model.bin", tmp_path / "work")
