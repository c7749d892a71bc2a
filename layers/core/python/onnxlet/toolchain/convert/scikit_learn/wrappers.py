"""Estimators around a pipeline, moved to its last step: that answers the same, and its columns are inputs then.

A search answers by its best pipeline. A threshold, or a transformation of the target, only uses what that step says.
"""

from __future__ import annotations

import copy
from typing import Any

INNER = {
    "FixedThresholdClassifier": ("estimator_", "estimator"),
    "TunedThresholdClassifierCV": ("estimator_",),
    "TransformedTargetRegressor": ("regressor_",),
}
"""Wrappers by class, and the attributes that hold the fitted estimator."""


def move_inwards(estimator: Any) -> Any:
    """The same estimator with wrappers around pipelines moved to their last steps, without steps that do nothing."""
    from sklearn.pipeline import Pipeline

    delegate = _delegate(estimator)
    if delegate is not None:
        return move_inwards(delegate)
    if isinstance(estimator, Pipeline) and estimator.steps:
        *given, (name, last) = estimator.steps
        before = [(each, _transformer(step)) for each, step in given if not _does_nothing(step)]
        moved = move_inwards(last)
        same = moved is last and [step for _, step in before] == [step for _, step in given]
        return estimator if same else _flat_pipeline(before, name, moved)
    attributes = INNER.get(type(estimator).__name__, ())
    fitted = next((getattr(estimator, each) for each in attributes if hasattr(estimator, each)), None)
    if fitted is None:
        return estimator
    inner = move_inwards(fitted)
    if isinstance(inner, Pipeline):
        *before, (name, last) = inner.steps
        return _flat_pipeline(before, name, _around(estimator, attributes, last))
    return estimator if inner is fitted else _around(estimator, attributes, inner)


def _delegate(estimator: Any) -> Any:
    """The estimator that answers in its place: a search's best one, one that was frozen, or behind a selection."""
    from sklearn.pipeline import Pipeline

    kind = type(estimator).__name__
    if kind == "FrozenEstimator":
        return estimator.estimator
    if kind == "SelfTrainingClassifier":
        return estimator.estimator_
    if kind in {"RFE", "RFECV"}:
        return Pipeline([("selection", _as_selection(estimator)), ("estimator", estimator.estimator_)])
    return getattr(estimator, "best_estimator_", None)


def _as_selection(estimator: Any) -> Any:
    """The same selection of columns, which predicts nothing."""
    from sklearn.feature_selection import RFE

    selection = RFE(estimator.estimator)
    selection.support_, selection.n_features_in_ = estimator.support_, estimator.n_features_in_
    return selection


def _does_nothing(step: Any) -> bool:
    """Whether a step of a pipeline passes its features on, which skl2onnx does not know at every place."""
    return step is None or (isinstance(step, str) and step == "passthrough")


def _transformer(step: Any) -> Any:
    """What gives a step's features to the next."""
    from onnxlet.toolchain.convert.scikit_learn.substitutes import substitute

    return substitute(step)


def _flat_pipeline(before: list[Any], name: str, last: Any) -> Any:
    from sklearn.pipeline import Pipeline

    if isinstance(last, Pipeline):
        return Pipeline([*before, *((f"{name}_{inner}", step) for inner, step in last.steps)])
    return Pipeline([*before, (name, last)])


def _around(estimator: Any, attributes: tuple[str, ...], inner: Any) -> Any:
    wrapper = copy.copy(estimator)
    for attribute in attributes:
        setattr(wrapper, attribute, inner)
    # the names are those of the pipeline, which looks at them before
    for learned in ("feature_names_in_", "n_features_in_"):
        vars(wrapper).pop(learned, None)
    return wrapper
