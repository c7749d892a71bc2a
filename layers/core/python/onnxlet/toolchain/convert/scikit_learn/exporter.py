"""skl2onnx: export an estimator as a graph, and say what has no converter."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import numpy as np

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert.scikit_learn.advice import advice_for
from onnxlet.toolchain.convert.scikit_learn.boosters import raise_opset
from onnxlet.toolchain.convert.scikit_learn.columns import ColumnLayout
from onnxlet.toolchain.convert.scikit_learn.patches import fix_neighbour_weights, patch_converters
from onnxlet.toolchain.workbench.error_text import first_line
from onnxlet.toolchain.workbench.extras import require

OPSET = {"": 21, "ai.onnx.ml": 3}
"""What is written: old enough for every ONNX Runtime that this package takes."""
SINGLE_INPUT = "features"


def to_onnx(
    estimator: Any,
    layout: ColumnLayout,
    datatypes: dict[str, str],
    datatype: str,
    *,
    probabilities: bool,
    options: Mapping[int, Any] = MappingProxyType({}),
) -> Any:
    """The ModelProto that skl2onnx makes; `options` of its converters go by the ids of estimators.

    Raises ConversionError with what it says.
    """
    require("sklearn", "skl2onnx")
    import skl2onnx
    from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator

    inputs = _initial_types(layout, datatypes, datatype)
    all_options = {key: dict(value) for key, value in options.items() if value}
    if probabilities:
        all_options[id(estimator)] = {"zipmap": False}
    patch_converters()
    try:
        with ignore_known_warnings():
            model = skl2onnx.to_onnx(estimator, initial_types=inputs, options=all_options or None, target_opset=OPSET)
    except (MissingConverter, MissingShapeCalculator) as error:
        whole, part = type(estimator).__name__, _unconverted_class(error)
        where = f" in the {whole}" if part != whole else ""
        raise ConversionError(
            f"skl2onnx has no converter for the {part}{where}: {advice_for(part)}",
            estimator=whole,
        ) from error
    except (RuntimeError, NotImplementedError, NameError, ValueError, TypeError, AttributeError, KeyError) as error:
        if "Unable to find column name" in str(error):
            raise names_have_no_form(type(estimator).__name__) from error
        part = _failed_class(error) or type(estimator).__name__
        raise ConversionError(
            f"skl2onnx cannot convert the {part}: {first_line(error)}; try other parameters, or {advice_for(part)}",
            estimator=part,
        ) from error
    fix_neighbour_weights(model.graph)
    raise_opset(model)
    return model


def names_have_no_form(estimator: str) -> ConversionError:
    """The error for a ColumnTransformer by names that is inside of another estimator."""
    return ConversionError(
        f"the {estimator} holds a ColumnTransformer that picks columns by name, which has no ONNX form there: put it "
        f"first, as in make_pipeline(ColumnTransformer(...), {estimator}(...))"
    )


def _initial_types(layout: ColumnLayout, datatypes: dict[str, str], datatype: str) -> list[tuple[str, Any]]:
    """The inputs as skl2onnx declares them: one for each column, or one matrix of `datatype`."""
    from skl2onnx.common import data_types

    types = {
        "BYTES": data_types.StringTensorType,
        "INT64": data_types.Int64TensorType,
        "FP32": data_types.FloatTensorType,
        "FP64": data_types.DoubleTensorType,
    }
    if layout.input_per_column:
        # skl2onnx rewrites most names; they are given back afterwards
        return [(name, types[datatypes[name]]([None, 1])) for name in layout.names]
    return [(SINGLE_INPUT, types[datatype]([None, len(layout.names)]))]


def cast_before_last(estimator: Any) -> Any | None:
    """The pipeline with a cast to float32 before its last step, as scikit-learn's trees do it; None for no pipeline."""
    from skl2onnx.sklapi import CastTransformer
    from sklearn.pipeline import Pipeline

    if not isinstance(estimator, Pipeline) or len(estimator.steps) < 2:  # noqa: PLR2004
        return None
    *before, last = estimator.steps
    return Pipeline([*before, ("cast_to_float32", CastTransformer(dtype=np.float32)), last])


@contextmanager
def ignore_known_warnings() -> Iterator[None]:
    """Ignore warnings that are about skl2onnx and scikit-learn themselves, not about the model."""
    with warnings.catch_warnings():
        # skl2onnx reads probA_ of every SVC, which scikit-learn 1.9 deprecates
        warnings.filterwarnings("ignore", message=r"Attribute `prob[AB]_` was deprecated", category=FutureWarning)
        # the columns were put in the order of feature_names_in_; an array just does not say so
        warnings.filterwarnings("ignore", message=r"X does not have valid feature names", category=UserWarning)
        warnings.filterwarnings("ignore", message=r"X has feature names, but", category=UserWarning)
        yield


def _failed_class(error: Exception) -> str:
    """The class of the estimator that skl2onnx was busy with when it failed; empty if it was with none."""
    busy = ""
    trace = error.__traceback__
    while trace is not None:
        estimator = getattr(trace.tb_frame.f_locals.get("operator"), "raw_operator", None)
        busy = busy if estimator is None else type(estimator).__name__
        trace = trace.tb_next
    return busy


def _unconverted_class(error: Exception) -> str:
    """The class that has no converter."""
    match = re.search(r"<class '(?:[\w.]*\.)?(\w+)'>", str(error))
    return match[1] if match else first_line(error)
