"""Operators that ONNX Runtime's optimizer makes of several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from onnxlet.toolchain.export.operators.arithmetic import gemm, scaled_product
from onnxlet.toolchain.export.operators.call import MICROSOFT, NodeCall, operator
from onnxlet.toolchain.export.operators.convolution import convolution


@operator("FusedMatMul", domain=MICROSOFT)
def fused_matmul(call: NodeCall) -> Any:
    """The product alpha * A @ B with either of them transposed."""
    if call.attribute("transBatchA", 0) or call.attribute("transBatchB", 0):
        raise call.refuse("transposes more than matrices, which is not translated")
    return scaled_product(call)


@operator("FusedGemm", domain=MICROSOFT)
def fused_gemm(call: NodeCall) -> Any:
    """Gemm and an activation."""
    parameters = [call.attribute(f"activation_{name}") for name in ("alpha", "beta")]
    return _activated(call, gemm(call), [value for value in parameters if value is not None])


@operator("FusedConv", domain=MICROSOFT)
def fused_convolution(call: NodeCall) -> Any:
    """Conv, a sum and an activation."""
    answer = convolution(call)
    if call.has(3):
        answer += call[3]
    return _activated(call, answer, call.attribute("activation_params", []))


_ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "": lambda x: x,
    "Clip": tf.clip_by_value,
    "HardSigmoid": lambda x, slope, offset: tf.clip_by_value(slope * x + offset, 0, 1),
    "LeakyRelu": tf.nn.leaky_relu,
    "Relu": tf.nn.relu,
    "Sigmoid": tf.sigmoid,
    "Tanh": tf.tanh,
}


def _activated(call: NodeCall, x: Any, parameters: list[float]) -> Any:
    activation = call.attribute("activation", "")
    if activation not in _ACTIVATIONS:
        raise call.refuse(f"ends with {activation!r}, which is not translated")
    return _ACTIVATIONS[activation](x, *parameters)


@operator("Gelu", "FastGelu", "BiasGelu", domain=MICROSOFT)
def biased_gelu(call: NodeCall) -> Any:
    """A sum, and its Gaussian error linear unit or an approximation of it."""
    x = call[0] + call[1] if call.has(1) else call[0]
    return tf.nn.gelu(x, approximate=call.node.op_type == "FastGelu")


@operator("QuickGelu", domain=MICROSOFT)
def quick_gelu(call: NodeCall) -> Any:
    """A number times a sigmoid of it."""
    return call[0] * tf.sigmoid(np.float32(call.attribute("alpha", 1.702)) * call[0])
