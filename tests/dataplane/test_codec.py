"""JSON to tensors and back: the fast reading and the exact one must agree, and nothing may be lost between them."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from onnxlet.dataplane.codec.decoding import decode_tensor, list_matrix, lists_in
from onnxlet.dataplane.codec.documents import UncertainError, brackets, parse_exact, parse_fast, place_in
from onnxlet.dataplane.codec.encoding import encode_records, encode_rows, encode_tensor
from onnxlet.dataplane.protocols.tensorflow_serving.body import write_answer
from onnxlet.errors import InvalidInputError
from onnxlet.values.datatypes import DATATYPES
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import Tensor

NUMERIC = [name for name, datatype in DATATYPES.items() if datatype.kind != "s"]


def exactly(body: bytes, datatype: str, *shape: int) -> Tensor:
    """The exact reading of a whole body as one tensor."""
    return decode_tensor(parse_exact(body), TensorSpec("x", datatype, shape), place_in("x"), exact=True)


def quickly(body: bytes, datatype: str, *shape: int) -> Tensor | None:
    """The fast reading of a whole body as one tensor, or None where it will not vouch for it."""
    document = parse_fast(body)
    if document is None:
        return None
    try:
        tensor = decode_tensor(document, TensorSpec("x", datatype, shape), place_in("x"), exact=False)
    except InvalidInputError:
        return None
    return tensor if lists_in(tensor.shape) == brackets(body) else None


def assert_readings_agree(body: bytes, datatype: str) -> None:
    """Whatever the fast reading vouches for is what the exact one reads."""
    fast = quickly(body, datatype)
    if fast is not None:
        exact = exactly(body, datatype)
        assert fast.dtype == exact.dtype
        assert fast.shape == exact.shape
        assert fast.tolist() == exact.tolist()


@st.composite
def tensors(draw: st.DrawFn) -> tuple[str, Tensor]:
    """A tensor of any numeric datatype, with its datatype's name."""
    name = draw(st.sampled_from(NUMERIC))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    return name, draw(hnp.arrays(DATATYPES[name].numpy, shape))


@given(tensors())
def test_what_is_written_is_read_again_to_the_last_bit(case: tuple[str, Tensor]) -> None:
    name, tensor = case
    written = encode_tensor(tensor)
    read = exactly(written, name)
    # an empty dimension hides those below it
    if tensor.size:
        assert read.shape == tensor.shape
        np.testing.assert_array_equal(read, tensor)
        assert np.array_equal(np.signbit(read), np.signbit(tensor)) or np.isnan(tensor.astype(float)).any()
    assert_readings_agree(written, name)


@given(hnp.arrays(np.float32, st.integers(1, 50), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_floats_are_written_as_the_shortest_decimals_of_their_width(tensor: Tensor) -> None:
    for text, number in zip(encode_rows(tensor), tensor, strict=True):
        assert np.float32(text.decode()) == number
        assert len(text) <= len(repr(float(number))) + len(".0")
        assert b"." in text or b"e" in text


def test_floats_look_as_tensorflow_serving_writes_them() -> None:
    tensor = np.array([0.1, 1, -0.0, np.nan, np.inf, -np.inf, 1e-9], np.float32)
    assert encode_tensor(tensor) == b"[0.1,1.0,-0.0,NaN,Infinity,-Infinity,1e-9]"
    assert encode_tensor(np.array(0.1)) == b"0.1"
    assert encode_tensor(np.array([[np.nan], [2]], np.float16)) == b"[[NaN],[2.0]]"
    assert encode_rows(np.array([[np.nan, 1], [2, np.inf]])) == [b"[NaN,1.0]", b"[2.0,Infinity]"]


def test_other_kinds_look_as_json_has_them() -> None:
    assert encode_tensor(np.array([True, False])) == b"[true,false]"
    assert encode_tensor(np.array([2**64 - 1], np.uint64)) == b"[18446744073709551615]"
    assert encode_tensor(np.array(["é", 'a"b'], object)) == '["é","a\\"b"]'.encode()
    assert encode_tensor(np.array(["é"], object), binary=True) == b'[{"b64":"w6k="}]'
    assert encode_tensor(np.asfortranarray(np.arange(4.0).reshape(2, 2))) == b"[[0.0,1.0],[2.0,3.0]]"


ROWS = st.integers(1, 5).flatmap(
    lambda rows: st.tuples(
        hnp.arrays(np.float32, (rows,)),
        hnp.arrays(np.float64, (rows, 3)),
        hnp.arrays(np.int64, (rows, 1, 2)),
        hnp.arrays(object, (rows,), elements=st.text(max_size=5)),
        hnp.arrays(object, (rows, 2), elements=st.text(max_size=5)),
    )
)


@given(ROWS)
def test_rows_and_records_say_what_whole_tensors_say(columns: tuple[Tensor, ...]) -> None:
    named = {str(number): column for number, column in enumerate(columns)}
    whole = {name: json.loads(encode_tensor(column)) for name, column in named.items()}
    records = encode_records({name: encode_rows(column) for name, column in named.items()})
    expected = [{name: column[row] for name, column in whole.items()} for row in range(len(columns[0]))]
    np.testing.assert_equal(json.loads(records), expected)
    first = {name: column[:1] for name, column in named.items() if name != "4"}
    predictions = [{name: whole[name][0] for name in first}] if expected else []
    np.testing.assert_equal(json.loads(write_answer(first, rows=True)), {"predictions": predictions})


def test_no_rows_are_an_empty_list() -> None:
    assert encode_records({"a": encode_rows(np.empty((0, 2)))}) == b"[]"


NASTY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from(["", "[", "1", "NaN", {"b64": "AA=="}, {"b64": "AA==", "x": 1}]),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)


@given(NASTY, st.sampled_from(sorted(DATATYPES)))
def test_the_fast_reading_never_vouches_for_what_the_exact_one_refuses(
    value: Any,  # noqa: ANN401 - any JSON
    datatype: str,
) -> None:
    assert_readings_agree(json.dumps(value).encode(), datatype)


@pytest.mark.parametrize(
    "body",
    [
        "[[1, 2], [[3], 4]]",
        "[[1, 2], [3, [4]]]",
        "[[1, 2], [3, [4, 5]]]",
        "[[1, 2], [3, []]]",
        "[[[1, 2]], [3, 4]]",
        "[[1], [2, 3]]",
        "[[1, 2], 3]",
        "[1, [2]]",
        "[[], [1]]",
        "[1, true]",
        "[1, null]",
        '[1, "2"]',
        "[1, {}]",
        "[[1], {}]",
    ],
)
def test_both_readings_refuse_ragged_and_mixed_lists(body: str) -> None:
    assert quickly(body.encode(), "FP32") is None
    with pytest.raises(InvalidInputError):
        exactly(body.encode(), "FP32")


ODD = st.none() | st.text(max_size=2) | st.lists(st.integers(), max_size=2) | st.floats(min_value=3e38)
NUMBER = (
    st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False, width=32) | st.floats(-1, 1)
)


@given(st.integers(1, 3).flatmap(lambda width: st.lists(st.lists(NUMBER, min_size=width, max_size=width), max_size=3)))
def test_small_matrices_are_read_to_the_last_bit(rows: list[list[float]]) -> None:
    body = json.dumps(rows).encode()
    read = list_matrix(orjson.loads(body), TensorSpec("x", "FP32", (-1, len(rows[0]) if rows else 1)))
    if read is None:
        assert not rows
    else:
        assert read.tobytes() == exactly(body, "FP32").tobytes()


@pytest.mark.parametrize("number", [1e39, -1e39, 1e308, 3.4028235677973366e38, 10**39])
def test_small_matrices_hold_no_number_beyond_their_type(number: float) -> None:
    assert list_matrix([[0, number]], TensorSpec("x", "FP32", (-1, 2))) is None


@given(st.lists(st.lists(NUMBER | ODD, max_size=3) | ODD, max_size=3))
def test_small_matrices_are_left_alone_if_the_exact_reading_refuses_them(rows: list[object]) -> None:
    read = list_matrix(json.loads(json.dumps(rows)), TensorSpec("x", "FP32", (-1, 2)))
    if read is not None:
        assert read.tobytes() == exactly(json.dumps(rows).encode(), "FP32", -1, 2).tobytes()


def test_errors_say_where() -> None:
    for body, said in {
        "[[1, 2], [3]]": r"ragged: x\[1\] must be a list of 2 like those before it, not one of 1",
        "[[1, 2], 3]": r"ragged: x\[1\] must be a list of 2 like those before it, not an integer",
        "[[1, 2], [3, true]]": r"x\[1\]\[1\] must be a number, not true or false",
        "[1, 1e39]": r"x\[1\] is beyond FP32",
    }.items():
        with pytest.raises(InvalidInputError, match=said):
            exactly(body.encode(), "FP32")
    for datatype, body, said in (
        ("INT8", "[1, 128]", r"x\[1\] is beyond INT8"),
        ("UINT8", "[-1]", r"x\[0\] is beyond UINT8"),
        ("INT64", "[9223372036854775808]", "beyond INT64$"),
        ("FP16", "[65520]", "beyond FP16$"),
        ("FP64", "[1" + "0" * 400 + "]", "beyond FP64$"),
        ("INT32", "[1.0]", "must be an integer, not a decimal number"),
        ("BOOL", "[1]", "must be true or false, not an integer"),
        ("BYTES", "[1]", 'must be a string or {"b64": …}, not an integer'),
    ):
        assert quickly(body.encode(), datatype) is None
        with pytest.raises(InvalidInputError, match=said):
            exactly(body.encode(), datatype)


def test_integers_of_64_bits_are_exact() -> None:
    for datatype, number in (("INT64", 2**63 - 1), ("INT64", -(2**63)), ("INT64", 2**53 + 1), ("UINT64", 2**64 - 1)):
        body = f"[{number}, 1]".encode()
        fast = quickly(body, datatype)
        assert fast is not None
        assert fast.tolist() == exactly(body, datatype).tolist() == [number, 1]


def test_nan_and_infinity_are_read_and_numbers_out_of_range_are_not() -> None:
    tensor = exactly(b"[NaN, Infinity, -Infinity, 1]", "FP32")
    assert math.isnan(tensor[0])
    assert tensor[1:].tolist() == [math.inf, -math.inf, 1.0]
    with pytest.raises(InvalidInputError, match="a number is out of range"):
        exactly(b"[1e400]", "FP64")


def test_bytes_after_the_first_document_are_ignored() -> None:
    assert exactly(b"\xef\xbb\xbf [1]] trailing", "INT8").tolist() == [1]


def test_nesting_bombs_are_refused_by_both_readings() -> None:
    for bomb in (b"[" * 60_000, b"[" * 60_000 + b"]" * 60_000, b'{"a":' * 100_000):
        assert parse_fast(bomb) is None
        with pytest.raises(InvalidInputError, match="nested too deeply"):
            parse_exact(bomb)
    deep = b"[" * 60 + b"1" + b"]" * 60
    assert quickly(deep, "FP32") is None
    with pytest.raises(InvalidInputError, match="nested more than 32 levels deep"):
        exactly(deep, "FP32")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "the body is not JSON: expecting value at character 0"),
        (b"{", "not JSON"),
        (b"\xff[1]", "not UTF-8"),
        (b"[1" + b"0" * 5000 + b"]", "number that cannot be read: it has too many digits"),
    ],
)
def test_what_is_no_json_is_said_to_be_none(body: bytes, said: str) -> None:
    assert parse_fast(body) is None
    with pytest.raises(InvalidInputError, match=said):
        parse_exact(body)


def test_strings_are_text_or_base64_of_text() -> None:
    body = b'["a", {"b64": "w6k="}, {"b64": " w6k "}]'
    assert quickly(body, "BYTES") is None
    assert exactly(body, "BYTES").tolist() == ["a", "é", "é"]
    plain = quickly(b'[["a", "b"]]', "BYTES")
    assert plain is not None
    assert plain.tolist() == [["a", "b"]]
    for wrong, said in (
        (b'[{"b64": "_w=="}]', "not base64"),
        (b'[{"b64": "/w=="}]', "not UTF-8: strings in ONNX are text"),
        (b'[{"b64": 1}]', "must have one member"),
        (b'[{"b64": "AA==", "c": 1}]', "must have one member"),
        (b'[{"b64": "AA==", "b64": "AA=="}]', "the key 'b64' appears twice"),
        (b'["\\ud800"]', "half of a surrogate pair"),
    ):
        assert quickly(wrong, "BYTES") is None
        with pytest.raises(InvalidInputError, match=said):
            exactly(wrong, "BYTES")


def test_shapes_must_fit_the_signature() -> None:
    for body in (b"[[1, 2]]", b"[1, 2, 3]", b"[[[1, 2, 3]]]", b"1"):
        with pytest.raises(InvalidInputError, match=r"input 'x' takes shape \[-1, 3\], not \["):
            exactly(body, "FP32", -1, 3)
    assert exactly(b"[[1, 2, 3]]", "FP32", 1, 3).shape == (1, 3)
    assert exactly(b"[]", "FP32", -1).shape == (0,)


def test_large_numbers_in_long_lists_are_found() -> None:
    for length in (10, 9000):
        numbers = [0.5] * length
        assert quickly(json.dumps(numbers).encode(), "FP32") is not None
        numbers[length // 2] = 1e30
        assert quickly(json.dumps(numbers).encode(), "FP32") is not None
        numbers[length // 2] = 1e39
        assert quickly(json.dumps(numbers).encode(), "FP32") is None


def test_a_parser_in_use_is_replaced() -> None:
    first = parse_fast(b'{"a": [1]}')
    second, third = parse_fast(b"[2]"), parse_fast(b"[3]")
    assert first is not None
    assert second is not None
    assert third is not None
    assert (first["a"][0], second[0], third[0]) == (1, 2, 3)


def test_uncertainty_is_an_invalid_input_to_whoever_does_not_know_it() -> None:
    assert issubclass(UncertainError, InvalidInputError)
