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
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert.boosting.catboost_trees import TreeReader, category_hashes, statistics_of_target
from onnxlet.toolchain.convert.boosting.estimators import never_fitted
from onnxlet.toolchain.convert.boosting.hashed_categories import find_categories
from onnxlet.toolchain.convert.tabular import link_functions
from onnxlet.toolchain.convert.tabular.category_columns import CategoryColumns
from onnxlet.toolchain.convert.tabular.category_values import Categories, text_features
from onnxlet.toolchain.convert.tabular.forest import LEQ, Forest
from onnxlet.toolchain.convert.tabular.graph_writer import GraphWriter
from onnxlet.toolchain.convert.tabular.matrix_model import MatrixModel
from onnxlet.toolchain.workbench.extras import require, versions
from onnxlet.toolchain.workbench.privacy import without_values
from onnxlet.toolchain.workbench.probing_rows import Knowledge
from onnxlet.toolchain.workbench.progress import Progress
from onnxlet.toolchain.workbench.refusals import refused
from onnxlet.toolchain.workbench.table import Table, quoted
from onnxlet.values.manifest import ReferenceKind
from onnxlet.values.tensors import Tensor, Tensors

_LINKS = {
    **dict.fromkeys(("Poisson", "Tweedie"), "exponential"),
    "RMSEWithUncertainty": "mean and variance",
}
"""Losses of regressors and rankers whose predictions are not the margins themselves."""
_MULTICLASS = ("MultiClass", "MultiClassOneVsAll")
_MULTILABEL = ("MultiLogloss", "MultiCrossEntropy")
_OF_THE_USER = "PythonUserDefined"
"""What the names of losses begin with that are objects of the user's."""


def open_model(path: Path, *, trust: bool, progress: Progress) -> MatrixModel:  # noqa: ARG001 - it runs no code
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
    # as what it was trained by, whose predict is what users call
    estimator = catboost.CatBoostClassifier() if len(model.classes_) else catboost.CatBoostRegressor()
    estimator.load_model(str(path), format=kind)
    return MatrixModel(CatBoostEstimator(estimator, _read(estimator, progress)))


def open_object(model: Any, *, progress: Progress) -> MatrixModel:
    """A CatBoost, or an estimator such as CatBoostClassifier. Raises ConversionError for what has no ONNX form."""
    require("boosting", "catboost")
    import catboost

    if not model.is_fitted():
        raise never_fitted(model)
    kinds = (catboost.CatBoostClassifier, catboost.CatBoostRegressor, catboost.CatBoostRanker)
    native = (CatBoostEstimator if isinstance(model, kinds) else CatBoostModel)(model, _read(model, progress))
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
        self._loss = _loss_of(document)
        self._probability_threshold = float(document["model_info"].get("binclass_probability_threshold", 0.5))
        names = tuple(model.feature_names_)
        self.width = len(names)
        self.names = None if names == tuple(map(str, range(len(names)))) else names
        scale, base = document["scale_and_bias"]
        self.outputs = len(base)
        self.classes = self._classes()
        self.marks = self.outputs if self._loss in _MULTILABEL else 0
        self.whole_numbers: Collection[int] = ()
        self._hashes = category_hashes(document)
        self._columns = CategoryColumns(self.width)
        trees = TreeReader(document, self._columns).read()
        self._forest = Forest(trees, self.outputs, LEQ, np.array(base, dtype=np.float64), float(scale))

    def spell(self, name: str) -> str:
        """As the column is called."""
        return name

    def learn_categories(self, names: Sequence[str], table: Table | None) -> None:
        """Find in the data what its hashes of categories stand for. Raises InvalidInputError where some are not."""
        if self._hashes:
            self.categories = find_categories(type(self._model).__name__, self._hashes, names, table)
            texts = text_features(self.categories)
            self.whole_numbers = frozenset(self.categories) - texts

    def known_columns(self, names: Sequence[str]) -> Knowledge:
        """The thresholds of its trees."""
        return self._forest.known_columns(names)

    def sample_rows(self, count: int, width: int, random: np.random.Generator) -> Tensor:
        """Rows around the values that the trees split by."""
        return self._forest.sample_rows(count, width, random)

    def predict(self, features: Any) -> Tensors:
        """What CatBoostClassifier's predict and predict_proba give, or CatBoostRegressor's predict."""
        if self.classes is None:
            kinds = {"exponential": "Exponent", "mean and variance": "RMSEWithUncertainty"}
            return {"prediction": self._predict(features, kinds.get(self._link, "RawFormulaVal"))}
        return {
            "label": self._labels(self._predict(features, "Class")),
            "probabilities": self._predict(features, "Probability"),
        }

    def _labels(self, chosen: Tensor) -> Tensor:
        """Predicted classes [rows] or [rows, 1] as the graph gives them; of several labels [rows, labels]."""
        chosen = chosen if self.marks else chosen.reshape(-1)
        if self.classes is not None and not isinstance(self.classes[0], str):
            # booleans come as the texts "True" and "False"
            chosen = chosen == "True" if chosen.dtype.kind in "OSU" else chosen
            chosen = chosen.astype(np.int64)
        return chosen.astype(object) if chosen.dtype.kind in "SU" else chosen

    def write(self, graph: GraphWriter, features: str, width: int) -> link_functions.AnswerNames:  # noqa: ARG002 - it has its own
        """The forest with the loss's link."""
        if self._hashes and not self.categories:
            raise ConversionError(
                f"the {type(self._model).__name__} reads categories, which have no ONNX form within another "
                "estimator: convert it by itself, or encode them in the pipeline and train without cat_features"
            )
        single = graph.to_double(graph.to_float(features))
        margins = self._forest.write(graph, self._columns.append(graph, single, single))
        if self.classes is None:
            return link_functions.regression(graph, margins, self._link, self.outputs)
        write = partial(link_functions.binary, classes=self.classes, threshold=self._threshold())
        if self.marks:
            return link_functions.apart(graph, margins, self.marks, write)
        if self.outputs == 1:
            return write(graph, margins)
        return link_functions.multiclass(graph, margins, self.classes, exclusive=self._loss != "MultiClassOneVsAll")

    @property
    def _link(self) -> str:
        return _LINKS.get(self._loss, "identity")

    def _threshold(self) -> float:
        """The margin above which it chooses the second class: 0, unless a probability was set."""
        probability = self._probability_threshold
        if not 0 < probability < 1:
            return -math.inf if probability <= 0 else math.inf
        return -math.log(1 / probability - 1)

    def _predict(self, features: Any, kind: str) -> Tensor:
        return self._ask(self._model.predict, features, prediction_type=kind)

    def _ask(self, method: Callable[..., Any], features: Any, **options: str) -> Tensor:
        import catboost

        try:
            return np.asarray(method(self._typed(features), **options))
        except (catboost.CatBoostError, TypeError, ValueError) as error:
            raise refused("CatBoost refuses the rows", _last_line(error), features) from without_values(error)

    def _typed(self, features: Any) -> Any:
        """The rows with categories that are whole numbers as such: as doubles they are none to CatBoost."""
        if not self.categories:
            return features
        frame = features.copy()
        for at in self.whole_numbers:
            column = frame.iloc[:, at]
            if column.dtype.kind == "f" and np.isfinite(column).all() and (column == np.floor(column)).all():
                frame.isetitem(at, column.astype(np.int64))
        return frame if self.names is not None else frame.to_numpy(dtype=object)

    def _classes(self) -> tuple[int | str, ...] | None:
        known = self._model.classes_
        if not len(known):
            return None
        if self._loss in _MULTILABEL:
            return (0, 1)
        return tuple(_class_value(value) for value in known.tolist())


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
    """Raise ConversionError for features that are neither numbers nor categories."""
    for kind, indices in (
        ("text", model.get_text_feature_indices()),
        ("embedding", model.get_embedding_feature_indices()),
    ):
        names = [model.feature_names_[index] for index in indices]
        if names:
            raise ConversionError(
                f"the {type(model).__name__} has {kind} features ({quoted(names)}), which have no ONNX form: make "
                f"columns of numbers of them, and train without {kind}_features",
                features=names,
            )


def _check_categories(model: Any, document: dict[str, Any]) -> None:
    """Raise ConversionError for categories that stand for statistics of the target."""
    names = [model.feature_names_[at] for at in statistics_of_target(document)]
    if names:
        raise ConversionError(
            f"the {type(model).__name__} replaces the categories of {quoted(names)} by statistics of the target "
            "(CTRs), which have no ONNX form: train with a one_hot_max_size of at least the number of their "
            "categories, or encode them in a pipeline, say by a TargetEncoder, and train without cat_features",
            features=names,
        )


def _read(model: Any, progress: Progress) -> dict[str, Any]:
    """The model as CatBoost's JSON. Raises ConversionError for what has no ONNX form."""
    _check_features(model)
    document = _read_json(model)
    _check_categories(model, document)
    if _loss_of(document).startswith(_OF_THE_USER) and not len(model.classes_):
        progress("the loss is a function of yours: raw scores are served, as its predict does")
    return document


def _loss_of(document: dict[str, Any]) -> str:
    """The loss by name; empty for a sum of models, which has none."""
    parameters = document["model_info"].get("params", {})
    return str(parameters.get("loss_function", {}).get("type", ""))


def _read_json(model: Any) -> dict[str, Any]:
    """The model as CatBoost's JSON."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.json")
        model.save_model(str(file), format="json")
        document: dict[str, Any] = json.loads(file.read_bytes())
    return document


def _class_value(value: Any) -> int | str:
    """A class value as the graph gives it. Raises ConversionError for fractions."""
    if isinstance(value, str | bool):
        return value
    if isinstance(value, float) and not value.is_integer():
        raise ConversionError(
            "class values must be whole numbers or texts: fit with encoded classes, and give --labels"
        )
    return int(value)


def _last_line(error: Exception) -> str:
    return str(error).rpartition(": ")[2][:200]
