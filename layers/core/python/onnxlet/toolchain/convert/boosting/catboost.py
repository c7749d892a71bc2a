"""CatBoost models: estimators, or files in its own binary format (.cbm) or JSON, which run no code.

The trees are read from the JSON that CatBoost itself writes of a loaded model
(https://catboost.ai/docs/en/concepts/output-data_model-json). Its own ONNX export sends missing values of
nan_mode=Max the wrong way and refuses trees of other growing policies than SymmetricTree.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert.boosting.estimators import never_fitted
from onnxlet.toolchain.convert.boosting.forest import LEQ, Forest, Tree
from onnxlet.toolchain.convert.tabular import link_functions
from onnxlet.toolchain.convert.tabular.category_values import Categories
from onnxlet.toolchain.convert.tabular.graph_writer import GraphWriter
from onnxlet.toolchain.convert.tabular.matrix_model import MatrixModel
from onnxlet.toolchain.workbench.extras import require, versions
from onnxlet.toolchain.workbench.privacy import without_values
from onnxlet.toolchain.workbench.probing_rows import Knowledge
from onnxlet.toolchain.workbench.progress import Progress
from onnxlet.toolchain.workbench.refusals import refused
from onnxlet.toolchain.workbench.table import quoted
from onnxlet.values.manifest import ReferenceKind
from onnxlet.values.tensors import Tensor, Tensors

_LINKS = {
    **dict.fromkeys(
        ("RMSE", "MAE", "Quantile", "MultiQuantile", "Expectile", "MAPE", "Huber", "LogLinQuantile", "MultiRMSE"),
        "identity",
    ),
    **dict.fromkeys(("Poisson", "Tweedie"), "exponential"),
}
"""Losses of regressors, and how their predictions come from margins."""
_BINARY = ("Logloss", "CrossEntropy")
_MULTICLASS = ("MultiClass", "MultiClassOneVsAll")


def open_model(path: Path, *, trust: bool, progress: Progress) -> MatrixModel:  # noqa: ARG001
    """The model in a file. Raises ConversionError for what is none or has no ONNX form, MissingExtraError."""
    require("boosting", "catboost")
    import catboost

    try:
        model = catboost.CatBoost()
        with path.open("rb") as file:
            kind = "json" if file.read(1) == b"{" else "cbm"
        model.load_model(str(path), format=kind)
    except catboost.CatBoostError as error:
        raise ConversionError(
            f"{path.name!r} is no CatBoost model, or not all of it ({_last_line(error)}): write it with "
            "save_model('model.cbm')",
            path=str(path),
        ) from error
    _check_features(model)
    document = _read_json(model)
    # as what it was trained by, whose predict is what users call
    classifies = document["model_info"]["params"]["loss_function"]["type"] in (*_BINARY, *_MULTICLASS)
    estimator = catboost.CatBoostClassifier() if classifies else catboost.CatBoostRegressor()
    estimator.load_model(str(path), format=kind)
    return MatrixModel(CatBoostEstimator(estimator, document))


def open_object(model: Any, *, progress: Progress) -> MatrixModel:  # noqa: ARG001
    """A CatBoost, or an estimator such as CatBoostClassifier. Raises ConversionError for what has no ONNX form."""
    require("boosting", "catboost")
    import catboost

    if not model.is_fitted():
        raise never_fitted(model)
    _check_features(model)
    document = _read_json(model)
    estimator = isinstance(model, catboost.CatBoostClassifier | catboost.CatBoostRegressor)
    native = CatBoostEstimator(model, document) if estimator else CatBoostModel(model, document)
    native.reference = "object"
    return MatrixModel(native)


class CatBoostModel:
    """Trees, oblivious or not."""

    framework = "CatBoost"
    reference: ReferenceKind = "file"
    exact_width = True
    categories: Categories = MappingProxyType({})
    sparse_zeros_are_missing = False
    forgets_classes = False
    forgets_missing: Collection[int] = ()
    datatypes: tuple[str, ...] = ("FP32",)  # it turns every value into one

    def __init__(self, model: Any, document: dict[str, Any]) -> None:
        self.versions = versions("catboost", "onnx")
        self._model = model
        self._loss = document["model_info"]["params"]["loss_function"]["type"]
        self._probability_threshold = float(document["model_info"].get("binclass_probability_threshold", 0.5))
        names = tuple(model.feature_names_)
        self.width = len(names)
        self.names = None if names == tuple(map(str, range(len(names)))) else names
        scale, base = document["scale_and_bias"]
        self.outputs = len(base)
        self.classes = self._classes()
        self._forest = Forest(_read_trees(document), self.outputs, LEQ, np.array(base, dtype=np.float64), float(scale))

    def spell(self, name: str) -> str:
        """As the column is called."""
        return name

    def known_columns(self, names: Sequence[str]) -> Knowledge:
        """The thresholds of its trees."""
        return self._forest.known_columns(names)

    def sample_rows(self, count: int, width: int, random: np.random.Generator) -> Tensor:
        """Rows around the values that the trees split by."""
        return self._forest.sample_rows(count, width, random)

    def predict(self, features: Any) -> Tensors:
        """What CatBoostClassifier's predict and predict_proba give, or CatBoostRegressor's predict."""
        if self.classes is None:
            kind = "Exponent" if _LINKS[self._loss] == "exponential" else "RawFormulaVal"
            return {"prediction": self._predict(features, kind)}
        return {
            "label": self._labels(self._predict(features, "Class")),
            "probabilities": self._predict(features, "Probability"),
        }

    def _labels(self, chosen: Tensor) -> Tensor:
        """Predicted classes [rows] or [rows, 1] as the graph gives them."""
        chosen = chosen.reshape(-1)
        if self.classes is not None and not isinstance(self.classes[0], str):
            # booleans come as the texts "True" and "False"
            chosen = chosen == "True" if chosen.dtype.kind in "OSU" else chosen
            chosen = chosen.astype(np.int64)
        return chosen.astype(object) if chosen.dtype.kind in "SU" else chosen

    def write(self, graph: GraphWriter, features: str, width: int) -> link_functions.AnswerNames:  # noqa: ARG002 - it has its own
        """The forest with the loss's link."""
        margins = self._forest.write(graph, features)
        if self.classes is None:
            return link_functions.regression(graph, margins, _LINKS[self._loss], self.outputs)
        if self.outputs == 1:
            return link_functions.binary(graph, margins, self.classes, threshold=self._threshold())
        return link_functions.multiclass(graph, margins, self.classes, exclusive=self._loss == "MultiClass")

    def _threshold(self) -> float:
        """The margin above which it chooses the second class: 0, unless a probability was set."""
        probability = self._probability_threshold
        if not 0 < probability < 1:
            return -math.inf if probability <= 0 else math.inf
        return -math.log(1 / probability - 1)

    def _predict(self, features: Any, kind: str) -> Tensor:
        return self._ask(self._model.predict, features, prediction_type=kind)

    @staticmethod
    def _ask(method: Callable[..., Any], features: Any, **options: str) -> Tensor:
        import catboost

        try:
            return np.asarray(method(features, **options))
        except catboost.CatBoostError as error:
            raise refused("CatBoost refuses the rows", _last_line(error), features) from without_values(error)

    def _classes(self) -> tuple[int | str, ...] | None:
        if self._loss in (*_BINARY, *_MULTICLASS):
            return tuple(_class_value(value) for value in self._model.classes_.tolist())
        if self._loss not in _LINKS:
            raise link_functions.unsupported("loss", self._loss, (*_BINARY, *_MULTICLASS, *_LINKS))
        return None


class CatBoostEstimator(CatBoostModel):
    """An estimator like scikit-learn's."""

    def predict(self, features: Any) -> Tensors:
        """What its predict and predict_proba give. Raises InvalidInputError for rows that it refuses."""
        predicted = self._ask(self._model.predict, features)
        if self.classes is None:
            return {"prediction": predicted}
        probabilities = self._ask(self._model.predict_proba, features)
        return {"label": self._labels(predicted), "probabilities": probabilities}


def _check_features(model: Any) -> None:
    """Raise ConversionError for features that are no numbers."""
    for kind, indices in (
        ("categorical", model.get_cat_feature_indices()),
        ("text", model.get_text_feature_indices()),
        ("embedding", model.get_embedding_feature_indices()),
    ):
        names = [model.feature_names_[index] for index in indices]
        if names:
            raise ConversionError(
                f"the CatBoost model has {kind} features ({quoted(names)}), which have no ONNX form: train on one-hot "
                "or ordinal encoded columns, without cat_features, text_features and embedding_features",
                features=names,
            )


def _read_json(model: Any) -> dict[str, Any]:
    """The model as CatBoost's JSON."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.json")
        model.save_model(str(file), format="json")
        document: dict[str, Any] = json.loads(file.read_bytes())
    return document


def _read_trees(document: dict[str, Any]) -> list[Tree]:
    features = document["features_info"].get("float_features", [])
    position = {feature["feature_index"]: feature["flat_feature_index"] for feature in features}
    # a missing value is no greater than any border, unless it counts as greater than all
    right = {feature["feature_index"] for feature in features if feature["nan_value_treatment"] == "AsTrue"}
    if "oblivious_trees" in document:
        return [_symmetric_tree(tree, position, right) for tree in document["oblivious_trees"]]
    return [_nested_tree(tree, position, right) for tree in document["trees"]]


def _symmetric_tree(tree: dict[str, Any], position: dict[int, int], right: set[int]) -> Tree:
    """All splits of a level are the same; the last listed is the root's, and bit i of a leaf's number is split i's."""
    splits = tree["splits"][::-1]
    levels = np.repeat(np.arange(len(splits)), 1 << np.arange(len(splits)))
    count = len(levels)
    children = np.arange(2 * count).reshape(-1, 2) + 1
    numbers = np.where(children < count, children, ~(children - count))
    features = np.array([split["float_feature_index"] for split in splits], dtype=np.int64)[levels]
    return Tree(
        features=np.array([position[feature] for feature in features.tolist()], dtype=np.int64),
        thresholds=np.array([split["border"] for split in splits], dtype=np.float64)[levels],
        missing_left=np.array([feature not in right for feature in features.tolist()], dtype=bool),
        left=numbers[:, 0],
        right=numbers[:, 1],
        leaves=np.array(tree["leaf_values"], dtype=np.float64).reshape(1 << len(splits), -1),
    )


def _nested_tree(tree: dict[str, Any], position: dict[int, int], right: set[int]) -> Tree:
    """A tree of nested nodes, flattened."""
    splits: list[tuple[int, float, bool]] = []
    children: list[list[int]] = []
    leaves: list[list[float]] = []
    pending: list[tuple[dict[str, Any], int, int]] = [(tree, -1, 0)]
    while pending:
        node, parent, side = pending.pop()
        if "split" in node:
            feature = node["split"]["float_feature_index"]
            number = len(splits)
            splits.append((position[feature], node["split"]["border"], feature not in right))
            children.append([0, 0])
            pending += [(node["left"], number, 0), (node["right"], number, 1)]
        else:
            number = ~len(leaves)
            leaves.append(np.atleast_1d(node["value"]).tolist())
        if parent >= 0:
            children[parent][side] = number
    numbers = np.array(children, dtype=np.int64).reshape(-1, 2)
    return Tree(
        features=np.array([feature for feature, _, _ in splits], dtype=np.int64),
        thresholds=np.array([np.float32(border) for _, border, _ in splits], dtype=np.float64),
        missing_left=np.array([missing_left for _, _, missing_left in splits], dtype=bool),
        left=numbers[:, 0],
        right=numbers[:, 1],
        leaves=np.array(leaves, dtype=np.float64),
    )


def _class_value(value: Any) -> int | str:
    """A class value as the graph gives it. Raises ConversionError for fractions."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and not value.is_integer():
        raise ConversionError(
            "class values must be whole numbers or texts: fit with encoded classes, and give --labels"
        )
    return int(value)


def _last_line(error: Exception) -> str:
    return str(error).rpartition(": ")[2][:200]
