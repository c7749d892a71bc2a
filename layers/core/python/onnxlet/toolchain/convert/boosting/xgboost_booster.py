"""Boosters of XGBoost: trees, links and rounds.

The trees are read from the JSON that XGBoost itself writes of a loaded model (its schema:
https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert.boosting.xgboost_linear import write_linear
from onnxlet.toolchain.convert.boosting.xgboost_trees import categories_of, read_tree
from onnxlet.toolchain.convert.tabular import link_functions
from onnxlet.toolchain.convert.tabular.category_columns import CategoryColumns
from onnxlet.toolchain.convert.tabular.category_values import Categories, as_categories
from onnxlet.toolchain.convert.tabular.forest import LT, Forest
from onnxlet.toolchain.convert.tabular.graph_writer import GraphWriter
from onnxlet.toolchain.workbench.extras import versions
from onnxlet.toolchain.workbench.privacy import without_values
from onnxlet.toolchain.workbench.probing_rows import Knowledge
from onnxlet.toolchain.workbench.progress import Progress
from onnxlet.toolchain.workbench.refusals import refused
from onnxlet.values.manifest import ReferenceKind
from onnxlet.values.tensors import Tensor, Tensors

LINKS = {
    **dict.fromkeys(
        (
            "reg:squarederror",
            "reg:squaredlogerror",
            "reg:absoluteerror",
            "reg:quantileerror",
            "reg:pseudohubererror",
            "rank:pairwise",
            "rank:ndcg",
            "rank:map",
            "binary:logitraw",
        ),
        "identity",
    ),
    **dict.fromkeys(("count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft"), "exponential"),
    "reg:logistic": "logistic",
}
"""Objectives of regressors, and how their predictions come from margins."""
_BINARY = ("binary:logistic", "binary:hinge")
_MULTICLASS = ("multi:softprob", "multi:softmax")


class XGBoostModel:
    """A booster of trees."""

    framework = "XGBoost"
    reference: ReferenceKind = "file"
    exact_width = True
    sparse_zeros_are_missing = True
    forgets_classes = False
    whole_numbers: Collection[int] = ()
    datatypes: tuple[str, ...] = ("FP32",)  # it turns every value into one

    def __init__(self, booster: Any, learner: dict[str, Any], progress: Progress, missing: float | None = None) -> None:
        self._missing = number_of_missing(missing)
        """The number that stands for a missing value beside NaN; None where only NaN does."""
        self.versions = versions("xgboost", "xgboost-cpu", "onnx")
        self._booster = booster
        self._learner = learner
        self._objective = learner["objective"]["name"]
        parameters = learner["learner_model_param"]
        self.width = int(parameters["num_feature"])
        self.names = tuple(learner.get("feature_names") or ()) or None
        kinds = learner.get("feature_types") or ()
        categorical = {at for at, kind in enumerate(kinds) if kind == "c"}
        self.forgets_missing: Collection[int] = set(range(self.width)) - categorical if missing is None else ()
        self.outputs = max(int(parameters["num_class"]), int(parameters.get("num_target", 1)), 1)
        self.classes = self._classes()
        self.marks = self.outputs if self._objective in _BINARY and self.outputs > 1 else 0
        self._is_linear = learner["gradient_booster"]["name"] == "gblinear"
        self.categories: Categories = {} if self._is_linear else categories_of(self._gradient_booster["model"])
        self._columns = CategoryColumns(self.width, self.categories)
        self._check_trees()
        self._rounds = self._rounds_used(progress)

    def spell(self, name: str) -> str:
        """As the column is called."""
        return name

    def known_columns(self, names: Sequence[str]) -> Knowledge:
        """The thresholds of its trees."""
        return Knowledge() if self._is_linear else self._forest().known_columns(names)

    def sample_rows(self, count: int, width: int, random: np.random.Generator) -> Tensor:
        """Rows around the values that the trees split by; of those that miss a value, half have its number."""
        if self._is_linear:
            return random.standard_normal((count, width)).astype(np.float32).astype(np.float64)
        rows = self._forest().sample_rows(count, width, random)
        self._columns.fill_samples(rows, random)
        if self._missing is not None:
            rows[np.isnan(rows) & (random.random(rows.shape) < 0.5)] = self._missing  # noqa: PLR2004 - a half
        return rows

    def predict(self, features: Any) -> Tensors:
        """What the scikit-learn wrapper's predict and predict_proba give. Raises InvalidInputError for infinities."""
        import xgboost

        features = as_categories(features, self.categories)
        # a frame tells by itself
        types = None if hasattr(features, "iloc") else self._learner.get("feature_types") or None
        try:
            missing = np.nan if self._missing is None else self._missing
            rows = xgboost.DMatrix(features, missing=missing, enable_categorical=True, feature_types=types)
        except xgboost.core.XGBoostError as error:
            raise refused("XGBoost refuses the rows", message_of(error), features) from without_values(error)
        if self._objective in _MULTICLASS:
            margins = self._predict(rows, output_margin=True)
            return {"label": margins.argmax(axis=1), "probabilities": _softmax(margins)}
        predicted = self._predict(rows)
        if self.classes is None:
            return {"prediction": predicted}
        label = (predicted > 0.5).astype(np.int64)  # noqa: PLR2004 - one half
        if self._objective == "binary:hinge":
            return {"label": label}
        if self.marks:
            return {"label": label, "probabilities": predicted}
        return {"label": label, "probabilities": np.stack([1 - predicted, predicted], axis=1)}

    def write(self, graph: GraphWriter, features: str, width: int) -> link_functions.AnswerNames:  # noqa: ARG002 - trees do not mind
        """The forest with the objective's link, behind what makes NaN of the number for missing values."""
        if self._missing is not None:
            features = graph.to_float(features)
            missing = graph.add("Equal", features, graph.constant(np.array([self._missing])))
            features = graph.add("Where", missing, graph.constant(np.array([np.nan], dtype=np.float32)), features)
        margins = self._write_margins(graph, features)
        if self.classes is None:
            return link_functions.regression(graph, margins, LINKS.get(self._objective, "logistic"), self.outputs)
        if self.marks:
            return link_functions.apart(graph, margins, self.marks, self._write_binary)
        if self._objective in _BINARY:
            return self._write_binary(graph, margins)
        return link_functions.multiclass(graph, margins, self.classes)

    def _write_binary(self, graph: GraphWriter, margins: str) -> link_functions.AnswerNames:
        """Two classes by margins [N, 1]."""
        classes = self.classes or (0, 1)
        if self._objective == "binary:logistic":
            return link_functions.binary_float32(graph, margins, classes)
        positive = graph.add("Greater", margins, graph.constant([0.0]))
        return link_functions.AnswerNames(link_functions.label_where(graph, positive, classes))

    def _write_margins(self, graph: GraphWriter, features: str) -> str:
        if self._is_linear:
            return write_linear(graph, features, self._learner["gradient_booster"], self._intercept())
        forest = self._forest()
        if self._columns:
            # it reads single numbers, and categories among them
            single = graph.to_double(graph.to_float(features))
            features = self._columns.append(graph, single, single)
        return forest.write(graph, features)

    def _predict(self, rows: Any, **options: Any) -> Tensor:
        # the file may know its columns by name, the matrix does not
        predicted: Tensor = self._booster.predict(
            rows, iteration_range=(0, self._rounds), validate_features=False, **options
        )
        return predicted

    def _classes(self) -> tuple[int | str, ...] | None:
        if self._objective in _BINARY:
            return (0, 1)
        if self._objective in _MULTICLASS:
            return tuple(range(self.outputs))
        if self._objective not in LINKS:
            raise link_functions.unsupported("objective", self._objective, (*_BINARY, *_MULTICLASS, *LINKS))
        return None

    def _check_trees(self) -> None:
        """Raise ConversionError for what the trees hold that is not converted."""
        kind = self._learner["gradient_booster"]["name"]
        if kind not in ("gbtree", "dart", "gblinear"):
            raise ConversionError(f"the booster {kind!r} is not converted, only gbtree, dart and gblinear are")
        if self._is_linear:
            return
        if any(int(tree["tree_param"]["size_leaf_vector"]) > 1 and "leaf_weights" not in tree for tree in self._trees):
            raise ConversionError("leaves with several outputs are read from XGBoost 3.2 on: install that")

    def _rounds_used(self, progress: Progress) -> int:
        """How many boosting rounds the API that wrote the file predicts with."""
        attributes = self._learner.get("attributes", {})
        rounds: int = self._booster.num_boosted_rounds()
        if "best_iteration" not in attributes:
            return rounds
        best = int(attributes["best_iteration"]) + 1
        if "scikit_learn" in attributes:
            if best < rounds:
                progress(f"early stopping found {best} of {rounds} rounds best: these are taken, as its predict does")
            return best
        if best < rounds:
            progress(
                f"early stopping found {best} of {rounds} rounds best, but Booster.predict takes all, and so does the "
                f"graph; save booster[:{best}] for these alone"
            )
        return rounds

    @property
    def _gradient_booster(self) -> dict[str, Any]:
        booster: dict[str, Any] = self._learner["gradient_booster"]
        # dart keeps its trees one level deeper
        inner: dict[str, Any] = booster.get("gbtree", booster)
        return inner

    @property
    def _trees(self) -> list[dict[str, Any]]:
        trees: list[dict[str, Any]] = self._gradient_booster["model"]["trees"]
        return trees

    def _forest(self) -> Forest:
        model = self._gradient_booster["model"]
        ends = model["iteration_indptr"][self._rounds]
        weights = self._learner["gradient_booster"].get("weight_drop") or [1.0] * ends
        trees = [
            read_tree(tree, target, weight, self._columns)
            for tree, target, weight in zip(self._trees[:ends], model["tree_info"], weights, strict=False)
        ]
        return Forest(trees, self.outputs, LT, self._intercept())

    def _intercept(self) -> Tensor:
        """The intercept as margins; the file has it as predictions."""
        score = np.atleast_1d(json.loads(self._learner["learner_model_param"]["base_score"])).astype(np.float32)
        if self._objective in ("binary:logistic", "reg:logistic"):
            score = -np.log(1 / score - 1)
        elif LINKS.get(self._objective) == "exponential":
            score = np.log(score)
        return np.broadcast_to(score, self.outputs)


def read_learner(booster: Any) -> dict[str, Any]:
    """What XGBoost writes of a model."""
    learner: dict[str, Any] = json.loads(bytes(booster.save_raw("json")))["learner"]
    return learner


def number_of_missing(missing: float | None) -> Any:
    """The number for a missing value as XGBoost compares it; None for NaN, which needs none."""
    return None if missing is None or np.isnan(missing) else np.float32(missing)


def _softmax(margins: Tensor) -> Tensor:
    powers = np.exp(margins - margins.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def message_of(error: Exception) -> str:
    """The first line of what XGBoost says, without the place in its source."""
    line = str(error).strip().splitlines()[0]
    return line.rpartition("] ")[2][:200]
