"""Which converter writes which estimator: the one place that lists them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, NamedTuple

from onnxlet.toolchain.convert.scikit_learn.converters import (
    function_transformer,
    isolation_forest,
    isotonic,
    iterative_imputer,
    kernels,
    local_outlier_factor,
    projections,
    quantile_transformer,
    radius_neighbors,
    spline_transformer,
    text_vectorizers,
    thresholds,
    transformed_target,
)
from onnxlet.toolchain.convert.scikit_learn.converters.shapes import declare_columns
from onnxlet.toolchain.convert.scikit_learn.nodes import Converter

CLASSIFIER = MappingProxyType(
    {"zipmap": [True, False, "columns"], "nocl": [True, False], "output_class_labels": [False, True]}
)
"""Options that skl2onnx's pipelines tell a classifier."""


class Registration(NamedTuple):
    """A class of estimators by module and name, and what writes it."""

    module: str
    name: str
    declare: Callable[[Any], None]
    """Declares datatypes and shapes of what an operator gives."""
    convert: Converter
    options: Mapping[str, Any] | None = None


_SUBSTITUTES = "onnxlet.toolchain.convert.scikit_learn.substitutes"

REGISTRATIONS = (
    Registration(
        "sklearn.model_selection", "FixedThresholdClassifier", thresholds.declare, thresholds.convert, CLASSIFIER
    ),
    Registration(
        "sklearn.model_selection", "TunedThresholdClassifierCV", thresholds.declare, thresholds.convert, CLASSIFIER
    ),
    Registration(
        "sklearn.ensemble",
        "IsolationForest",
        isolation_forest.declare,
        isolation_forest.convert,
        isolation_forest.OPTIONS,
    ),
    Registration(
        "sklearn.neighbors",
        "LocalOutlierFactor",
        local_outlier_factor.declare,
        local_outlier_factor.convert,
        isolation_forest.OPTIONS,
    ),
    Registration("sklearn.preprocessing", "SplineTransformer", declare_columns, spline_transformer.convert),
    Registration(
        "sklearn.neighbors",
        "RadiusNeighborsClassifier",
        radius_neighbors.declare_classifier,
        radius_neighbors.convert_classifier,
        CLASSIFIER,
    ),
    Registration(
        "sklearn.neighbors",
        "RadiusNeighborsRegressor",
        radius_neighbors.declare_regressor,
        radius_neighbors.convert_regressor,
    ),
    Registration("sklearn.isotonic", "IsotonicRegression", isotonic.declare, isotonic.convert),
    Registration("sklearn.kernel_ridge", "KernelRidge", kernels.declare_ridge, kernels.convert_ridge),
    Registration("sklearn.kernel_approximation", "Nystroem", declare_columns, kernels.convert_nystroem),
    Registration("sklearn.kernel_approximation", "RBFSampler", declare_columns, kernels.convert_sampler),
    Registration("sklearn.decomposition", "FastICA", declare_columns, projections.convert),
    Registration("sklearn.decomposition", "FactorAnalysis", declare_columns, projections.convert),
    Registration("sklearn.random_projection", "SparseRandomProjection", declare_columns, projections.convert),
    Registration(_SUBSTITUTES, "LinearProjection", declare_columns, projections.convert),
    Registration(_SUBSTITUTES, "CentreDistances", declare_columns, kernels.convert_distances),
    Registration("sklearn.compose", transformed_target.NAME, transformed_target.declare, transformed_target.convert),
    Registration("sklearn.impute", "IterativeImputer", iterative_imputer.declare, iterative_imputer.convert),
    Registration(
        "sklearn.preprocessing",
        "FunctionTransformer",
        function_transformer.declare,
        function_transformer.convert,
        function_transformer.OPTIONS,
    ),
    Registration("sklearn.preprocessing", "QuantileTransformer", declare_columns, quantile_transformer.convert),
    *(
        Registration(
            "sklearn.feature_extraction.text",
            name,
            text_vectorizers.declare,
            text_vectorizers.convert,
            text_vectorizers.OPTIONS,
        )
        for name in ("CountVectorizer", "TfidfVectorizer", "HashingVectorizer")
    ),
)


def register_converters() -> None:
    """Let skl2onnx know all of them."""
    from skl2onnx import update_registered_converter

    # what it brings is in scikit-learn only where somebody asked for it
    import_module("sklearn.experimental.enable_iterative_imputer")
    for module, name, declare, convert, options in REGISTRATIONS:
        estimator = getattr(import_module(module), name)
        known = None if options is None else dict(options)
        update_registered_converter(estimator, f"Onnxlet{name}", declare, convert, options=known)
