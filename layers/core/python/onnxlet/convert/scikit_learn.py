"""scikit-learn estimators and pipelines, through skl2onnx."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from onnxlet.convert import graphs
from onnxlet.convert.columns import Layout, layout_of, typical_rows
from onnxlet.convert.estimators import load_estimator
from onnxlet.convert.extras import require, versions
from onnxlet.convert.source import Export, Rows, matrix
from onnxlet.convert.table import Table, quoted
from onnxlet.errors import ConversionError, InvalidInputError, MissingExtraError
from onnxlet.manifest import Classification, Column, Tabular
from onnxlet.tensors import Tensor, Tensors

OPSET = {"": 21, "ai.onnx.ml": 3}
"""What is written: old enough for every ONNX Runtime that this package takes."""
SINGLE_INPUT = "features"
RANDOM_ROWS = 256


def open_model(path: Path, *, trust: bool, say: Callable[[str], None]) -> Estimator:
    """The fitted estimator in a file. Raises as load_estimator does, and ConversionError for a kind that is not served."""
    return Estimator(load_estimator(path, trust=trust, say=say))


class Estimator:
    """A fitted classifier or regressor."""

    framework = "scikit-learn"

    def __init__(self, estimator: Any) -> None:  # noqa: ANN401 - scikit-learn has no types
        from sklearn.base import is_classifier, is_regressor
        from sklearn.exceptions import NotFittedError
        from sklearn.utils.validation import check_is_fitted

        self._estimator = estimator
        self._name = type(estimator).__name__
        self.versions = versions("scikit-learn", "skl2onnx", "onnx")
        try:
            check_is_fitted(estimator)
        except NotFittedError as error:
            raise ConversionError(f"the {self._name} was never fitted: fit it, then save it again") from error
        classifies = bool(is_classifier(estimator))
        if not classifies and not is_regressor(estimator):
            raise ConversionError(
                f"a {self._name} is neither a classifier nor a regressor, and only these are converted; convert it with "
                "skl2onnx and publish the .onnx file"
            )
        if classifies and isinstance(estimator.classes_, list):
            raise ConversionError(f"the {self._name} predicts several targets: convert one classifier per target")
        self.classes = tuple(_plain_classes(estimator.classes_).tolist()) if classifies else None
        self._layout: Layout | None = None

    def rows(self, table: Table | None, target: str | None, *, seed: int) -> Rows:
        """The rows that the data holds, or random ones where there is none.

        Raises InvalidInputError if the data lacks a column, or cannot be done without.
        """
        self._layout = layout = layout_of(self._estimator, table, target)
        if table is None:
            return Rows(typical_rows(self._estimator, layout.names, RANDOM_ROWS, seed), source="random")
        columns = {
            name: table.tensor(name, "BYTES" if layout.datatypes[name] == "BYTES" else "FP64") for name in layout.names
        }
        return Rows(columns)

    def answers(self, rows: Rows) -> Tensors:
        """The estimator's own answers, by the names of the graph's outputs."""
        inputs = self._native(rows)
        with _quiet():
            if self.classes is None:
                return {"prediction": np.asarray(self._estimator.predict(inputs), dtype=np.float64)}
            answers = {"label": _plain_classes(np.asarray(self._estimator.predict(inputs)))}
            if hasattr(self._estimator, "predict_proba"):
                answers["probabilities"] = np.asarray(self._estimator.predict_proba(inputs), dtype=np.float64)
        return answers

    def exports(self, rows: Rows, labels: tuple[str, ...]) -> Iterator[Export]:
        """In single precision, then in double up to the last step (trees compare in single), then in double throughout.

        Raises ConversionError naming the estimator that skl2onnx cannot convert.
        """
        yield self._export("float32", self._estimator, "FP32", rows, labels)
        before_last = _cast_before_last(self._estimator)
        if before_last is not None:
            yield self._export("float64 before the last step", before_last, "FP64", rows, labels)
        yield self._export("float64", self._estimator, "FP64", rows, labels)

    def _native(self, rows: Rows) -> Any:  # noqa: ANN401
        if self._layout is not None and self._layout.needs_frame:
            try:
                import pandas as pd
            except ImportError as error:
                raise MissingExtraError(
                    f"the {self._name} picks columns by name, which takes a DataFrame: pip install pandas"
                ) from error
            return pd.DataFrame(rows.columns)
        return matrix(rows.columns)

    def _export(self, way: str, estimator: Any, datatype: str, rows: Rows, labels: tuple[str, ...]) -> Export:  # noqa: ANN401
        layout = self._layout
        if layout is None:
            raise ConversionError("the rows must be read before the graph is written")
        datatypes = {name: layout.datatypes[name] or datatype for name in layout.names}
        model = _to_onnx(estimator, layout, datatypes, datatype, probabilities=self._gives_probabilities)
        names = list(layout.names) if layout.columned else [SINGLE_INPUT]
        for value, name in zip(list(model.graph.input), names, strict=True):
            graphs.rename(model.graph, value.name, name)
        tabular = Tabular(
            columns=tuple(Column(name, datatypes[name]) for name in layout.names),
            input=None if layout.columned else SINGLE_INPUT,
        )
        classification = None
        if self.classes is not None:
            classification = self._finish_classifier(model.graph, self.classes, labels)
        else:
            self._finish_regressor(model.graph, self.answers(rows.take(np.arange(1)))["prediction"].shape)
        return Export(way, model.SerializeToString(), tabular, classification, graphs.opsets(model))

    @property
    def _gives_probabilities(self) -> bool:
        return self.classes is not None and hasattr(self._estimator, "predict_proba")

    def _finish_classifier(
        self,
        graph: Any,
        classes: tuple[int | str, ...],
        labels: tuple[str, ...],  # noqa: ANN401
    ) -> Classification:
        found = [value.name for value in graph.output][: 2 if self._gives_probabilities else 1]
        graphs.keep_outputs(graph, found)
        wanted = [graphs.free_name(graph, name) if name not in found else name for name in ("label", "probabilities")]
        for value, name, shape in zip(list(graph.output), wanted, ([-1], [-1, len(classes)]), strict=False):
            graphs.rename(graph, value.name, name)
            graphs.declare_shape(value, shape)
        return Classification(
            label=wanted[0],
            probabilities=wanted[1] if self._gives_probabilities else None,
            labels=labels or tuple(value for value in classes if isinstance(value, str)),
            classes=classes,
        )

    def _finish_regressor(self, graph: Any, shape: tuple[int, ...]) -> None:  # noqa: ANN401
        graphs.keep_outputs(graph, [graph.output[0].name])
        graphs.rename(graph, graph.output[0].name, "prediction")
        if len(shape) == 1:
            graphs.flatten_output(graph, "prediction")
        else:
            graphs.declare_shape(graph.output[0], [-1, *shape[1:]])


def _to_onnx(estimator: Any, layout: Layout, datatypes: dict[str, str], datatype: str, *, probabilities: bool) -> Any:  # noqa: ANN401
    """The ModelProto that skl2onnx makes. Raises ConversionError with what it says."""
    require("sklearn", "skl2onnx")
    import skl2onnx
    from skl2onnx.common import data_types
    from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator

    kinds = {
        "BYTES": data_types.StringTensorType,
        "INT64": data_types.Int64TensorType,
        "FP32": data_types.FloatTensorType,
        "FP64": data_types.DoubleTensorType,
    }
    if layout.columned:
        # skl2onnx would rewrite most names; they are given back afterwards
        inputs = [(f"column_{i}", kinds[datatypes[name]]([None, 1])) for i, name in enumerate(layout.names)]
    else:
        inputs = [(SINGLE_INPUT, kinds[datatype]([None, len(layout.names)]))]
    options = {id(estimator): {"zipmap": False}} if probabilities else None
    try:
        with _quiet():
            return skl2onnx.to_onnx(estimator, initial_types=inputs, options=options, target_opset=OPSET)
    except (MissingConverter, MissingShapeCalculator) as error:
        raise ConversionError(
            f"skl2onnx has no converter for a part of the {type(estimator).__name__}: {_first_line(error)}; replace that "
            "part, or register a converter and publish the .onnx file",
            estimator=type(estimator).__name__,
        ) from error
    except (RuntimeError, NotImplementedError, NameError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise ConversionError(
            f"skl2onnx cannot convert the {type(estimator).__name__}: {_first_line(error)}; try other parameters, or "
            "another estimator",
            estimator=type(estimator).__name__,
        ) from error


def _cast_before_last(estimator: Any) -> Any | None:  # noqa: ANN401
    """The pipeline with a cast to float32 before its last step, as scikit-learn's trees do it; None for no pipeline."""
    from skl2onnx.sklapi import CastTransformer
    from sklearn.pipeline import Pipeline

    if not isinstance(estimator, Pipeline) or len(estimator.steps) < 2:  # noqa: PLR2004
        return None
    *before, last = estimator.steps
    return Pipeline([*before, ("cast_to_float32", CastTransformer(dtype=np.float32)), last])


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what two libraries say of each other, not of the model."""
    with warnings.catch_warnings():
        # skl2onnx reads probA_ of every SVC, which scikit-learn 1.9 deprecates
        warnings.filterwarnings("ignore", message=r"Attribute `prob[AB]_` was deprecated", category=FutureWarning)
        # the columns were put in the order of feature_names_in_; an array just does not say so
        warnings.filterwarnings("ignore", message=r"X does not have valid feature names", category=UserWarning)
        yield


def _plain_classes(classes: Tensor) -> Tensor:
    """Class values as the graph gives them: int64, or str objects."""
    if classes.dtype.kind in "OSU":
        return np.array([str(value) for value in classes], dtype=object)
    if classes.dtype.kind == "f" and not (classes == np.floor(classes)).all():
        raise ConversionError(
            "class values must be whole numbers or texts: fit with encoded classes, and give --labels"
        )
    return classes.astype(np.int64)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300].rstrip(".") if lines else type(error).__name__
