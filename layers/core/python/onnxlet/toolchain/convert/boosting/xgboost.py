"""XGBoost models: estimators and Boosters, or files in UBJSON or JSON as they save them, which run no code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.toolchain.convert.boosting.estimators import ask, learned_classes, never_fitted
from onnxlet.toolchain.convert.boosting.xgboost_booster import (
    LINKS,
    XGBoostModel,
    message_of,
    number_of_missing,
    read_learner,
)
from onnxlet.toolchain.convert.options import NOTHING_SAID, SourceOptions
from onnxlet.toolchain.convert.tabular import link_functions
from onnxlet.toolchain.convert.tabular.category_values import as_categories
from onnxlet.toolchain.convert.tabular.matrix_model import MatrixModel
from onnxlet.toolchain.convert.tabular.own_rows import as_frame
from onnxlet.toolchain.workbench.extras import require
from onnxlet.toolchain.workbench.progress import Progress
from onnxlet.values.manifest import ReferenceKind
from onnxlet.values.tensors import Tensors


def open_model(path: Path, *, trust: bool, progress: Progress, options: SourceOptions) -> MatrixModel:  # noqa: ARG001 - it runs no code
    """The model in a file. Raises ConversionError for what is none or has no ONNX form, MissingExtraError."""
    require("boosting", "xgboost")
    import xgboost

    try:
        # from bytes: of a file it would judge the format by the name
        contents = bytearray(path.read_bytes())
        booster = xgboost.Booster(model_file=contents)
        learner = read_learner(booster)
    except (xgboost.core.XGBoostError, ValueError) as error:
        raise ConversionError(
            f"{path.name!r} is no XGBoost model, or not all of it ({message_of(error)}): write it with "
            "save_model('model.ubj'); dump_model writes texts for people",
            path=str(path),
        ) from error
    return MatrixModel(_read_native(contents, booster, learner, progress, options.missing_value))


def open_object(model: Any, *, progress: Progress, options: SourceOptions = NOTHING_SAID) -> MatrixModel:
    """A Booster, or an estimator such as XGBClassifier.

    Raises ConversionError for what has no ONNX form, InvalidInputError for another missing value than its own.
    """
    require("boosting", "xgboost")
    import xgboost

    if not isinstance(model, xgboost.XGBModel):
        native = XGBoostModel(model, read_learner(model), progress, options.missing_value)
        native.reference = "object"
        return MatrixModel(native)
    if not model.__sklearn_is_fitted__():
        raise never_fitted(model)
    estimator = XGBoostEstimator(model, read_learner(model.get_booster()), progress)
    if callable(model.objective) and estimator.classes is None:
        progress("the objective is a function of yours: raw scores are served, as its predict does")
    said = options.missing_value
    if said is not None and number_of_missing(said) != number_of_missing(model.missing):
        raise InvalidInputError(
            f"the {type(model).__name__} was fitted with missing={model.missing}: leave missing_value out"
        )
    return MatrixModel(estimator)


def _read_native(
    contents: bytearray, booster: Any, learner: dict[str, Any], progress: Progress, missing: float | None
) -> XGBoostModel:
    """What answers as the API that wrote the file: the estimator read from it, or the Booster."""
    import xgboost

    written = learner.get("attributes", {}).get("scikit_learn")
    # of rows without a type it would not know which columns are categories
    if written is None or "c" in (learner.get("feature_types") or ()):
        return XGBoostModel(booster, learner, progress, missing)
    kinds = {"classifier": xgboost.XGBClassifier, "ranker": xgboost.XGBRanker}
    kind = kinds.get(json.loads(written).get("_estimator_type"), xgboost.XGBRegressor)
    estimator = kind() if missing is None else kind(missing=missing)
    estimator.load_model(contents)
    native = XGBoostEstimator(estimator, learner, progress)
    native.reference, native.forgets_missing = "file", range(native.width) if missing is None else ()
    return native


class XGBoostEstimator(XGBoostModel):
    """An estimator like scikit-learn's, which knows its classes, its best round, and which value is a missing one."""

    reference: ReferenceKind = "object"

    def __init__(self, estimator: Any, learner: dict[str, Any], progress: Progress) -> None:
        self._estimator = estimator
        super().__init__(estimator.get_booster(), learner, progress, estimator.missing)
        self.forgets_missing = ()

    def predict(self, features: Any) -> Tensors:
        """What its predict and predict_proba give. Raises InvalidInputError for rows that it refuses."""
        if self.reference == "file" and self.names is not None:
            features = as_frame(dict(zip(self.names, features.T, strict=True)))
        rows = as_categories(features, self.categories)
        return ask(self._estimator, rows, self.classes, probabilities=self._objective != "binary:hinge")

    def _classes(self) -> tuple[int | str, ...] | None:
        classes = learned_classes(self._estimator)
        if classes is not None:
            if super()._classes() is None:
                raise ConversionError(
                    f"the {type(self._estimator).__name__} was trained for {self._objective!r}, of which its "
                    "predict_proba makes no probabilities: train it for binary:logistic or multi:softprob"
                )
            return classes
        if self._objective not in (*LINKS, "binary:logistic"):
            raise link_functions.unsupported("objective", self._objective, (*LINKS, "binary:logistic"))
        return None

    def _rounds_used(self, progress: Progress) -> int:
        rounds: int = self._booster.num_boosted_rounds()
        # without early stopping it has no such attribute
        best: int = getattr(self._estimator, "best_iteration", rounds - 1) + 1
        if best < rounds:
            progress(f"early stopping found {best} of {rounds} rounds best: these are taken, as its predict does")
        return best
