"""Golden cases: what is kept exactly, and which differences count."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from models import tiny
from onnxlet.errors import GoldenMismatchError, IntegrityError, InvalidInputError
from onnxlet.serving.cancellation import Cancellation
from onnxlet.serving.engine import load_engine
from onnxlet.serving.golden import GoldenCase, architecture, check, decode_cases, encode_cases, tolerance_here
from onnxlet.values.datatypes import DATATYPES
from onnxlet.values.manifest import Golden, Tolerance
from onnxlet.values.signature import Signature
from onnxlet.values.tensors import Tensor, Tensors

numbers = st.sampled_from([datatype.numpy for datatype in DATATYPES.values() if datatype.kind != "s"]).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0))
)
words = st.lists(st.text()).map(lambda texts: np.array(texts, dtype=object))


class Echo:
    """An engine that answers with its inputs, late."""

    signature = Signature(inputs=(), outputs=())
    nbytes = 0
    threads = 1
    run_deadline = 1.0

    def __init__(self, seconds: float = 0.0) -> None:
        self.runs = 0
        self._seconds = seconds

    def run(
        self,
        inputs: Tensors,
        outputs: Sequence[str] | None = None,
        due: float | None = None,  # noqa: ARG002 - the port's
        cancellation: Cancellation | None = None,  # noqa: ARG002 - the port's
    ) -> Tensors:
        self.runs += 1
        time.sleep(self._seconds)
        return {name: inputs[name] for name in outputs or inputs}

    def close(self) -> None:
        """Nothing to let go."""


def compare(got: Tensor, expected: Tensor, tolerance: Tolerance | None = None) -> None:
    check(Echo(), [GoldenCase({"y": got}, {"y": expected})], tolerance or Tolerance())


def floats(*values: float) -> Tensor:
    return np.array(values, np.float32)


@given(st.dictionaries(st.text(), numbers | words, max_size=3), st.dictionaries(st.text(), numbers, max_size=2))
def test_cases_come_back_bit_for_bit(inputs: Tensors, outputs: Tensors) -> None:
    (back,) = decode_cases(encode_cases([GoldenCase(inputs, outputs)]))
    for sent, got in ((inputs, back.inputs), (outputs, back.outputs)):
        assert got.keys() == sent.keys()
        for name, tensor in sent.items():
            assert (got[name].dtype, got[name].shape) == (tensor.dtype, tensor.shape)
            same = (
                got[name].tolist() == tensor.tolist()
                if tensor.dtype == object
                else got[name].tobytes() == tensor.tobytes()
            )
            assert same


@given(numbers)
def test_every_tensor_equals_itself(tensor: Tensor) -> None:
    compare(tensor, tensor.copy())


@pytest.mark.parametrize("data", [b"", b"[]", b'{"cases": [{"inputs": {}}]}', b"\xff"])
def test_anything_else_is_no_golden_cases(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="not golden cases"):
        decode_cases(data)


@pytest.mark.parametrize("part", ['"shape": [3]', '"datatype": "FP99"', '"data": "AAA="'])
def test_tensors_whose_bytes_do_not_fit_are_no_golden_cases(part: str) -> None:
    tensor = '{"datatype": "FP32", "shape": [1], "data": "AAAAAA==", ' + part + "}"
    with pytest.raises(IntegrityError):
        decode_cases(f'{{"cases": [{{"inputs": {{"x": {tensor}}}, "outputs": {{}}}}]}}'.encode())


def test_more_than_four_cases_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="at most 4"):
        encode_cases([GoldenCase({}, {})] * 5)


def test_tensors_without_a_datatype_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="complex64"):
        encode_cases([GoldenCase({"x": np.zeros(1, np.complex64)}, {})])


def test_floats_may_differ_by_the_tolerance() -> None:
    compare(floats(1.0009, 0.0), floats(1.0, 0.00005))
    with pytest.raises(
        GoldenMismatchError, match=r"golden case 1 of 1: output 'y' has 1 of 2 elements .* by up to 0\.01"
    ):
        compare(floats(1.01, 0.0), floats(1.0, 0.0))
    with pytest.raises(GoldenMismatchError):
        compare(floats(1.0009), floats(1.0), Tolerance(absolute=0, relative=0))


def test_no_number_equals_no_number_and_nothing_else() -> None:
    compare(floats(np.nan, np.inf, -np.inf), floats(np.nan, np.inf, -np.inf))
    for wrong in (0.0, np.inf):
        with pytest.raises(GoldenMismatchError):
            compare(floats(wrong), floats(np.nan))
    for wrong in (3e38, -np.inf, np.nan):
        with pytest.raises(GoldenMismatchError):
            compare(floats(wrong), floats(np.inf))


def test_labels_and_integers_must_be_equal() -> None:
    compare(np.array(["benign"], dtype=object), np.array(["benign"], dtype=object))
    with pytest.raises(GoldenMismatchError, match="1 of 2 elements wrong"):
        compare(np.array([2**53, 1]), np.array([2**53 + 1, 1]))
    with pytest.raises(GoldenMismatchError, match="1 of 1 elements wrong"):
        compare(np.array(["benign"], dtype=object), np.array(["malignant"], dtype=object))


def test_shapes_and_datatypes_must_be_equal() -> None:
    with pytest.raises(GoldenMismatchError, match="is expected"):
        compare(floats(1.0), floats(1.0, 1.0))
    with pytest.raises(GoldenMismatchError, match="is expected"):
        compare(np.array([1.0]), floats(1.0))


def test_a_mismatch_never_tells_a_value() -> None:
    with pytest.raises(GoldenMismatchError) as caught:
        compare(np.array(["Smith"], dtype=object), np.array(["Jones"], dtype=object))
    assert "Smith" not in caught.value.detail
    assert "Jones" not in caught.value.detail


def test_no_case_is_started_after_50_ms() -> None:
    case = GoldenCase({"y": floats(1.0)}, {"y": floats(1.0)})
    slow = Echo(0.06)
    check(slow, [case] * 4, Tolerance())
    assert slow.runs == 1


def test_a_case_that_does_not_run_is_a_mismatch(tmp_path: Path) -> None:
    files = tiny.save(tiny.endless(), tmp_path)
    engine = load_engine(files["model.onnx"], threads=1, optimized=False, run_deadline=0.1)
    for inputs in ({"x": floats(1.0)}, {"z": floats(1.0)}):
        with pytest.raises(GoldenMismatchError, match="golden case 1 of 1 does not run"):
            check(engine, [GoldenCase(inputs, {"y": floats(1.0)})], Tolerance())


def test_the_tolerance_is_this_architectures_and_the_declared_one_elsewhere() -> None:
    narrow, wide, declared = Tolerance(1e-6, 1e-6), Tolerance(1.0, 1.0), Tolerance()
    here = architecture()
    other = "arm64" if here == "x86-64" else "x86-64"

    assert tolerance_here(Golden("golden.json", "random", 1, declared, {here: narrow, other: wide})) == narrow
    assert tolerance_here(Golden("golden.json", "random", 1, declared, {other: wide})) == declared


def test_golden_cases_published_before_architectures_were_told_apart_still_read() -> None:
    golden = msgspec.json.decode(b'{"path":"golden.json","source":"random","cases":1}', type=Golden)

    assert tolerance_here(golden) == Tolerance()
