"""LightGBM models: estimators and Boosters, or the text of key=value lines that they save, which runs no code.

The format is what LightGBM's src/io/gbdt_model_text.cpp and src/io/tree.cpp write and read.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert.boosting.estimators import ask, learned_classes, never_fitted
from onnxlet.toolchain.convert.boosting.lightgbm_linear import LinearLeaves
from onnxlet.toolchain.convert.boosting.lightgbm_trees import (
    ZERO,
    pandas_categories,
    parse,
    parse_tree,
    zero_is_missing,
)
from onnxlet.toolchain.convert.options import NOTHING_SAID, SourceOptions
from onnxlet.toolchain.convert.tabular import link_functions
from onnxlet.toolchain.convert.tabular.category_columns import CategoryColumns
from onnxlet.toolchain.convert.tabular.category_values import Categories, as_categories
from onnxlet.toolchain.convert.tabular.forest import LEQ, Forest
from onnxlet.toolchain.convert.tabular.forgotten import whole_numbers
from onnxlet.toolchain.convert.tabular.graph_writer import GraphWriter
from onnxlet.toolchain.convert.tabular.matrix_model import MatrixModel
from onnxlet.toolchain.workbench.extras import require, versions
from onnxlet.toolchain.workbench.probing_rows import Knowledge
from onnxlet.toolchain.workbench.progress import Progress
from onnxlet.values.manifest import ReferenceKind
from onnxlet.values.tensors import Tensor, Tensors

_OF_THE_USER = "none"
"""What LightGBM calls an objective that is a function of the user's."""
_LINKS = {
    **dict.fromkeys(
        (
            "regression",
            "regression_l1",
            "huber",
            "fair",
            "quantile",
            "mape",
            "lambdarank",
            "rank_xendcg",
            _OF_THE_USER,
        ),
        "identity",
    ),
    **dict.fromkeys(("poisson", "gamma", "tweedie"), "exponential"),
    "cross_entropy": "logistic",
    "cross_entropy_lambda": "log1p-exponential",
}
"""Objectives of regressors, and how their predictions come from margins."""
_MULTICLASS = ("multiclass", "multiclassova")


def open_model(path: Path, *, trust: bool, progress: Progress, options: SourceOptions) -> MatrixModel:  # noqa: ARG001 - it runs no code
    """The model in a file. Raises ConversionError for what is none or has no ONNX form, MissingExtraError."""
    require("boosting", "lightgbm")
    import lightgbm

    try:
        text = path.read_text(encoding="utf-8")
        # LightGBM ends the process over some damaged files, so they are read here first
        model = LightGBMModel(*parse(text), pandas_categories(text), options.labels)
        model.use(lightgbm.Booster(model_str=text))
    except (lightgbm.basic.LightGBMError, KeyError, ValueError, IndexError) as error:
        raise ConversionError(
            f"{path.name!r} is no LightGBM model, or not all of it ({type(error).__name__}: {error}): write it with "
            "Booster.save_model('model.txt')",
            path=str(path),
        ) from error
    model.tell(progress)
    return MatrixModel(model, options.labels)


def open_object(model: Any, *, progress: Progress, options: SourceOptions = NOTHING_SAID) -> MatrixModel:
    """A Booster, or an estimator such as LGBMClassifier. Raises ConversionError for what has no ONNX form."""
    require("boosting", "lightgbm")
    import lightgbm

    estimator = model if isinstance(model, lightgbm.LGBMModel) else None
    if estimator is not None and not estimator.__sklearn_is_fitted__():
        raise never_fitted(estimator)
    booster = model if estimator is None else estimator.booster_
    # with the best rounds where it stopped early, as its predict takes them
    text = booster.model_to_string()
    header, blocks, categories = *parse(text), pandas_categories(text)
    if estimator is not None:
        _check_early_stop(estimator)
        known = LightGBMEstimator(estimator, header, blocks, categories)
        known.tell(progress)
        return MatrixModel(known)
    native = LightGBMModel(header, blocks, categories, options.labels)
    native.use(booster)
    native.tell(progress)
    native.reference = "object"
    return MatrixModel(native, options.labels)


class LightGBMModel:
    """A booster of trees, which knows that there are classes, but not their values."""

    framework = "LightGBM"
    reference: ReferenceKind = "file"
    exact_width = True
    sparse_zeros_are_missing = False
    forgets_missing: Collection[int] = ()
    whole_numbers: Collection[int] = ()
    marks = 0
    datatypes: tuple[str, ...] = ("FP32", "FP64")  # it compares doubles

    def __init__(
        self,
        header: dict[str, str],
        blocks: list[dict[str, str]],
        categories: Categories,
        labels: Sequence[str] = (),
    ) -> None:
        self._labels = labels
        self.versions = versions("lightgbm", "onnx")
        self.width = int(header["max_feature_idx"]) + 1
        # names may hold other white space than blanks
        names = tuple(header["feature_names"].split(" "))
        self.names = None if names == tuple(f"Column_{index}" for index in range(len(names))) else names
        self.outputs = int(header["num_tree_per_iteration"])
        self._objective, *parameters = header.get("objective", "none").split()
        self._parameters = dict(parameter.partition(":")[::2] for parameter in parameters)
        self.classes = self._classes()
        self.forgets_classes = self.classes is not None and self._named_values() is None
        self.categories = categories
        self._columns = CategoryColumns(self.width, categories, truncates=True)
        trees = [parse_tree(block, number % self.outputs, self._columns) for number, block in enumerate(blocks)]
        rounds = len(trees) // self.outputs
        steep = self.classes is not None or self._objective == "binary"
        self._steepness = float(self._parameters.get("sigmoid", 1)) if steep else 1.0
        scale = (1 / rounds if "average_output" in header else 1.0) * self._steepness
        self._forest = Forest(trees, self.outputs, LEQ, np.zeros(self.outputs), scale)
        self._linear_leaves = LinearLeaves.read(blocks, self.width)
        self._zero_is_missing = zero_is_missing(blocks, self.width)

    def tell(self, progress: Progress) -> None:
        """Say what may surprise who knows the model by its name alone."""
        if self._objective == _OF_THE_USER:
            progress("the objective is a function of yours, or not known: raw scores are served, as its predict does")

    def spell(self, name: str) -> str:
        """It puts underscores for white space."""
        return "_".join(name.split(" "))

    def known_columns(self, names: Sequence[str]) -> Knowledge:
        """The thresholds of its trees."""
        return self._forest.known_columns(names)

    def sample_rows(self, count: int, width: int, random: np.random.Generator) -> Tensor:
        """Rows around the values that the trees split by."""
        rows = self._forest.sample_rows(count, width, random)
        self._columns.fill_samples(rows, random)
        return rows

    def use(self, booster: Any) -> None:
        """Have rows predicted by LightGBM's estimator around this booster."""
        self._estimator = _estimator_around(booster, self._objective, self.classes)

    def predict(self, features: Any) -> Tensors:
        """What an estimator's predict and predict_proba give. Raises InvalidInputError for rows that it refuses."""
        import lightgbm

        rows = as_categories(features, self.categories)
        return ask(self._estimator, rows, self.classes, refusal=lightgbm.basic.LightGBMError)

    def write(self, graph: GraphWriter, features: str, width: int) -> link_functions.AnswerNames:  # noqa: ARG002 - it has its own
        """The forest with the objective's link."""
        plain = features = graph.to_double(features)
        if self._zero_is_missing.any():
            small = graph.add("LessOrEqual", graph.add("Abs", features), graph.constant([ZERO]))
            small = graph.add("And", small, graph.constant(self._zero_is_missing))
            features = graph.add("Where", small, graph.constant([math.nan]), features)
        margins = self._write_margins(graph, self._columns.append(graph, features, plain), plain)
        if self.classes is None:
            link = "square" if "sqrt" in self._parameters else _LINKS.get(self._objective, "logistic")
            return link_functions.regression(graph, margins, link, self.outputs)
        if self.outputs == 1:
            answers = link_functions.binary(graph, margins, self.classes)
        else:
            exclusive = self._objective == "multiclass"
            answers = link_functions.multiclass(graph, margins, self.classes, exclusive=exclusive)
        return replace(answers, write_scores=partial(self._write_scores, graph, margins))

    def _write_margins(self, graph: GraphWriter, features: str, plain: str) -> str:
        if self._linear_leaves is None:
            return self._forest.write(graph, features)
        return self._linear_leaves.write(graph, self._forest, features, plain)

    def _write_scores(self, graph: GraphWriter, margins: str) -> str:
        scores = graph.add("Div", margins, graph.constant([self._steepness]))
        return scores if self.outputs > 1 else graph.add("Concat", graph.add("Neg", scores), scores, axis=1)

    def _named_values(self) -> tuple[int, ...] | None:
        """Its class values as labels said them, if they did."""
        return whole_numbers(self._labels, max(self.outputs, 2))

    def _classes(self) -> tuple[int | str, ...] | None:
        if self._objective in ("binary", *_MULTICLASS):
            return self._named_values() or tuple(range(max(self.outputs, 2)))
        if self._objective not in _LINKS:
            raise link_functions.unsupported("objective", self._objective, ("binary", *_MULTICLASS, *_LINKS))
        return None


class LightGBMEstimator(LightGBMModel):
    """An estimator like scikit-learn's, which knows its classes."""

    reference: ReferenceKind = "object"

    def __init__(
        self, estimator: Any, header: dict[str, str], blocks: list[dict[str, str]], categories: Categories
    ) -> None:
        self._estimator = estimator
        super().__init__(header, blocks, categories)
        self.forgets_classes = False

    def _classes(self) -> tuple[int | str, ...] | None:
        # with an objective of the user's, its predict gives scores
        classes = None if self._objective == _OF_THE_USER else learned_classes(self._estimator)
        if classes is not None:
            super()._classes()
            return classes
        if self._objective not in (*_LINKS, "binary"):
            raise link_functions.unsupported("objective", self._objective, (*_LINKS, "binary"))
        return None


def _check_early_stop(estimator: Any) -> None:
    """Raise ConversionError where predict takes only as many trees as each row seems to need."""
    if estimator.get_params().get("pred_early_stop"):
        raise ConversionError(
            f"the {type(estimator).__name__} stops predicting early (pred_early_stop), which has no ONNX form: "
            "set_params(pred_early_stop=False) takes all trees"
        )


def _estimator_around(booster: Any, objective: str, classes: tuple[int | str, ...] | None) -> Any:
    """LightGBM's own estimator with this booster, as if it had been fitted by it: there is no public way."""
    import lightgbm
    from sklearn.preprocessing import LabelEncoder

    kind = lightgbm.LGBMRegressor if classes is None else lightgbm.LGBMClassifier
    estimator = kind(objective=objective, verbose=-1)
    width = booster.num_feature()
    vars(estimator).update(_Booster=booster, fitted_=True, _n_features=width, _n_features_in=width)
    if classes is not None:
        values = np.array(classes)
        encoder = LabelEncoder()
        # not fitted, which would sort them: they are in the order of the booster's outputs
        encoder.classes_ = values
        vars(estimator).update(_classes=values, _n_classes=len(values), _le=encoder)
    return estimator
