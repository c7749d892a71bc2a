"""Known columns: what scikit-learn's estimators learned of the columns of the data: thresholds, categories, words.

`READERS` has a line for each class that knows something. A column that a step changes beyond recognition is no longer
followed: what stands behind it is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from onnxlet.errors import ConversionError
from onnxlet.steps.categories import CategoricalColumn, Categories
from onnxlet.steps.tabular import Tabular
from onnxlet.toolchain.convert.scikit_learn.boosters import OpenerOf
from onnxlet.toolchain.convert.scikit_learn.columns import resolve_columns
from onnxlet.toolchain.convert.scikit_learn.parts import all_parts
from onnxlet.toolchain.convert.scikit_learn.vectorizers import takes_texts
from onnxlet.toolchain.convert.tabular.matrix_model import NativeModel
from onnxlet.toolchain.workbench.probing_rows import ANY_WORDS, MISSING, Interval, Knowledge, Threshold
from onnxlet.values.datatypes import DATATYPES
from onnxlet.values.tensors import Tensor

MOST_VALUES = 4_096
"""Categories of a column that a manifest lists; of more, the graph alone refuses others."""
MOST_NODES = 20_000
"""Splits of trees that are read; of more, those of some trees."""


@dataclass(frozen=True)
class Feature:
    """A feature that is a column of the data times `scale`, plus `offset`."""

    column: str
    scale: float = 1.0
    offset: float = 0.0
    filled: bool = False
    """Whether some value of the column is replaced by another one."""

    def column_value(self, value: float) -> float:
        """What the column holds where the feature is `value`."""
        return (value - self.offset) / self.scale

    def column_interval(self, interval: Interval) -> Interval:
        """Where the column is while the feature is in the interval."""
        low, high = sorted(map(self.column_value, interval))
        return low, high


Features = Sequence[Feature | None]
"""The features of a step: columns of the data, or something else made of them."""


class KnownColumns:
    """Collects what an estimator, and those in it, learned of the columns; `opener_of` reads the boosters in it."""

    def __init__(self, opener_of: OpenerOf) -> None:
        self._opener_of = opener_of
        self.thresholds: list[Threshold] = []
        self.categories: dict[str, list[Any]] = {}
        self.words: dict[str, list[str]] = {}
        self.sole: dict[str, list[Any]] = {}
        """The categories of columns that may have no others."""

    def read(self, estimator: Any, features: Features) -> Features | None:
        """Read what a step learned of its features. Returns those that it gives; None if they are not known."""
        open_booster = self._opener_of(estimator)
        if open_booster is not None:
            # what was never fitted knows nothing, and what has no ONNX form says so where it is written
            with suppress(ConversionError):
                self._read_booster(open_booster().native, features)
            return None
        for each in type(estimator).__mro__:
            reader = READERS.get(each.__name__)
            if reader is not None and each.__module__.startswith(("sklearn.", "category_encoders.")):
                return reader(self, estimator, features)
        for inner in _inner_estimators(estimator):
            self.read(inner, features)
        return None

    def add_threshold(self, feature: Feature | None, value: float) -> None:
        """A number that the feature is compared with."""
        if feature is not None and np.isfinite(value):
            self.thresholds.append(Threshold(feature.column, feature.column_value(value)))

    def add_categories(self, feature: Feature | None, values: Sequence[Any]) -> None:
        """Values that the feature is looked up among."""
        if feature is not None and feature.scale == 1 and not feature.offset:
            known = self.categories.setdefault(feature.column, [])
            known.extend(value for value in values if isinstance(value, str | int | float) and value == value)  # noqa: PLR0124 - NaN

    def add_sole_categories(self, feature: Feature | None, values: Sequence[Any]) -> None:
        """All values that the feature may have: the model refuses others."""
        if feature is not None and feature.scale == 1 and not feature.offset and not feature.filled:
            before = self.sole.get(feature.column, values)
            self.sole[feature.column] = [value for value in values if value in before]

    def _read_booster(self, booster: NativeModel, features: Features) -> None:
        """The thresholds of its trees, as those of the columns that its features are made of."""
        by_name = {str(at): feature for at, feature in enumerate(features)}
        for threshold in booster.known_columns(list(by_name)).thresholds[: MOST_NODES - len(self.thresholds)]:
            feature = by_name.get(threshold.column)
            if feature is not None and np.isfinite(threshold.value):
                within = {
                    other.column: other.column_interval(interval)
                    for name, interval in threshold.within.items()
                    if (other := by_name.get(name)) is not None
                }
                value = feature.column_value(threshold.value)
                self.thresholds.append(Threshold(feature.column, value, within))


def known_columns(estimator: Any, names: Sequence[str], opener_of: OpenerOf) -> Knowledge:
    """What a fitted estimator knows of the columns of these names; `opener_of` reads the boosters in it."""
    known = KnownColumns(opener_of)
    known.read(estimator, [Feature(name) for name in names])
    return Knowledge(
        tuple(known.thresholds),
        {name: list(dict.fromkeys(values)) for name, values in known.categories.items()},
        known.words,
        ties=chooses_among_neighbours(estimator),
    )


def sole_categories(estimator: Any, names: Sequence[str], opener_of: OpenerOf, tabular: Tabular) -> Categories | None:
    """What refuses the categories that encoders in a fitted estimator refuse; None if none does."""
    known = KnownColumns(opener_of)
    known.read(estimator, [Feature(name) for name in names])
    columns = tuple(
        CategoricalColumn(column.name, tuple(served), column.missing, 0 if tabular.input is None else place)
        for place, column in enumerate(tabular.columns)
        if 0 < len(served := _as_served(known.sole.get(column.name, []), column.datatype)) <= MOST_VALUES
    )
    return Categories(columns, tabular.input) if columns else None


def _as_served(values: Sequence[Any], datatype: str) -> list[Any]:
    """The values in a datatype; none where they are of another kind. Missing ones are left out."""
    present = [value for value in values if isinstance(value, str | bool | int | float) and value == value]  # noqa: PLR0124 - NaN
    texts = DATATYPES[datatype].kind == "s"
    if any(isinstance(value, str) != texts for value in present):
        return []
    return np.array(present, DATATYPES[datatype].numpy).tolist() if present else []


def chooses_among_neighbours(estimator: Any) -> bool:
    """Whether some part fills gaps from the nearest rows: of equally near ones numpy's partition takes any."""
    return any(type(part).__name__ == "KNNImputer" for part in all_parts(estimator))


def _pipeline(known: KnownColumns, estimator: Any, features: Features) -> Features | None:
    given: Features | None = features
    for _, step in estimator.steps:
        if given is None:
            return None
        given = given if step in (None, "passthrough") else known.read(step, given)
    return given


def _column_transformer(known: KnownColumns, estimator: Any, features: Features) -> Features | None:
    """The features of all transformers side by side, in the estimator's order."""
    names = [str(index) for index in range(len(features))]
    fitted = [str(name) for name in getattr(estimator, "feature_names_in_", names)]
    outputs: list[Feature | None] = []
    is_known = True
    for name, transformer, columns in estimator.transformers_:
        picked = [features[fitted.index(column)] for column in resolve_columns(columns, tuple(fitted))]
        if transformer == "drop":
            continue
        given = picked if transformer == "passthrough" else known.read(transformer, picked)
        width = _width(estimator.output_indices_[name])
        is_known = is_known and (given is None or len(given) == width)
        outputs += list(given) if given is not None else [None] * width
    return outputs if is_known else None


def _width(indices: slice) -> int:
    return int(indices.stop - indices.start)


def _union(known: KnownColumns, estimator: Any, features: Features) -> Features | None:
    outputs = [known.read(part, features) for _, part in estimator.transformer_list if part != "drop"]
    if any(each is None for each in outputs):
        return None
    return [feature for each in outputs if each is not None for feature in each]


def _scaled(known: KnownColumns, estimator: Any, features: Features) -> Features:  # noqa: ARG001 - a reader
    """Of a scaler whose feature is (column - shift) / spread."""
    spread = getattr(estimator, "scale_", None)
    shift = estimator.mean_ if getattr(estimator, "with_mean", False) else getattr(estimator, "center_", None)
    spreads = np.ones(len(features)) if spread is None else spread
    shifts = np.zeros(len(features)) if shift is None else shift
    return [_affine(feature, 1 / each, -at / each) for feature, each, at in zip(features, spreads, shifts, strict=True)]


def _min_max(known: KnownColumns, estimator: Any, features: Features) -> Features:
    if estimator.clip:
        for feature, low, high in zip(features, estimator.data_min_, estimator.data_max_, strict=True):
            known.add_threshold(feature, float(low))
            known.add_threshold(feature, float(high))
    return [_affine(*each) for each in zip(features, estimator.scale_, estimator.min_, strict=True)]


def _affine(feature: Feature | None, scale: float, offset: float) -> Feature | None:
    if feature is None or not np.isfinite(scale) or not scale:
        return None
    return replace(feature, scale=feature.scale * scale, offset=feature.offset * scale + offset)


def _imputed(known: KnownColumns, estimator: Any, features: Features) -> Features | None:  # noqa: ARG001 - a reader
    """The same features, if none is dropped or added."""
    same = getattr(estimator, "indicator_", None) is None and len(estimator.get_feature_names_out()) == len(features)
    if not same:
        return None
    missing = estimator.missing_values
    # not NaN, None or pandas' NA, which stand for missing values to all
    if isinstance(missing, str | int | float | np.number) and missing == missing:  # noqa: PLR0124
        return [feature and replace(feature, filled=True) for feature in features]
    return features


def _function(known: KnownColumns, estimator: Any, features: Features) -> Features | None:  # noqa: ARG001 - a reader
    return features if estimator.func is None else [None] * len(features)


def _selected(known: KnownColumns, estimator: Any, features: Features) -> Features:  # noqa: ARG001 - a reader
    return [feature for feature, kept in zip(features, estimator.get_support(), strict=True) if kept]


def _encoder(known: KnownColumns, estimator: Any, features: Features) -> Features:
    for feature, values in zip(features, estimator.categories_, strict=True):
        known.add_categories(feature, values.tolist())
        if getattr(estimator, "handle_unknown", None) == "error":
            known.add_sole_categories(feature, values.tolist())
    return [None] * len(estimator.get_feature_names_out())


def _bins(known: KnownColumns, estimator: Any, features: Features) -> Features:
    for feature, edges in zip(features, estimator.bin_edges_, strict=True):
        for edge in np.asarray(edges, dtype=np.float64).tolist():
            known.add_threshold(feature, edge)
    return [None] * len(estimator.get_feature_names_out())


def _splines(known: KnownColumns, estimator: Any, features: Features) -> Features:
    for feature, spline in zip(features, estimator.bsplines_, strict=True):
        for knot in spline.t[spline.k : len(spline.t) - spline.k].tolist():
            known.add_threshold(feature, knot)
    return [None] * len(estimator.get_feature_names_out())


def _quantiles(known: KnownColumns, estimator: Any, features: Features) -> Features:
    for feature, quantiles in zip(features, estimator.quantiles_.T, strict=True):
        for quantile in np.unique(quantiles).tolist():
            known.add_threshold(feature, quantile)
    return [None] * len(features)


def _binarizer(known: KnownColumns, estimator: Any, features: Features) -> Features:
    for feature in features:
        known.add_threshold(feature, float(estimator.threshold))
    return [None] * len(features)


def _vectorizer(known: KnownColumns, estimator: Any, features: Features) -> Features:
    if len(features) == 1 and features[0] is not None:
        known.words.setdefault(features[0].column, []).extend(map(str, estimator.vocabulary_))
    return [None] * len(estimator.vocabulary_)


def _hashing_vectorizer(known: KnownColumns, estimator: Any, features: Features) -> Features:
    """It knows no word, and has a column for any."""
    if len(features) == 1 and features[0] is not None:
        known.words.setdefault(features[0].column, []).extend(ANY_WORDS)
    return [None] * int(estimator.n_features)


def _tree(known: KnownColumns, estimator: Any, features: Features) -> None:
    tree = estimator.tree_
    _read_tree(
        known,
        features,
        Splits(tree.feature, tree.threshold, tree.children_left, tree.children_right, tree.children_left >= 0),
    )


def _histogram_boosting(known: KnownColumns, estimator: Any, features: Features) -> None:
    # its categories stand first among the features that its trees know
    if getattr(estimator, "is_categorical_", None) is not None:
        return
    for stage in estimator._predictors:  # noqa: SLF001 - there is no public way
        for predictor in stage:
            nodes = predictor.nodes
            if len(known.thresholds) < MOST_NODES:
                splits = nodes["is_leaf"] == 0
                left, right = nodes["left"].astype(np.int64), nodes["right"].astype(np.int64)
                _read_tree(known, features, Splits(nodes["feature_idx"], nodes["num_threshold"], left, right, splits))


@dataclass(frozen=True)
class Splits:
    """A tree's nodes as parallel arrays, the root first; `split` says which are no leaves."""

    feature: Tensor
    threshold: Tensor
    left: Tensor
    right: Tensor
    split: Tensor


def _read_tree(known: KnownColumns, features: Features, nodes: Splits) -> None:
    """The thresholds of a tree's splits, with the intervals that lead to each."""
    waiting: list[tuple[int, dict[str, Interval]]] = [(0, {})]
    while waiting and len(known.thresholds) < MOST_NODES:
        node, within = waiting.pop()
        if not nodes.split[node]:
            continue
        number = int(nodes.feature[node])
        feature = features[number] if number < len(features) else None
        below, above = within, within
        if feature is not None:
            value = feature.column_value(float(nodes.threshold[node]))
            if np.isfinite(value):
                known.thresholds.append(Threshold(feature.column, value, within))
                low, high = within.get(feature.column, (-np.inf, np.inf))
                below = {**within, feature.column: (low, min(high, value))}
                above = {**within, feature.column: (max(low, value), high)}
                if feature.scale < 0:
                    below, above = above, below
            else:
                # a split of missing values from all others
                above = {**within, feature.column: MISSING}
        waiting += [(int(nodes.left[node]), below), (int(nodes.right[node]), above)]


def _inner_estimators(estimator: Any) -> Iterator[Any]:
    """The fitted estimators in a meta-estimator that read its own features."""
    if type(estimator).__name__.startswith("Bagging"):
        chosen = estimator.estimators_features_
        if any(len(each) != estimator.n_features_in_ or (np.diff(each) != 1).any() for each in chosen):
            return
    for name in ("best_estimator_", "estimator_", "regressor_", "init_"):
        inner = getattr(estimator, name, None)
        if inner is not None and hasattr(inner, "n_features_in_"):
            yield inner
    parts = getattr(estimator, "estimators_", None)
    for inner in np.ravel(np.array(parts, dtype=object)).tolist() if parts is not None else ():
        if hasattr(inner, "n_features_in_") or takes_texts(inner):
            yield inner
    for inner in getattr(estimator, "calibrated_classifiers_", ()):
        yield inner.estimator


Reader = Callable[[KnownColumns, Any, Features], Features | None]

READERS: Mapping[str, Reader] = {
    "Pipeline": _pipeline,
    "ColumnTransformer": _column_transformer,
    "FeatureUnion": _union,
    **dict.fromkeys(("StandardScaler", "RobustScaler", "MaxAbsScaler"), _scaled),
    "MinMaxScaler": _min_max,
    **dict.fromkeys(("SimpleImputer", "KNNImputer", "IterativeImputer"), _imputed),
    **dict.fromkeys(("OneHotEncoder", "OrdinalEncoder", "TargetEncoder"), _encoder),
    "FunctionTransformer": _function,
    "SelectorMixin": _selected,
    "KBinsDiscretizer": _bins,
    "QuantileTransformer": _quantiles,
    "SplineTransformer": _splines,
    "Binarizer": _binarizer,
    **dict.fromkeys(("CountVectorizer", "TfidfVectorizer"), _vectorizer),
    "HashingVectorizer": _hashing_vectorizer,
    "BaseDecisionTree": _tree,
    "BaseHistGradientBoosting": _histogram_boosting,
}
"""By class: what reads what it learned, and gives the features that it makes of its own."""
