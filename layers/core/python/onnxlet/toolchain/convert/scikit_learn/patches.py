"""Patches of what skl2onnx 1.19 and 1.20 convert wrongly. What remains wrong is found when answers are compared."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from onnxlet.toolchain.convert.scikit_learn.category_encoders import (
    one_hot_encoder_converter,
    ordinal_encoder_converter,
)
from onnxlet.toolchain.convert.scikit_learn.converters import histogram_boosting
from onnxlet.toolchain.convert.scikit_learn.converters.calibration import (
    write_isotonic_calibration,
    write_sigmoid_calibration,
)
from onnxlet.toolchain.convert.scikit_learn.converters.one_vs_rest import one_vs_rest_converter
from onnxlet.toolchain.convert.scikit_learn.converters.table import register_converters
from onnxlet.toolchain.convert.scikit_learn.converters.text_vectorizers import weighing_converter
from onnxlet.toolchain.convert.scikit_learn.converters.voting import bagging_converter, one_vs_one_converter
from onnxlet.toolchain.convert.scikit_learn.discretizers import binarizer_converter, discretizer_converter
from onnxlet.toolchain.convert.scikit_learn.internals import check_internals, registered_converter
from onnxlet.toolchain.convert.scikit_learn.knn_imputer import knn_imputer_converter, patch_knn_imputer_shape
from onnxlet.toolchain.convert.scikit_learn.missing_texts import empty_text_converter
from onnxlet.toolchain.convert.scikit_learn.nodes import Converter
from onnxlet.toolchain.convert.scikit_learn.power_transformer import (
    patch_power_transformer_shape,
    power_transformer_converter,
)
from onnxlet.toolchain.convert.scikit_learn.rounding import round_down
from onnxlet.toolchain.convert.scikit_learn.simple_imputer import patch_imputer_shape, simple_imputer_converter
from onnxlet.toolchain.convert.scikit_learn.trees import patch_trees

_GRADIENT_BOOSTING = ("SklearnHistGradientBoostingClassifier", "SklearnHistGradientBoostingRegressor")
_ZIPMAP = {"zipmap": [True, False, "columns"]}


def patch_converters() -> None:
    """Replace the parts of skl2onnx that are wrong; what was replaced before is left alone.

    Raises ConversionError if the installed skl2onnx lacks one of them: then none is replaced.
    """
    check_internals()
    register_converters()
    from skl2onnx.operator_converters import calibrated_classifier_cv

    for name in _GRADIENT_BOOSTING:
        _patch_converter(name, _gradient_boosting_converter)
    _patch_converter("SklearnVotingClassifier", _voting_converter)
    _patch_converter("SklearnBaggingClassifier", bagging_converter)
    _patch_converter("SklearnLinearClassifier", _linear_converter)
    _patch_converter("SklearnOneVsRestClassifier", one_vs_rest_converter)
    _patch_converter("SklearnOneVsOneClassifier", one_vs_one_converter)
    # pipelines tell their last step about zipmap, which a linear SVC does not know of
    _patch_converter("SklearnLinearSVC", _unchanged, _ZIPMAP)
    _patch_converter("SklearnPipeline", _raw_scores_converter)
    for name in ("SklearnGaussianMixture", "SklearnBayesianGaussianMixture"):
        _patch_converter(name, _mixture_converter)
    calibrated_classifier_cv._transform_isotonic = write_isotonic_calibration  # noqa: SLF001 - there is no public way
    calibrated_classifier_cv._transform_sigmoid = write_sigmoid_calibration  # noqa: SLF001 - same
    _patch_converter("SklearnSimpleImputer", simple_imputer_converter)
    _patch_converter("SklearnOneHotEncoder", _category_converter)
    _patch_converter("SklearnOrdinalEncoder", ordinal_encoder_converter)
    _patch_converter("SklearnKNNImputer", knn_imputer_converter)
    _patch_converter("SklearnPowerTransformer", power_transformer_converter)
    _patch_converter("SklearnKBinsDiscretizer", discretizer_converter)
    _patch_converter("SklearnBinarizer", binarizer_converter)
    _patch_converter("SklearnTfidfTransformer", weighing_converter)
    patch_imputer_shape()
    patch_knn_imputer_shape()
    patch_power_transformer_shape()
    patch_trees()


def fix_neighbour_weights(graph: onnx.GraphProto) -> None:
    """Let neighbours weigh by their distances, which skl2onnx negates as if a TopK without `largest` did so already."""
    producers = {output: node for node in graph.node for output in node.output}
    weights = {weight.name: weight for weight in graph.initializer}
    for node in graph.node:
        producer = producers.get(node.input[0]) if node.op_type == "Mul" else None
        factor = weights.get(node.input[1]) if producer is not None and producer.op_type == "TopK" else None
        if factor is not None and producer is not None and _finds_smallest(producer):
            factor.CopyFrom(numpy_helper.from_array(np.abs(numpy_helper.to_array(factor)), factor.name))


def _finds_smallest(node: onnx.NodeProto) -> bool:
    return any(attribute.name == "largest" and attribute.i == 0 for attribute in node.attribute)


def _patch_converter(
    name: str, wrapper: Callable[[Converter], Converter], further: dict[str, Any] | None = None
) -> None:
    """Register `wrapper` of the converter in its place, once; `further` options are allowed besides its own."""
    from skl2onnx.common._registration import register_converter

    convert, options = registered_converter(name)
    if not isinstance(convert, _PatchedConverter):
        known = {**(options or {}), **further} if further else options
        register_converter(name, _PatchedConverter(wrapper(convert)), overwrite=True, options=known)


class _PatchedConverter:
    """A converter that was wrapped already."""

    def __init__(self, convert: Converter) -> None:
        self._convert = convert

    def __call__(self, scope: Any, operator: Any, container: Any) -> None:
        self._convert(scope, operator, container)


def _linear_converter(convert: Converter) -> Converter:
    """A converter of linear classifiers that links the scores of two classes once, not twice as those of
    LinearDiscriminantAnalysis are.
    """

    def write_operator(scope: Any, operator: Any, container: Any) -> None:
        given = operator.raw_operator
        if type(given).__name__ == "LinearDiscriminantAnalysis" and len(given.classes_) == 2:  # noqa: PLR2004
            from sklearn.linear_model import LogisticRegression

            # the solver tells skl2onnx that it is a logistic function
            operator.raw_operator = logistic = LogisticRegression(solver="liblinear")
            logistic.coef_, logistic.intercept_, logistic.classes_ = given.coef_, given.intercept_, given.classes_
            options = container.get_options(given, {"raw_scores": False})
            for each in (scope, container):
                each.add_options(id(logistic), options)
            # options go by the object's id, which must not be another's meanwhile
            operator.linear_copy = logistic
        convert(scope, operator, container)

    return write_operator


def _unchanged(convert: Converter) -> Converter:
    return convert


def _category_converter(convert: Converter) -> Converter:
    return one_hot_encoder_converter(empty_text_converter(convert))


def _mixture_converter(convert: Converter) -> Converter:
    """A converter of mixtures, which in double precision takes the operator set for a number."""

    def write_operator(scope: Any, operator: Any, container: Any) -> None:
        operator.target_opset = container.target_opset
        convert(scope, operator, container)

    return write_operator


def _raw_scores_converter(convert: Converter) -> Converter:
    """A converter of pipelines within other estimators, whose last step must know that its raw scores are wanted."""

    def write_operator(scope: Any, operator: Any, container: Any) -> None:
        pipeline = operator.raw_operator
        last = pipeline.steps[-1][1]
        wanted = container.get_options(pipeline, {"raw_scores": False}).get("raw_scores")
        if wanted and hasattr(last, "decision_function"):
            for options in (scope, container):
                options.add_options(id(last), {"raw_scores": True})
        convert(scope, operator, container)

    return write_operator


def _gradient_boosting_converter(convert: Callable[..., None]) -> Converter:
    """A converter whose tree nodes get integers for booleans, which protobuf 6 and later refuse; and thresholds that
    are rounded down for single inputs, as others would send rows the other way. Double ones have a converter of ours.
    """

    def write_operator(scope: Any, operator: Any, container: Any) -> None:
        if histogram_boosting.needs_own_converter(operator):
            histogram_boosting.convert(scope, operator, container)
            return
        operator.raw_operator = _with_single_thresholds(operator.raw_operator)
        add_node = container.add_node

        def add(kind: str, inputs: Any, outputs: Any, **attributes: Any) -> None:
            flags = attributes.get("nodes_missing_value_tracks_true")
            if flags is not None:
                attributes["nodes_missing_value_tracks_true"] = [int(flag) for flag in flags]
            add_node(kind, inputs, outputs, **attributes)

        container.add_node = add
        try:
            convert(scope, operator, container)
        finally:
            del container.add_node

    return write_operator


def _with_single_thresholds(boosted: Any) -> Any:
    """The estimator with thresholds that singles pass as they pass the double ones."""
    own = copy.copy(boosted)
    own._predictors = [[copy.copy(tree) for tree in stage] for stage in boosted._predictors]  # noqa: SLF001 - there is no public way
    for stage in own._predictors:  # noqa: SLF001
        for tree in stage:
            tree.nodes = tree.nodes.copy()
            tree.nodes["num_threshold"] = round_down(tree.nodes["num_threshold"])
    return own


def _voting_converter(convert: Converter) -> Converter:
    """A converter of votes, whose `flatten_transform` says nothing of what they predict."""

    def write_operator(scope: Any, operator: Any, container: Any) -> None:
        operator.raw_operator = copy.copy(operator.raw_operator)
        operator.raw_operator.flatten_transform = False
        convert(scope, operator, container)

    return write_operator
