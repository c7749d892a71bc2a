"""Advice: what to use in place of estimators that have no ONNX form, and which of them are told before any is tried."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert.scikit_learn.answers import last_step
from onnxlet.toolchain.convert.scikit_learn.parts import all_parts

GENERAL = "use another estimator there, or register a converter and publish the .onnx file"
_ADVICE: Mapping[str, str] = MappingProxyType(
    {
        "NearestCentroid": "use LinearDiscriminantAnalysis, or KNeighborsClassifier fitted on its centroids_",
        "LabelPropagation": "fit a classifier on its transduction_, which are the labels that it found",
        "LabelSpreading": "fit a classifier on its transduction_, which are the labels that it found",
        "OutputCodeClassifier": "use OneVsRestClassifier or OneVsOneClassifier around the same estimator",
        "RegressorChain": "use MultiOutputRegressor around the same estimator",
        "CCA": "use PLSRegression",
        "PLSCanonical": "use PLSRegression",
        "SequentialFeatureSelector": "fit on the columns that it selects, or use RFE, SelectKBest or SelectFromModel",
    }
)


def advice_for(kind: str) -> str:
    """What to do about an estimator of this class."""
    return _ADVICE.get(kind, GENERAL)


def _by_temperature(part: Any) -> str:
    return (
        "scales by a temperature (method='temperature'), which depends on all rows of a batch: choose method='sigmoid' "
        "or 'isotonic'"
        if part.method == "temperature"
        else ""
    )


def _by_function(part: Any) -> str:
    return (
        "weighs neighbours by a function, which has no ONNX form: choose weights='uniform' or 'distance'"
        if callable(part.weights)
        else ""
    )


def _by_equations(_: Any) -> str:
    return "solves equations for each row, which has no ONNX form: use a pipeline of Nystroem and LogisticRegression"


def _around_machines(part: Any) -> str:
    machines = any(type(last_step(each)).__name__ in {"SVC", "NuSVC"} for each in getattr(part, "estimators_", ()))
    return (
        "chooses by the scores of support vector machines, which has no ONNX form: use the SVC itself, which takes "
        "several classes, or put a CalibratedClassifierCV around each"
        if machines
        else ""
    )


_OBJECTIONS: Mapping[str, Callable[[Any], str]] = MappingProxyType(
    {
        "GaussianProcessClassifier": _by_equations,
        "OneVsRestClassifier": _around_machines,
        "CalibratedClassifierCV": _by_temperature,
        "KNeighborsClassifier": _by_function,
        "KNeighborsRegressor": _by_function,
    }
)
"""By class: what of an estimator cannot be converted, and what to do; empty where it can."""


def check_parts(estimator: Any) -> None:
    """Raise ConversionError for an estimator, or one in it, whose parameters have no ONNX form."""
    for part in all_parts(estimator):
        name = type(part).__name__
        objection = _OBJECTIONS[name](part) if name in _OBJECTIONS else ""
        if objection:
            raise ConversionError(f"the {name} {objection}", estimator=name)
