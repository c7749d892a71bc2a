"""Multi-output classifiers, split into one estimator for each target that answers as the whole does.

What their graphs share is merged afterwards (see merging), so that nothing but trees is computed twice.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from onnxlet.errors import ConversionError


def split_targets(estimator: Any) -> tuple[Any, ...]:
    """One fitted estimator for each target; the estimator itself if it has one target.

    Raises ConversionError for several targets that cannot be told apart.
    """
    from sklearn.ensemble._forest import ForestClassifier
    from sklearn.linear_model import RidgeClassifier
    from sklearn.multioutput import MultiOutputClassifier
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.tree import DecisionTreeClassifier

    if hasattr(estimator, "best_estimator_"):
        return split_targets(estimator.best_estimator_)
    if isinstance(estimator, Pipeline):
        (*before, (name, last)) = estimator.steps
        parts = split_targets(last)
        return (estimator,) if len(parts) == 1 else tuple(Pipeline([*before, (name, part)]) for part in parts)
    if isinstance(estimator, MultiOutputClassifier) or getattr(estimator, "multilabel_", False) is True:
        return tuple(estimator.estimators_)
    targets = _targets(estimator)
    if targets == 1:
        return (estimator,)
    splitters = {
        DecisionTreeClassifier: _split_tree,
        ForestClassifier: _split_forest,
        KNeighborsClassifier: _split_neighbours,
        MLPClassifier: _split_network,
        RidgeClassifier: _split_ridge,
    }
    split = next((splitter for kind, splitter in splitters.items() if isinstance(estimator, kind)), None)
    if split is None:
        raise ConversionError(
            f"the {type(estimator).__name__} predicts several targets in a way that has no ONNX form here: fit a "
            "MultiOutputClassifier, or one classifier for each target"
        )
    return tuple(split(estimator, target) for target in range(targets))


def _targets(estimator: Any) -> int:
    classes = getattr(estimator, "classes_", ())
    if isinstance(classes, list):
        return len(classes)
    kind = getattr(getattr(estimator, "_label_binarizer", None), "y_type_", "")
    return len(classes) if kind.startswith("multilabel") else 1


def _split_tree(estimator: Any, target: int) -> Any:
    tree, classes = estimator.tree_, estimator.classes_[target]
    own = type(tree)(tree.n_features, np.array([len(classes)], dtype=np.intp), 1)
    state = tree.__getstate__()
    own.__setstate__({**state, "values": np.ascontiguousarray(state["values"][:, [target], : len(classes)])})
    part = _one_target(estimator, classes)
    part.tree_ = own
    return part


def _split_forest(estimator: Any, target: int) -> Any:
    part = _one_target(estimator, estimator.classes_[target])
    part.estimators_ = [_split_tree(tree, target) for tree in estimator.estimators_]
    return part


def _one_target(estimator: Any, classes: Any) -> Any:
    part = copy.copy(estimator)
    part.classes_, part.n_classes_, part.n_outputs_ = classes, len(classes), 1
    return part


def _split_neighbours(estimator: Any, target: int) -> Any:
    part = copy.copy(estimator)
    part.classes_, part.outputs_2d_ = estimator.classes_[target], False
    part._y = np.ascontiguousarray(estimator._y[:, target])  # noqa: SLF001 - there is no public way
    return part


def _split_network(estimator: Any, target: int) -> Any:
    part = copy.copy(estimator)
    part.coefs_ = [*estimator.coefs_[:-1], estimator.coefs_[-1][:, [target]]]
    part.intercepts_ = [*estimator.intercepts_[:-1], estimator.intercepts_[-1][[target]]]
    part.n_outputs_, part.classes_ = 1, np.array([0, 1])
    part._label_binarizer = _binary_label_binarizer()  # noqa: SLF001 - there is no public way
    return part


def _split_ridge(estimator: Any, target: int) -> Any:
    part = copy.copy(estimator)
    part.coef_ = estimator.coef_[[target]]
    part.intercept_ = np.broadcast_to(estimator.intercept_, (len(estimator.coef_),))[[target]]
    part._label_binarizer = _binary_label_binarizer(neg_label=-1)  # noqa: SLF001 - there is no public way
    return part


def _binary_label_binarizer(**parameters: Any) -> Any:
    from sklearn.preprocessing import LabelBinarizer

    return LabelBinarizer(**parameters).fit([0, 1])
