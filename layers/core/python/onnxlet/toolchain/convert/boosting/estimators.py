"""Estimators like scikit-learn's, which the boosting libraries have: asked as users ask them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert.tabular.class_values import class_tuple, class_values
from onnxlet.toolchain.workbench.error_text import first_line
from onnxlet.toolchain.workbench.privacy import without_values
from onnxlet.toolchain.workbench.refusals import refused
from onnxlet.values.tensors import Tensors


def learned_classes(estimator: Any) -> tuple[int | str, ...] | None:
    """A classifier's class values, as its predict gives them; None for a regressor.

    Raises ConversionError for one that was never fitted, fractions, and several targets.
    """
    from sklearn.base import is_classifier

    if not is_classifier(estimator):
        return None
    classes = np.asarray(estimator.classes_)
    if classes.ndim != 1:
        raise ConversionError(f"the {type(estimator).__name__} predicts several targets: convert one model for each")
    return class_tuple(classes)


def never_fitted(estimator: Any) -> ConversionError:
    """The error for an estimator without trees."""
    return ConversionError(f"the {type(estimator).__name__} was never fitted: fit it first")


def ask(
    estimator: Any,
    rows: Any,
    classes: tuple[int | str, ...] | None,
    *,
    probabilities: bool = True,
    refusal: type[Exception] = ValueError,
) -> Tensors:
    """What its predict [rows], of several labels [rows, labels], and predict_proba give.

    `refusal` is what the library raises for rows that it refuses.
    Raises InvalidInputError for these.
    """
    try:
        with warnings.catch_warnings():
            # the columns have the model's order; an array just does not say so
            warnings.filterwarnings("ignore", message=r"X (does not have valid|has) feature names")
            # what LightGBM says of an objective that is a function, which was said before
            warnings.filterwarnings("ignore", message="Cannot compute class probabilities or labels")
            predicted = np.asarray(estimator.predict(rows))
            if classes is None:
                return {"prediction": predicted}
            of_one_target = predicted.size == len(predicted)
            answers = {"label": class_values(predicted.reshape(-1) if of_one_target else predicted)}
            if probabilities:
                answers["probabilities"] = np.asarray(estimator.predict_proba(rows))
            return answers
    except (ValueError, TypeError, refusal) as error:
        name = type(estimator).__name__
        raise refused(f"the {name} does not take these rows", first_line(error), rows) from without_values(error)
