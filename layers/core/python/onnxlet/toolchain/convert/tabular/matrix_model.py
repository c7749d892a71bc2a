"""Models of one matrix of numbers: what boosting libraries and LIBSVM have in common."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.steps import Classification, Tabular, names_of
from onnxlet.toolchain.convert import graph_edits
from onnxlet.toolchain.convert.tabular.category_values import (
    Categories,
    frame_of,
    text_features,
    write_inputs,
)
from onnxlet.toolchain.convert.tabular.feature_names import feature_names
from onnxlet.toolchain.convert.tabular.forgotten import check_class_values, check_sentinels
from onnxlet.toolchain.convert.tabular.graph_writer import GraphWriter
from onnxlet.toolchain.convert.tabular.link_functions import AnswerNames
from onnxlet.toolchain.convert.tabular.own_rows import as_frame, as_matrix, own_rows
from onnxlet.toolchain.convert.trained_model import Export, ModelRows, columns_to_matrix
from onnxlet.toolchain.workbench.probing_rows import Knowledge
from onnxlet.toolchain.workbench.table import Table, quoted
from onnxlet.values.manifest import OutputMeaning, ReferenceKind
from onnxlet.values.tensors import DATATYPES, VARIABLE, Tensor, Tensors

FEATURES = "features"
RANDOM_ROWS = 512


class NativeModel(Protocol):
    """A framework's model of a matrix [rows, features] of float64, NaN where a value is missing."""

    framework: str
    versions: dict[str, str]
    reference: ReferenceKind
    classes: tuple[int | str, ...] | None
    names: tuple[str, ...] | None
    """The feature names that it learned; None if it learned none."""
    width: int
    """The number of features."""
    exact_width: bool
    """Whether rows must have just so many features; else further ones only change distances."""
    datatypes: tuple[str, ...]
    """Datatypes of the graph's input, in the order to try: FP32 and, if it compares doubles, FP64."""
    outputs: int
    """Numbers per row that a regressor predicts."""
    marks: int
    """Labels that a row has or has not, each by itself: so many, where it is not one of several classes."""
    categories: Categories
    """What pandas' categories were where it was trained, by the position of the feature."""
    whole_numbers: Collection[int]
    """Positions of features whose categories are whole numbers and nothing else, as texts are texts."""
    sparse_zeros_are_missing: bool
    """Whether it takes what a sparse matrix leaves out for missing values, not for zeros."""
    forgets_classes: bool
    """Whether nothing says which values its classes have."""
    forgets_missing: Collection[int]
    """Positions of features in which a number may have stood for a missing value, and nothing says which."""

    def spell(self, name: str) -> str:
        """How the framework would have spelled a column's name."""

    def sample_rows(self, count: int, width: int, random: np.random.Generator) -> Tensor:
        """Draw `count` rows [count, width] like those that it was trained on."""

    def known_columns(self, names: Sequence[str]) -> Knowledge:
        """What it knows of the columns of these names: the thresholds of its trees."""

    def predict(self, features: Any) -> Tensors:
        """Its `label` and `probabilities`, or `prediction`. Raises InvalidInputError for rows that it refuses.

        Where a row has several labels, or has them not: [rows, labels] of 0 and 1, and of probabilities.
        """

    def write(self, graph: GraphWriter, features: str, width: int) -> AnswerNames:
        """Append itself to a graph with `features` [N, width]. Raises ConversionError for what has no ONNX form."""


@runtime_checkable
class LearnsCategories(Protocol):
    """A framework's model that cannot say by itself what its categories are."""

    def learn_categories(self, names: Sequence[str], table: Table | None) -> None:
        """Find them in the data, whose columns have these names. Raises InvalidInputError where they are not there."""


class MatrixModel:
    """A TrainedModel around a framework's own model."""

    def __init__(self, native: NativeModel, labels: Sequence[str] = ()) -> None:
        self.native = self._native = native
        self._labels = labels
        self.framework = native.framework
        self.versions = native.versions
        self.reference = native.reference
        self.names = native.names
        self.classes = () if native.classes is None else (native.classes,) * max(native.marks, 1)
        self.outputs = OutputMeaning(are="independent", said_by="model") if native.marks else None
        self._targets = [f"y{index}" for index in range(native.marks)] or [""]
        self.outputs = OutputMeaning(are="independent", said_by="model") if native.marks else None
        """What its probabilities are, where it tells several labels."""

    def read_rows(self, table: Table | None, targets: Sequence[str], *, seed: int) -> ModelRows:
        """The rows that the data holds, or random ones where there is none.

        Raises InvalidInputError if the data lacks a column or holds texts.
        """
        native = self._native
        if targets and native.marks:
            self._targets = list(targets)
        names = feature_names(
            f"the {native.framework} model",
            learned=native.names,
            expected=native.width,
            exact_width=native.exact_width,
            table=table,
            targets=targets,
            spell=native.spell,
        )
        if native.forgets_classes and native.classes is not None:
            check_class_values(f"the {native.framework} file", table, targets, len(native.classes), self._labels)
        if isinstance(native, LearnsCategories):
            native.learn_categories(names, table)
        texts = {names[at] for at in text_features(native.categories)}
        if table is not None:
            columns = {name: table.tensor(name, "BYTES" if name in texts else "FP64") for name in names}
            asked = {name: columns[name] for at, name in enumerate(names) if at in native.forgets_missing}
            check_sentinels(f"the {native.framework} file", asked)
            booleans = table.booleans(name for name in names if name not in texts)
            return ModelRows(columns, booleans=booleans, own=self._own_rows(table, names, texts))
        if texts:
            raise InvalidInputError(
                f"the {native.framework} model reads texts as categories ({quoted(sorted(texts))}): give --data, a CSV "
                "file with rows like its own"
            )
        random = native.sample_rows(RANDOM_ROWS, len(names), np.random.default_rng(seed))
        columns = {name: random[:, index] for index, name in enumerate(names)}
        named = native.reference == "object" and native.names is not None
        return ModelRows(columns, source="random", own=as_frame(columns) if named else None)

    def predict(self, rows: ModelRows) -> Tensors:
        """The model's own answers, by the names of the graph's outputs."""
        if not self._native.categories:
            rows_as_given = columns_to_matrix(rows.columns) if rows.own is None else rows.own
        else:
            rows_as_given = frame_of(rows.columns if rows.own is None else rows.own, list(rows.columns))
        answers = self._native.predict(rows_as_given)
        return self._by_target(answers) if self._native.marks else answers

    def _by_target(self, answers: Tensors) -> Tensors:
        """The answers [rows, labels] as those of classifiers, one for each label."""
        apart: Tensors = {}
        for at, target in enumerate(self._targets):
            names = names_of(target)
            apart[names.label] = answers["label"][:, at].astype(np.int64)
            if "probabilities" in answers:
                second = answers["probabilities"][:, at]
                apart[names.probabilities] = np.stack([1 - second, second], axis=1)
        return apart

    def _own_rows(self, table: Table, names: Sequence[str], texts: Collection[str]) -> Any:
        """The rows as users hand them to a model that is at hand; None for one that was read from a file."""
        if self._native.reference != "object":
            return None
        own = own_rows(table, names, list(texts))
        from_file = own is not None and table.path is not None
        return as_matrix(own) if from_file and self._native.names is None and not self._native.categories else own

    def known_columns(self, rows: ModelRows) -> Knowledge:
        """What the framework's model knows of the columns."""
        names = tuple(rows.columns)
        categories = {names[at]: list(values) for at, values in self._native.categories.items()}
        return replace(self._native.known_columns(names), categories=categories)

    def export(self, rows: ModelRows, labels: Sequence[tuple[str, ...]]) -> Iterator[Export]:
        """The graph for each of the framework's datatypes."""
        for datatype in self._native.datatypes:
            yield self._export(datatype, rows, labels)

    def _export(self, datatype: str, rows: ModelRows, labels: Sequence[tuple[str, ...]]) -> Export:
        names, width = tuple(rows.columns), len(rows.columns)
        datatypes = [self._datatype(at, datatype) for at in range(width)]
        apart = any(each != datatype for each in datatypes)
        # names of columns must not be those of nodes
        graph = GraphWriter("onnxlet_" if apart else "")
        if apart:
            features = write_inputs(graph, names, datatypes, self._native.categories, datatype)
        else:
            features = graph.input(FEATURES, datatype, (VARIABLE, width))
        predict = self._native.write(graph, features, width)
        self._declare_outputs(graph, predict, datatype)
        model = graph.model()
        tabular = Tabular(
            tuple(rows.column(*each) for each in zip(names, datatypes, strict=True)),
            None if apart else FEATURES,
        )
        return Export(
            variant=str(DATATYPES[datatype].numpy),
            graph=model.SerializeToString(),
            tabular=tabular,
            finite=rows.finite(tabular),
            classifications=self._classifications(predict, labels),
            opset=graph_edits.opsets(model),
        )

    def _datatype(self, at: int, datatype: str) -> str:
        if at in text_features(self._native.categories):
            return "BYTES"
        return "INT64" if at in self._native.whole_numbers else datatype

    def _declare_outputs(self, graph: GraphWriter, predict: AnswerNames, datatype: str) -> None:
        classes = self._native.classes or ()
        for target, answer in self._answers_by_target(predict):
            names = names_of(target)
            if answer.label is not None:
                texts = any(isinstance(value, str) for value in classes)
                graph.output(answer.label, names.label, "BYTES" if texts else "INT64", (VARIABLE,))
            if answer.probabilities is not None:
                graph.output(answer.probabilities, names.probabilities, datatype, (VARIABLE, len(classes)))
        if predict.prediction is not None:
            outputs = self._native.outputs
            graph.output(
                predict.prediction, "prediction", datatype, (VARIABLE, outputs) if outputs > 1 else (VARIABLE,)
            )

    def _answers_by_target(self, predict: AnswerNames) -> Iterator[tuple[str, AnswerNames]]:
        return zip(self._targets, predict.marks or (predict,), strict=True)

    def _classifications(self, predict: AnswerNames, labels: Sequence[tuple[str, ...]]) -> tuple[Classification, ...]:
        return tuple(
            Classification(
                label=names_of(target).label,
                probabilities=names_of(target).probabilities if answer.probabilities is not None else None,
                # labels that are the values themselves are no names for them
                labels=()
                if self._labels == tuple(map(str, classes))
                else named or tuple(value for value in classes if isinstance(value, str)),
                classes=classes,
                target=target,
            )
            for classes, named, (target, answer) in zip(
                self.classes, labels, self._answers_by_target(predict), strict=False
            )
        )
