"""Operators in TensorFlow against the conformance cases that the onnx package brings; what is refused is listed."""

from __future__ import annotations

import re
import warnings
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from frameworks.keras_models import tf
from onnxlet.errors import ConversionError

# after TensorFlow was loaded
from onnxlet.toolchain.export.operators import OPERATORS  # isort: skip
from onnxlet.toolchain.export.translation import Translation  # isort: skip

pytestmark = pytest.mark.tensorflow

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its makers divide by zero on purpose
    from onnx.backend.test.case.node import collect_testcases

    CASES: list[Any] = collect_testcases(None)

LEFT_OUT = re.compile(
    # functions spelled out in other operators, each once more; half precision, which rounds otherwise
    r"_expanded|bf16|bfloat16|float16|fp16"
    # types that nothing is served in
    r"|FLOAT16|FLOAT8|FLOAT4|U?INT[24]|_e[45]m[23]|_u?int[24]$|_float[48]|FLOAT_TO_STRING|STRING_TO_FLOAT"
    # ONNX Runtime rounds the new size before it places pixels
    r"|resize_downsample_scales_(linear|cubic)_align_corners"
)
REFUSED = re.compile(
    r"""test_(
    ai_onnx_ml_tree_ensemble_set_membership         # splits by membership
    |averagepool_3d_dilations_large.*               # strides and dilations at once
    |maxpool_3d_dilations_use_ref_impl_large
    |maxpool_2d_ceil_output_size_reduce_by_one      # strides beyond the window
    |maxpool_with_argmax.*
    |batchnorm_.*_training_mode|training_dropout.*  # not for answering
    |convtranspose_(dilations|output_shape)
    |(gru|lstm)_batchwise|lstm_with_peepholes
    |resize_.*(cubic|antialias|tf_crop_and_resize|not_larger|not_smaller|half_pixel_symmetric).*
    |scatternd_multiply|scatter_elements_.*mul.*
    )""",
    re.VERBOSE,
)


_SIZED = ("AveragePool", "Conv", "GRU", "LSTM", "MaxPool", "Pad", "Reshape", "Resize", "ScatterElements")
"""Operators that look at sizes."""
FIXED = re.compile("test_constant_pad_(negative_)?axes")
"""Axes are no data."""


def _by_operator() -> dict[str, list[Any]]:
    """The cases of operators that are translated, by the operator that they are about."""
    cases_by_operator = defaultdict(list)
    for case in CASES:
        nodes = case.model.graph.node
        known = all((node.domain, node.op_type) in OPERATORS for node in nodes)
        values = [*case.model.graph.input, *case.model.graph.output]
        data = [value for side in case.data_sets[0] for value in side]
        tensors = all(value.type.HasField("tensor_type") for value in values) and all(
            isinstance(value, np.ndarray | np.generic) for value in data
        )
        if known and tensors and not LEFT_OUT.search(case.name):
            cases_by_operator[nodes[0].op_type].append(case)
    return cases_by_operator


BY_OPERATOR = _by_operator()


def test_most_operators_have_cases() -> None:
    assert len(BY_OPERATOR) > 130
    assert sum(map(len, BY_OPERATOR.values())) > 750


@pytest.mark.parametrize("operator", sorted(BY_OPERATOR))
def test_an_operator_does_what_onnx_says(operator: str) -> None:
    for case in BY_OPERATOR[operator]:
        inputs, expected = case.data_sets[0]
        if REFUSED.fullmatch(case.name):
            with pytest.raises(ConversionError, match=case.model.graph.node[0].op_type):
                computed(case, inputs)
            continue
        for name, got, wanted in zip(case.model.graph.output, computed(case, inputs), expected, strict=True):
            assert same(got, np.asarray(wanted)), f"{case.name}: {name.name}"


@pytest.mark.parametrize("operator", _SIZED)
def test_it_does_so_where_sizes_are_known_with_the_data_alone(operator: str) -> None:
    for case in BY_OPERATOR[operator]:
        inputs, expected = case.data_sets[0]
        if REFUSED.fullmatch(case.name) or FIXED.fullmatch(case.name):
            continue
        for got, wanted in zip(computed(case, inputs, sizes_known=False), expected, strict=True):
            assert same(got, np.asarray(wanted)), case.name


def computed(case: Any, inputs: Sequence[Any], *, sizes_known: bool = True) -> list[Any]:
    """What TensorFlow answers, where it may look at the inputs while it translates, or only at how many dimensions the
    first has and how large the others are.
    """
    tensors_by_name = {
        value.name: tf.constant(np.char.encode(np.asarray(tensor, str)) if is_text(tensor) else tensor)
        for value, tensor in zip(case.model.graph.input, inputs, strict=True)
    }
    translate = Translation(case.model)
    if not sizes_known:
        specs = {
            name: tf.TensorSpec(tensor.shape if number else [None] * tensor.shape.rank, tensor.dtype, name=f"x{number}")
            for number, (name, tensor) in enumerate(tensors_by_name.items())
        }
        translate = tf.function(translate, input_signature=[specs])
    answers = translate(tensors_by_name)
    return [answers[value.name].numpy() for value in case.model.graph.output]


def same(got: Any, wanted: Any) -> bool:
    if is_text(wanted):
        return [text.decode() for text in got.ravel()] == [str(text) for text in wanted.ravel()]
    return (got.shape, got.dtype) == (wanted.shape, wanted.dtype) and np.allclose(
        got, wanted, rtol=1e-3, atol=1e-5, equal_nan=True
    )


def is_text(tensor: Any) -> bool:
    return np.asarray(tensor).dtype.kind in "OSU"
