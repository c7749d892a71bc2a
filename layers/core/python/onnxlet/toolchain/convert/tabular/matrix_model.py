"""Models of one matrix of numbers: what boosting libraries and LIBSVM have in common as sources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from onnxlet.toolchain.convert import graph_edits
from onnxlet.toolchain.convert.tabular.feature_names import feature_names
from onnxlet.toolchain.convert.tabular.graph_writer import GraphWriter
from onnxlet.toolchain.convert.tabular.link_functions import Answers
from onnxlet.toolchain.convert.trained_model import Export, Rows, matrix
from onnxlet.toolchain.workbench.table import Table
from onnxlet.values.manifest import Classification, Tabular
from onnxlet.values.tensors import DATATYPES, VARIABLE, Tensor, Tensors

FEATURES = "features"
RANDOM_ROWS = 512


class Native(Protocol):
    """A framework's model that takes a matrix [N, columns] of float64, NaN where a value is missing."""

    framework: str
    versions: dict[str, str]
    classes: tuple[int | str, ...] | None
    names: tuple[str, ...] | None
    """The features as it learned them; None if it did not."""
    width: int
    """How many features it has."""
    exact: bool
    """Whether rows have just so many; else more of them change nothing but distances."""
    datatypes: tuple[str, ...]
    """Of graph inputs, in the order worth trying: FP32 and, if it tells doubles apart, FP64."""
    outputs: int
    """Numbers per row that a regressor predicts."""

    def spelled(self, name: str) -> str:
        """How it would have learned a column's name."""

    def typical(self, count: int, width: int, random: np.random.Generator) -> Tensor:
        """Random rows like those it was trained on."""

    def answers(self, features: Tensor) -> Tensors:
        """Its own label and probabilities, or prediction. Raises InvalidInputError for rows that it refuses."""

    def write(self, graph: GraphWriter, features: str, width: int) -> Answers:
        """Append itself to a graph with `features` [N, width]. Raises ConversionError for what has no ONNX form."""


class MatrixModel:
    """A trained model around a framework's own."""

    def __init__(self, native: Native) -> None:
        self._native = native
        self.framework = native.framework
        self.versions = native.versions
        self.classes = () if native.classes is None else (native.classes,)

    def rows(self, table: Table | None, targets: Sequence[str], *, seed: int) -> Rows:
        """The rows that the data holds, or random ones where there is none.

        Raises InvalidInputError if the data lacks a column or holds texts.
        """
        native = self._native
        names = feature_names(
            f"the {native.framework} model",
            learned=native.names,
            expected=native.width,
            exact=native.exact,
            table=table,
            targets=targets,
            spelled=native.spelled,
        )
        if table is not None:
            return Rows({name: table.numbers(name) for name in names}, booleans=table.booleans(names))
        random = native.typical(RANDOM_ROWS, len(names), np.random.default_rng(seed))
        return Rows({name: random[:, index] for index, name in enumerate(names)}, source="random")

    def answers(self, rows: Rows) -> Tensors:
        """The model's own answers, by the names of the graph's outputs."""
        return self._native.answers(matrix(rows.columns))

    def exports(self, rows: Rows, labels: Sequence[tuple[str, ...]]) -> Iterator[Export]:
        """The graph with single precision inputs, then, if the framework tells doubles apart, with double ones."""
        for datatype in self._native.datatypes:
            yield self._export(datatype, rows, labels[0] if labels else ())

    def _export(self, datatype: str, rows: Rows, labels: tuple[str, ...]) -> Export:
        graph = GraphWriter()
        width = len(rows.columns)
        features = graph.input(FEATURES, datatype, (VARIABLE, width))
        answers = self._native.write(graph, features, width)
        self._give(graph, answers, datatype)
        model = graph.model()
        return Export(
            way=str(DATATYPES[datatype].numpy),
            graph=model.SerializeToString(),
            tabular=Tabular(tuple(rows.column(name, datatype) for name in rows.columns), FEATURES),
            classifications=self._classifications(answers, labels),
            opset=graph_edits.opsets(model),
        )

    def _give(self, graph: GraphWriter, answers: Answers, datatype: str) -> None:
        classes = self._native.classes or ()
        if answers.label is not None:
            texts = any(isinstance(value, str) for value in classes)
            graph.output(answers.label, "label", "BYTES" if texts else "INT64", (VARIABLE,))
        if answers.probabilities is not None:
            graph.output(answers.probabilities, "probabilities", datatype, (VARIABLE, len(classes)))
        if answers.prediction is not None:
            outputs = self._native.outputs
            graph.output(
                answers.prediction, "prediction", datatype, (VARIABLE, outputs) if outputs > 1 else (VARIABLE,)
            )

    def _classifications(self, answers: Answers, labels: tuple[str, ...]) -> tuple[Classification, ...]:
        return tuple(
            Classification(
                label="label",
                probabilities="probabilities" if answers.probabilities is not None else None,
                labels=labels or tuple(value for value in classes if isinstance(value, str)),
                classes=classes,
            )
            for classes in self.classes
        )
