"""IterativeImputer with linear estimators, step by step as it imputes, in double precision.

Each step predicts one column from others for the rows that lack it, from what the steps before it put in there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert.scikit_learn.missing_texts import is_missing
from onnxlet.toolchain.convert.scikit_learn.nodes import Nodes
from onnxlet.toolchain.convert.scikit_learn.simple_imputer import indicator_columns
from onnxlet.values.tensors import Tensor


def declare(operator: Any) -> None:
    """Declare as many columns as it gives, indicators included."""
    from skl2onnx.common.data_types import guess_tensor_type

    imputer = operator.raw_operator
    width = len(_kept(imputer)) + len(indicator_columns(imputer))
    kind = type(guess_tensor_type(operator.inputs[0].type))
    operator.outputs[0].type = kind([operator.inputs[0].get_first_dimension(), width])


def convert(scope: Any, operator: Any, container: Any) -> None:
    """Write all steps. Raises ConversionError for estimators that are not linear, and for samples."""
    imputer, nodes = operator.raw_operator, Nodes(scope, container)
    if imputer.sample_posterior:
        raise ConversionError(
            "the IterativeImputer draws what it imputes at random (sample_posterior=True), and never answers twice "
            "alike: fit it with sample_posterior=False",
            estimator="IterativeImputer",
        )
    rows = nodes.rows(operator)
    marker = imputer.missing_values
    all_missing = nodes.add("IsNaN", rows) if is_missing(marker) else nodes.add("Equal", rows, nodes.doubles([marker]))
    kept = nodes.constant(TensorProto.INT64, [len(_kept(imputer))], _kept(imputer))
    missing = nodes.add("Gather", all_missing, kept, axis=1)
    if imputer.keep_empty_features:
        # what it never saw is imputed once, whether or not it is there
        empty = nodes.constant(TensorProto.BOOL, [1, len(_empty(imputer))], _empty(imputer))
        initial_missing = nodes.add("Or", missing, empty)
        missing = nodes.add("And", missing, nodes.add("Not", empty))
    else:
        initial_missing = missing
    initial = nodes.add(
        "Where", initial_missing, nodes.doubles(_first_guesses(imputer)[None]), nodes.add("Gather", rows, kept, axis=1)
    )
    imputed = _impute(nodes, imputer, initial, missing)
    if indicators := indicator_columns(imputer):
        chosen = nodes.constant(TensorProto.INT64, [len(indicators)], indicators)
        flags = nodes.add("Cast", nodes.add("Gather", all_missing, chosen, axis=1), to=TensorProto.DOUBLE)
        imputed = nodes.add("Concat", imputed, flags, axis=1)
    nodes.write_rows(imputed, operator.outputs[0])


def _impute(nodes: Nodes, imputer: Any, initial: str, missing: str) -> str:
    """The rows [N, columns] after all steps; where nothing is known of any row, the first guesses stay."""
    if not imputer.n_iter_:
        return initial
    filled, width = initial, len(_kept(imputer))
    masks: dict[int, str] = {}
    for column, neighbours, estimator in imputer.imputation_sequence_:
        if column not in masks:
            own = nodes.constant(TensorProto.BOOL, [1, width], np.arange(width) == column)
            masks[column] = nodes.add("And", missing, own)
        slopes, offset = _line(estimator)
        weights = np.zeros((width, 1))
        weights[np.asarray(neighbours, dtype=np.int64), 0] = slopes
        predicted = nodes.add("Add", nodes.add("MatMul", filled, nodes.doubles(weights)), nodes.doubles([offset]))
        limits = (nodes.doubles([limit[column]]) for limit in (imputer._min_value, imputer._max_value))  # noqa: SLF001 - there is no public way
        low, high = limits
        predicted = nodes.add("Min", nodes.add("Max", predicted, low), high)
        filled = nodes.add("Where", masks[column], predicted, filled)
    known = nodes.add("Cast", nodes.add("Not", missing), to=TensorProto.INT64)
    some_known = nodes.add("Greater", nodes.add("ReduceMax", known), nodes.constant(TensorProto.INT64, [], [0]))
    return nodes.add("Where", some_known, filled, initial)


def _line(estimator: Any) -> tuple[Tensor, float]:
    """The slopes and the offset of a linear estimator. Raises ConversionError for another."""
    from sklearn.linear_model._base import LinearModel

    if isinstance(estimator, LinearModel):
        return np.ravel(estimator.coef_).astype(np.float64), float(np.ravel(estimator.intercept_)[0])
    raise ConversionError(
        f"the IterativeImputer predicts missing values by a {type(estimator).__name__}, which has no ONNX form there: "
        "choose a linear estimator, as BayesianRidge, Ridge or LinearRegression",
        estimator="IterativeImputer",
    )


def _empty(imputer: Any) -> Tensor:
    """Which columns had no value at all when it was fitted."""
    return np.asarray(imputer._is_empty_feature)  # noqa: SLF001 - there is no public way


def _kept(imputer: Any) -> list[int]:
    empty = _empty(imputer)
    return list(range(len(empty))) if imputer.keep_empty_features else np.flatnonzero(~empty).tolist()


def _first_guesses(imputer: Any) -> Tensor:
    """What missing values of the kept columns are at first."""
    statistics = np.asarray(imputer.initial_imputer_.statistics_, dtype=np.float64)[_kept(imputer)]
    # of columns that were empty
    return np.where(np.isnan(statistics), 0.0, statistics)
