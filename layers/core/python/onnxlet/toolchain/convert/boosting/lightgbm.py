"""LightGBM models: estimators and Boosters, or the text of key=value lines that they save, which runs no code.

The format is what LightGBM's src/io/gbdt_model_text.cpp and src/io/tree.cpp write and read.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert.boosting.estimators import ask, learned_classes, never_fitted
from onnxlet.toolchain.convert.boosting.forest import LEQ, Forest, Tree
from onnxlet.toolchain.convert.tabular import link_functions
from onnxlet.toolchain.convert.tabular.graph_writer import GraphWriter
from onnxlet.toolchain.convert.tabular.matrix_model import MatrixModel
from onnxlet.toolchain.workbench.extras import require, versions
from onnxlet.toolchain.workbench.progress import Progress
from onnxlet.values.manifest import ReferenceKind
from onnxlet.values.tensors import Tensor, Tensors

_LINKS = {
    **dict.fromkeys(
        ("regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank", "rank_xendcg"), "identity"
    ),
    **dict.fromkeys(("poisson", "gamma", "tweedie"), "exponential"),
    "cross_entropy": "logistic",
    "cross_entropy_lambda": "log1p-exponential",
}
"""Objectives of regressors, and how their predictions come from margins."""
_MULTICLASS = ("multiclass", "multiclassova")
_ZERO = float(np.float32(1e-35))
"""What is no farther from 0 than this is 0 (kZeroThreshold)."""
_BELOW_ZERO = float(np.nextafter(-_ZERO, -1))
_CATEGORICAL, _DEFAULT_LEFT = 1, 2
_MISSING_SHIFT, _MISSING_IS_ZERO, _MISSING_IS_NAN = 2, 1, 2
"""Bits of a split's decision_type."""


def open_model(path: Path, *, trust: bool, progress: Progress) -> MatrixModel:  # noqa: ARG001
    """The model in a file. Raises ConversionError for what is none or has no ONNX form, MissingExtraError."""
    require("boosting", "lightgbm")
    import lightgbm

    try:
        text = path.read_text(encoding="utf-8")
        # LightGBM ends the process over some damaged files, so they are read here first
        header, blocks = _parse(text)
        model = LightGBMModel(header, blocks)
        model.booster = lightgbm.Booster(model_str=text)
    except (lightgbm.basic.LightGBMError, KeyError, ValueError, IndexError) as error:
        raise ConversionError(
            f"{path.name!r} is no LightGBM model, or not all of it ({type(error).__name__}: {error}): write it with "
            "Booster.save_model('model.txt')",
            path=str(path),
        ) from error
    return MatrixModel(model)


def open_object(model: Any, *, progress: Progress) -> MatrixModel:  # noqa: ARG001
    """A Booster, or an estimator such as LGBMClassifier. Raises ConversionError for what has no ONNX form."""
    require("boosting", "lightgbm")
    import lightgbm

    estimator = model if isinstance(model, lightgbm.LGBMModel) else None
    if estimator is not None and not estimator.__sklearn_is_fitted__():
        raise never_fitted(estimator)
    booster = model if estimator is None else estimator.booster_
    # with the best rounds where it stopped early, as its predict takes them
    header, blocks = _parse(booster.model_to_string())
    native = LightGBMModel(header, blocks) if estimator is None else LightGBMEstimator(estimator, header, blocks)
    native.booster, native.reference = booster, "object"
    return MatrixModel(native)


class LightGBMModel:
    """A booster of trees."""

    framework = "LightGBM"
    reference: ReferenceKind = "file"
    exact_width = True
    sparse_zeros_are_missing = False
    datatypes: tuple[str, ...] = ("FP32", "FP64")  # it compares doubles
    booster: Any

    def __init__(self, header: dict[str, str], blocks: list[dict[str, str]]) -> None:
        self.versions = versions("lightgbm", "onnx")
        self.width = int(header["max_feature_idx"]) + 1
        names = tuple(header["feature_names"].split())
        self.names = None if names == tuple(f"Column_{index}" for index in range(len(names))) else names
        self.outputs = int(header["num_tree_per_iteration"])
        self._objective, *parameters = header.get("objective", "none").split()
        self._parameters = dict(parameter.partition(":")[::2] for parameter in parameters)
        self.classes = self._classes()
        trees = [_parse_tree(block, number % self.outputs) for number, block in enumerate(blocks)]
        rounds = len(trees) // self.outputs
        steep = self.classes is not None or self._objective == "binary"
        self._steepness = float(self._parameters.get("sigmoid", 1)) if steep else 1.0
        scale = (1 / rounds if "average_output" in header else 1.0) * self._steepness
        self._forest = Forest(trees, self.outputs, LEQ, np.zeros(self.outputs), scale)
        self._zero_is_missing = _zero_is_missing(blocks, self.width)

    def spell(self, name: str) -> str:
        """It puts underscores for white space."""
        return "_".join(name.split(" "))

    def sample_rows(self, count: int, width: int, random: np.random.Generator) -> Tensor:
        """Rows around the values that the trees split by."""
        return self._forest.sample_rows(count, width, random)

    def predict(self, features: Any) -> Tensors:
        """What the booster predicts; the label is the first class of the largest probability."""
        predicted = np.asarray(self.booster.predict(features))
        if self.classes is None:
            return {"prediction": predicted}
        if predicted.ndim == 1:
            predicted = np.stack([1 - predicted, predicted], axis=1)
        return {"label": predicted.argmax(axis=1), "probabilities": predicted}

    def write(self, graph: GraphWriter, features: str, width: int) -> link_functions.AnswerNames:  # noqa: ARG002 - it has its own
        """The forest with the objective's link."""
        features = graph.to_double(features)
        if self._zero_is_missing.any():
            small = graph.add("LessOrEqual", graph.add("Abs", features), graph.constant([_ZERO]))
            small = graph.add("And", small, graph.constant(self._zero_is_missing))
            features = graph.add("Where", small, graph.constant([math.nan]), features)
        margins = self._forest.write(graph, features)
        if self.classes is None:
            link = "square" if "sqrt" in self._parameters else _LINKS.get(self._objective, "logistic")
            return link_functions.regression(graph, margins, link, self.outputs)
        if self.outputs == 1:
            answers = link_functions.binary(graph, margins, self.classes)
        else:
            exclusive = self._objective == "multiclass"
            answers = link_functions.multiclass(graph, margins, self.classes, exclusive=exclusive)
        return replace(answers, write_scores=partial(self._write_scores, graph, margins))

    def _write_scores(self, graph: GraphWriter, margins: str) -> str:
        scores = graph.add("Div", margins, graph.constant([self._steepness]))
        return scores if self.outputs > 1 else graph.add("Concat", graph.add("Neg", scores), scores, axis=1)

    def _classes(self) -> tuple[int | str, ...] | None:
        if self._objective == "binary":
            return (0, 1)
        if self._objective in _MULTICLASS:
            return tuple(range(self.outputs))
        if self._objective not in _LINKS:
            raise link_functions.unsupported("objective", self._objective, ("binary", *_MULTICLASS, *_LINKS))
        return None


class LightGBMEstimator(LightGBMModel):
    """An estimator like scikit-learn's, which knows its classes."""

    def __init__(self, estimator: Any, header: dict[str, str], blocks: list[dict[str, str]]) -> None:
        self._estimator = estimator
        super().__init__(header, blocks)

    def predict(self, features: Any) -> Tensors:
        """What its predict and predict_proba give. Raises InvalidInputError for rows that it refuses."""
        import lightgbm

        return ask(self._estimator, features, self.classes, refusal=lightgbm.basic.LightGBMError)

    def _classes(self) -> tuple[int | str, ...] | None:
        classes = learned_classes(self._estimator)
        if classes is not None:
            super()._classes()
            return classes
        if self._objective not in (*_LINKS, "binary"):
            raise link_functions.unsupported("objective", self._objective, (*_LINKS, "binary"))
        return None


def _parse(text: str) -> tuple[dict[str, str], list[dict[str, str]]]:
    """The header and one block per tree, as key=value. Raises ValueError for a text that was cut off."""
    body, end, _ = text.partition("\nend of trees")
    if not end:
        raise ValueError("it has no end of trees")
    header, *blocks = body.split("\nTree=")
    return _parse_lines(header), [_parse_lines(block) for block in blocks]


def _parse_lines(block: str) -> dict[str, str]:
    return dict(line.partition("=")[::2] for line in block.splitlines() if line)


def _parse_tree(block: dict[str, str], target: int) -> Tree:
    """A tree of numbers. Raises ConversionError for splits by category and leaves with linear models."""
    if int(block["num_cat"]):
        raise ConversionError(
            "the LightGBM model splits by categorical features, which are not converted: train on one-hot or ordinal "
            "encoded columns, without categorical_feature and without pandas' category type"
        )
    if int(block.get("is_linear", "0")):
        raise ConversionError("leaves with linear models are not converted: train with linear_tree=False")
    leaves = _parse_numbers(block, "leaf_value", int(block["num_leaves"]))
    splits = len(leaves) - 1
    decisions = _parse_numbers(block, "decision_type", splits).astype(np.int64)
    thresholds = _parse_numbers(block, "threshold", splits)
    # values that are as good as 0 go the way of 0
    thresholds = np.where(np.abs(thresholds) <= _ZERO, np.where(thresholds >= 0, _ZERO, _BELOW_ZERO), thresholds)
    default_left = (decisions & _DEFAULT_LEFT) > 0
    # a feature that was never missing has its missing values read as 0
    missing = decisions >> _MISSING_SHIFT
    return Tree(
        features=_parse_numbers(block, "split_feature", splits).astype(np.int64),
        thresholds=thresholds,
        missing_left=np.where(missing == 0, thresholds >= 0, default_left),
        left=_parse_numbers(block, "left_child", splits).astype(np.int64),
        right=_parse_numbers(block, "right_child", splits).astype(np.int64),
        leaves=leaves[:, None],
        target=target,
    )


def _parse_numbers(block: dict[str, str], key: str, count: int) -> Tensor:
    """A list of `count` numbers. Raises ValueError for another count."""
    values = np.array(block.get(key, "").split(), dtype=np.float64)
    if len(values) != count:
        raise ValueError(f"{key} has {len(values)} values, not {count}")
    return values


def _zero_is_missing(blocks: list[dict[str, str]], width: int) -> Tensor:
    """Which features have 0 for a missing value (zero_as_missing)."""
    flags = np.zeros(width, dtype=bool)
    for block in blocks:
        splits = int(block["num_leaves"]) - 1
        missing = _parse_numbers(block, "decision_type", splits).astype(np.int64) >> _MISSING_SHIFT
        flags[_parse_numbers(block, "split_feature", splits).astype(np.int64)[missing == _MISSING_IS_ZERO]] = True
    return flags
