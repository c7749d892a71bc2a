"""SimpleImputer: indicators, dropped columns, doubles, texts and other markers, which skl2onnx 1.20 leaves out."""

from __future__ import annotations

from typing import Any

from onnx import TensorProto

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert.scikit_learn.missing_texts import EMPTY, is_missing
from onnxlet.toolchain.convert.scikit_learn.nodes import Converter, Nodes
from onnxlet.toolchain.workbench.table import quoted

_IMPUTER = "SklearnSimpleImputer"


def patch_imputer_shape() -> None:
    """Let the imputer have as many output columns as it really gives: with indicators, without dropped columns."""
    from skl2onnx.common._registration import get_shape_calculator, register_shape_calculator

    calculate = get_shape_calculator(_IMPUTER)
    if not isinstance(calculate, _ShapeCalculator):
        register_shape_calculator(_IMPUTER, _ShapeCalculator(calculate), overwrite=True)


def simple_imputer_converter(convert: Converter) -> Converter:
    """A converter of SimpleImputer with indicators, dropped columns, doubles, texts and other markers."""

    def write_operator(scope: Any, operator: Any, container: Any) -> None:
        from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType

        imputer, kind = operator.raw_operator, type(operator.inputs[0].type)
        plain = not indicator_columns(imputer) and len(_kept_columns(imputer)) == len(imputer.statistics_)
        numbers = kind in (FloatTensorType, DoubleTensorType)
        if not numbers and indicator_columns(imputer):
            names = getattr(imputer, "feature_names_in_", None)
            of = "" if names is None else f" of {quoted(names.tolist())}"
            raise ConversionError(
                f"the SimpleImputer{of} indicates missing values, which has an ONNX form for floats only: leave "
                "add_indicator out"
            )
        datatypes = {
            StringTensorType: TensorProto.STRING,
            FloatTensorType: TensorProto.FLOAT,
            DoubleTensorType: TensorProto.DOUBLE,
        }
        if kind in datatypes and not (plain and kind is FloatTensorType and is_missing(imputer.missing_values)):
            _write_imputer(imputer, operator, Nodes(scope, container), datatypes[kind])
        else:
            convert(scope, operator, container)

    return write_operator


def _write_imputer(imputer: Any, operator: Any, nodes: Nodes, datatype: int) -> None:
    add, constant = nodes.add, nodes.constant
    texts = datatype == TensorProto.STRING
    columns = [variable.full_name for variable in operator.inputs]
    rows = add("Concat", *columns, axis=1)
    marker, statistics = imputer.missing_values, imputer.statistics_.tolist()
    if texts:
        marker = EMPTY if is_missing(marker) else marker
        statistics = [EMPTY if is_missing(value) else str(value) for value in statistics]
    missing = add("IsNaN", rows) if is_missing(marker) else add("Equal", rows, constant(datatype, [1], marker))
    whole = add("Where", missing, constant(datatype, [1, len(statistics)], statistics), rows)
    kept, indicators = _kept_columns(imputer), indicator_columns(imputer)
    parts = [add("Gather", whole, constant(TensorProto.INT64, [len(kept)], kept), axis=1)]
    if indicators:
        flags = add("Gather", missing, constant(TensorProto.INT64, [len(indicators)], indicators), axis=1)
        parts.append(add("Cast", flags, to=datatype))
    add("Concat", *parts, output=operator.outputs[0].full_name, axis=1)


def _kept_columns(imputer: Any) -> list[int]:
    """The positions of the columns that the imputer keeps."""
    statistics = imputer.statistics_.tolist()
    keeps = getattr(imputer, "keep_empty_features", False)
    return [place for place, value in enumerate(statistics) if keeps or not is_missing(value)]


def indicator_columns(imputer: Any) -> list[int]:
    """The positions of the columns that have an indicator of missing values."""
    indicator = getattr(imputer, "indicator_", None)
    return [] if indicator is None else indicator.features_.tolist()


class _ShapeCalculator:
    """The shape that a simple imputer gives."""

    def __init__(self, calculate: Any) -> None:
        self._calculate = calculate

    def __call__(self, operator: Any) -> None:
        self._calculate(operator)
        rows, _ = operator.outputs[0].type.shape
        imputer = operator.raw_operator
        operator.outputs[0].type.shape = [rows, len(_kept_columns(imputer)) + len(indicator_columns(imputer))]
