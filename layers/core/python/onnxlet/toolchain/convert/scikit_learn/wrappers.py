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
    """The same estimator with wrappers around pipelines moved to their last steps."""
    from sklearn.pipeline import Pipeline

    delegate = _delegate(estimator)
    if delegate is not None:
        return move_inwards(delegate)
    if isinstance(estimator, Pipeline) and estimator.steps:
        *before, (name, last) = estimator.steps
        moved = move_inwards(last)
        return estimator if moved is last else _flat_pipeline(before, name, moved)
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
    """The estimator that answers in its place: a search's best one, or one that was frozen."""
    frozen = type(estimator).__name__ == "FrozenEstimator"
    return estimator.estimator if frozen else getattr(estimator, "best_estimator_", None)


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
