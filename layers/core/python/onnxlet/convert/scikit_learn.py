"""scikit-learn estimators and pipelines, through skl2onnx."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from onnxlet.convert import graphs
from onnxlet.convert.columns import Layout, layout_of, typical_rows
from onnxlet.convert.estimators import load_estimator
from onnxlet.convert.extras import versions
from onnxlet.convert.source import Export, Rows, matrix
from onnxlet.convert.table import Table, quoted
from onnxlet.convert.through_skl2onnx import SINGLE_INPUT, cast_before_last, hushed, to_onnx
from onnxlet.errors import ConversionError, InvalidInputError, MissingExtraError
from onnxlet.manifest import Classification, Column, Tabular
from onnxlet.tensors import Tensor, Tensors

RANDOM_ROWS = 256


def open_model(path: Path, *, trust: bool, say: Callable[[str], None]) -> Estimator:
    """The fitted estimator in a file. Raises as load_estimator does, ConversionError for kinds that are not served."""
    return Estimator(load_estimator(path, trust=trust, say=say))


class Estimator:
    """A fitted classifier or regressor."""

    framework = "scikit-learn"

    def __init__(self, estimator: Any) -> None:
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
                f"a {self._name} is neither a classifier nor a regressor, and only these are converted; convert it "
                "with skl2onnx and publish the .onnx file"
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
        """The estimator's own answers, by the names of the graph's outputs. Raises InvalidInputError if it refuses."""
        try:
            with hushed():
                return self._answers(self._native(rows))
        except (ValueError, TypeError) as error:
            raise InvalidInputError(
                f"the {self._name} does not take these rows: {str(error).splitlines()[0]}{_empty(rows)}"
            ) from error

    def exports(self, rows: Rows, labels: tuple[str, ...]) -> Iterator[Export]:
        """In single precision, then in double up to the last step (trees compare in single), then in double throughout.

        Raises ConversionError naming the estimator that skl2onnx cannot convert.
        """
        yield self._export("float32", self._estimator, "FP32", rows, labels)
        before_last = cast_before_last(self._estimator)
        if before_last is not None:
            yield self._export("float64 before the last step", before_last, "FP64", rows, labels)
        yield self._export("float64", self._estimator, "FP64", rows, labels)

    def _answers(self, inputs: Any) -> Tensors:
        if self.classes is None:
            return {"prediction": np.asarray(self._estimator.predict(inputs), dtype=np.float64)}
        answers = {"label": _plain_classes(np.asarray(self._estimator.predict(inputs)))}
        if hasattr(self._estimator, "predict_proba"):
            answers["probabilities"] = np.asarray(self._estimator.predict_proba(inputs), dtype=np.float64)
        return answers

    def _native(self, rows: Rows) -> Any:
        if self._layout is not None and self._layout.needs_frame:
            try:
                import pandas as pd
            except ImportError as error:
                raise MissingExtraError(
                    f"the {self._name} picks columns by name, which takes a DataFrame: pip install pandas"
                ) from error
            return pd.DataFrame(rows.columns)
        return matrix(rows.columns)

    def _export(self, way: str, estimator: Any, datatype: str, rows: Rows, labels: tuple[str, ...]) -> Export:
        layout = self._layout
        if layout is None:
            raise ConversionError("the rows must be read before the graph is written")
        datatypes = {name: layout.datatypes[name] or datatype for name in layout.names}
        model = to_onnx(estimator, layout, datatypes, datatype, probabilities=self._gives_probabilities)
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
        labels: tuple[str, ...],
    ) -> Classification:
        found = [value.name for value in graph.output][: 2 if self._gives_probabilities else 1]
        graphs.keep_outputs(graph, found)
        wanted = [graphs.output_name(graph, name) for name in ("label", "probabilities")]
        for value, name, shape in zip(list(graph.output), wanted, ([-1], [-1, len(classes)]), strict=False):
            graphs.rename(graph, value.name, name)
            graphs.declare_shape(value, shape)
        if any(wanted[0] in node.output and node.op_type == "ArrayFeatureExtractor" for node in graph.node):
            # it puts a dimension before the rows
            graphs.flatten_output(graph, wanted[0])
        return Classification(
            label=wanted[0],
            probabilities=wanted[1] if self._gives_probabilities else None,
            labels=labels or tuple(value for value in classes if isinstance(value, str)),
            classes=classes,
        )

    def _finish_regressor(self, graph: Any, shape: tuple[int, ...]) -> None:
        graphs.keep_outputs(graph, [graph.output[0].name])
        name = graphs.output_name(graph, "prediction")
        graphs.rename(graph, graph.output[0].name, name)
        if len(shape) == 1:
            graphs.flatten_output(graph, name)
        else:
            graphs.declare_shape(graph.output[0], [-1, *shape[1:]])


def _plain_classes(classes: Tensor) -> Tensor:
    """Class values as the graph gives them: int64, or str objects."""
    if classes.dtype.kind in "OSU":
        return np.array([str(value) for value in classes], dtype=object)
    if classes.dtype.kind == "f" and not (classes == np.floor(classes)).all():
        raise ConversionError(
            "class values must be whole numbers or texts: fit with encoded classes, and give --labels"
        )
    return classes.astype(np.int64)


def _empty(rows: Rows) -> str:
    """Which columns have empty cells, for a message about rows that were refused."""
    numbers = {name: column for name, column in rows.columns.items() if column.dtype.kind == "f"}
    holes = [name for name, column in numbers.items() if np.isnan(column).any()]
    if not holes:
        return ""
    return f" Empty are cells of {quoted(holes)}: leave those rows out, or fit an imputer with the estimator"
