"""Shapes: what transformers of numbers declare that they give."""

from __future__ import annotations

from typing import Any


def declare_columns(operator: Any) -> None:
    """Declare as many columns of floats as the transformer names; doubles where it gets some."""
    from skl2onnx.common.data_types import guess_tensor_type

    width = len(operator.raw_operator.get_feature_names_out())
    kind = type(guess_tensor_type(operator.inputs[0].type))
    operator.outputs[0].type = kind([operator.inputs[0].get_first_dimension(), width])
