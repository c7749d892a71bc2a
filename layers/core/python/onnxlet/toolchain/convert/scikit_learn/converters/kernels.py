"""Kernels between rows and those that were learned, in double precision: KernelRidge, Nystroem, and RBFSampler."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert.scikit_learn.nodes import Nodes
from onnxlet.values.tensors import Tensor

KNOWN = ("linear", "poly", "polynomial", "rbf", "sigmoid", "cosine")
_DEFAULTS = {"degree": 3.0, "coef0": 1.0}


def declare_ridge(operator: Any) -> None:
    """Declare a column for each target."""
    from skl2onnx.common.data_types import guess_tensor_type

    targets = 1 if operator.raw_operator.dual_coef_.ndim == 1 else operator.raw_operator.dual_coef_.shape[1]
    kind = type(guess_tensor_type(operator.inputs[0].type))
    operator.outputs[0].type = kind([operator.inputs[0].get_first_dimension(), targets])


def convert_ridge(scope: Any, operator: Any, container: Any) -> None:
    """Write kernel ridge regression. Raises ConversionError for a kernel that is not known."""
    ridge, nodes = operator.raw_operator, Nodes(scope, container)
    weights = ridge.dual_coef_.reshape(len(ridge.dual_coef_), -1)
    kernel = _kernel(nodes, nodes.rows(operator), ridge, ridge.X_fit_)
    nodes.write_rows(nodes.add("MatMul", kernel, nodes.doubles(weights)), operator.outputs[0])


def convert_nystroem(scope: Any, operator: Any, container: Any) -> None:
    """Write features of kernels with the components. Raises ConversionError for a kernel that is not known."""
    nystroem, nodes = operator.raw_operator, Nodes(scope, container)
    kernel = _kernel(nodes, nodes.rows(operator), nystroem, nystroem.components_)
    nodes.write_rows(nodes.add("MatMul", kernel, nodes.doubles(nystroem.normalization_.T)), operator.outputs[0])


def convert_sampler(scope: Any, operator: Any, container: Any) -> None:
    """Write the cosines along random directions."""
    sampler, nodes = operator.raw_operator, Nodes(scope, container)
    along = nodes.add("MatMul", nodes.rows(operator), nodes.doubles(sampler.random_weights_))
    waves = nodes.add("Cos", nodes.add("Add", along, nodes.doubles(sampler.random_offset_)))
    height = nodes.doubles([(2.0 / sampler.n_components) ** 0.5])
    nodes.write_rows(nodes.add("Mul", waves, height), operator.outputs[0])


def _kernel(nodes: Nodes, rows: str, estimator: Any, learned: Any) -> str:
    """The kernel [N, learned] of rows with those that were learned."""
    kind, name = estimator.kernel, type(estimator).__name__
    if kind not in KNOWN or not isinstance(learned, np.ndarray):
        called = kind if isinstance(kind, str) else getattr(kind, "__name__", type(kind).__name__)
        raise ConversionError(
            f"the {name} has the kernel {called}, which has no ONNX form here: choose one of {', '.join(KNOWN)}",
            estimator=name,
        )
    given = {**(estimator.kernel_params or {}), **{key: getattr(estimator, key) for key in ("gamma", *_DEFAULTS)}}
    chosen = {"gamma": 1.0 / learned.shape[1], **_DEFAULTS, **{k: v for k, v in given.items() if v is not None}}
    known = np.asarray(learned, dtype=np.float64)
    if kind == "rbf":
        return nodes.add("Exp", nodes.add("Mul", _squares(nodes, rows, known), nodes.doubles([-chosen["gamma"]])))
    if kind == "cosine":
        return nodes.add("MatMul", _unit_rows(nodes, rows), nodes.doubles(_unit(known).T))
    products = nodes.add("MatMul", rows, nodes.doubles(known.T))
    if kind == "linear":
        return products
    inner = nodes.add("Mul", products, nodes.doubles([chosen["gamma"]]))
    inner = nodes.add("Add", inner, nodes.doubles([chosen["coef0"]]))
    if kind == "sigmoid":
        return nodes.add("Tanh", inner)
    return nodes.add("Pow", inner, nodes.doubles([chosen["degree"]]))


def _squares(nodes: Nodes, rows: str, known: Tensor) -> str:
    """Squared distances [N, known], as scikit-learn adds them up."""
    own = nodes.add("ReduceSumSquare", rows, nodes.constant(TensorProto.INT64, [1], [1]), keepdims=1)
    products = nodes.add("Add", nodes.add("MatMul", rows, nodes.doubles(-2 * known.T)), own)
    squares = nodes.add("Add", products, nodes.doubles(np.square(known).sum(axis=1)))
    # rounding may leave less than nothing
    return nodes.add("Max", squares, nodes.doubles([0.0]))


def _unit_rows(nodes: Nodes, rows: str) -> str:
    length = nodes.add("ReduceL2", rows, nodes.constant(TensorProto.INT64, [1], [1]), keepdims=1)
    none = nodes.add("Equal", length, nodes.doubles([0.0]))
    return nodes.add("Div", rows, nodes.add("Where", none, nodes.doubles([1.0]), length))


def _unit(rows: Tensor) -> Tensor:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length == 0, 1.0, length)


def convert_distances(scope: Any, operator: Any, container: Any) -> None:
    """Write the distances from centres."""
    nodes = Nodes(scope, container)
    centres = np.asarray(operator.raw_operator.centres, dtype=np.float64)
    nodes.write_rows(nodes.add("Sqrt", _squares(nodes, nodes.rows(operator), centres)), operator.outputs[0])
