"""A scikit-learn classifier or regressor as a TrainedModel."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np

from onnxlet.errors import ConversionError, InvalidInputError, MissingExtraError
from onnxlet.steps import Classification, Tabular, names_of
from onnxlet.steps.method import Method
from onnxlet.toolchain.convert import graph_edits
from onnxlet.toolchain.convert.scikit_learn.advice import check_parts
from onnxlet.toolchain.convert.scikit_learn.answers import answers_of, cluster_count, last_step
from onnxlet.toolchain.convert.scikit_learn.approximations import describe_bounds
from onnxlet.toolchain.convert.scikit_learn.boosters import (
    REFUSALS,
    OpenerOf,
    boosters_of_sparse_rows,
    opening_once,
    register_boosters,
    spelling_of,
)
from onnxlet.toolchain.convert.scikit_learn.columns import ColumnLayout, column_layout, learned_names, sample_rows
from onnxlet.toolchain.convert.scikit_learn.converters.function_transformer import function_options
from onnxlet.toolchain.convert.scikit_learn.decisions import (
    DECISION,
    decision_of,
    finish_decision,
    has_decision,
    options_of,
)
from onnxlet.toolchain.convert.scikit_learn.exporter import (
    SINGLE_INPUT,
    cast_before_last,
    ignore_known_warnings,
    names_have_no_form,
    to_onnx,
)
from onnxlet.toolchain.convert.scikit_learn.known_columns import known_columns, sole_categories
from onnxlet.toolchain.convert.scikit_learn.merging import merge_models
from onnxlet.toolchain.convert.scikit_learn.missing_texts import mark_missing_texts, missing_markers
from onnxlet.toolchain.convert.scikit_learn.multi_output import split_targets
from onnxlet.toolchain.convert.scikit_learn.text_inputs import open_text_inputs
from onnxlet.toolchain.convert.scikit_learn.vectorizers import (
    fitted_vectorizers,
    read_vectorizer,
    takes_texts,
)
from onnxlet.toolchain.convert.scikit_learn.wrappers import move_inwards
from onnxlet.toolchain.convert.tabular.class_values import class_tuple, class_values
from onnxlet.toolchain.convert.tabular.own_rows import as_matrix, own_rows
from onnxlet.toolchain.convert.trained_model import Export, ModelRows, columns_to_matrix
from onnxlet.toolchain.workbench.error_text import first_line
from onnxlet.toolchain.workbench.extras import require, versions
from onnxlet.toolchain.workbench.privacy import describe_cell, values_are_shown, without_values
from onnxlet.toolchain.workbench.probing_rows import Knowledge
from onnxlet.toolchain.workbench.progress import Progress
from onnxlet.toolchain.workbench.refusals import refused
from onnxlet.toolchain.workbench.shapes import declare_shape
from onnxlet.toolchain.workbench.table import Table, quoted
from onnxlet.values.manifest import OutputMeaning, ReferenceKind
from onnxlet.values.tensors import Tensor, Tensors

RANDOM_ROWS = 256
_REFUSALS = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError)
"""What scikit-learn raises for rows that it refuses."""


def open_object(model: Any, *, progress: Progress, opener_of: OpenerOf) -> Estimator:  # noqa: ARG001 - it is at hand
    """The estimator that the caller holds; `opener_of` reads the boosters in it.

    Raises ConversionError for kinds that are not served, MissingExtraError.
    """
    require("sklearn", "sklearn", "skl2onnx")
    return Estimator(model, opener_of)


class Estimator:
    """A fitted classifier, regressor, outlier detector, clusterer or mixture."""

    framework = "scikit-learn"
    reference: ReferenceKind = "object"

    def __init__(self, estimator: Any, opener_of: OpenerOf) -> None:
        from sklearn.base import is_classifier, is_regressor
        from sklearn.exceptions import NotFittedError
        from sklearn.utils.validation import check_is_fitted

        self._estimator = estimator
        self._opener_of = opening_once(opener_of)
        self._name = type(estimator).__name__
        self.versions = versions("scikit-learn", "skl2onnx", "onnx")
        try:
            check_is_fitted(estimator)
        except NotFittedError as error:
            raise ConversionError(f"the {self._name} was never fitted: fit it, then save it again") from error
        classifies = bool(is_classifier(estimator))
        # rankers are neither, and give numbers
        predicts = classifies or is_regressor(estimator) or self._opener_of(last_step(estimator)) is not None
        self._answers = None if predicts else answers_of(estimator)
        """What it answers where it is none that predicts classes or numbers."""
        check_parts(estimator)
        self._exported = exported = move_inwards(estimator)
        self._vectorizers = fitted_vectorizers(exported)
        for vectorizer in self._vectorizers:
            # refused before any row is read
            read_vectorizer(vectorizer)
        self._takes_texts = takes_texts(exported)
        self._parts = split_targets(exported) if classifies else (exported,)
        """One estimator for each target of a classifier."""
        self.classes = tuple(class_tuple(part.classes_) for part in self._parts if classifies)
        self._decides = len(self.classes) == 1 and has_decision(estimator)
        self.outputs: OutputMeaning | None = None
        """What its probabilities are, where they are of several labels in one array."""
        self.names = learned_names(estimator) or learned_names(exported)
        self._targets = [f"y{index}" for index in range(len(self.classes))] if len(self.classes) > 1 else [""]
        self._layout: ColumnLayout | None = None

    def read_rows(self, table: Table | None, targets: Sequence[str], *, seed: int) -> ModelRows:
        """The rows that the data holds, or random ones where there is none.

        Raises InvalidInputError if the data lacks a column, or cannot be done without.
        """
        if targets and len(self.classes) > 1:
            self._targets = list(targets)
        self._layout = layout = column_layout(
            self._exported, table, targets, spelling_of(self._estimator, self.names, self._opener_of)
        )
        if self._takes_texts and len(layout.names) != 1:
            raise InvalidInputError(
                f"the {self._name} reads one column of texts, the data have {quoted(layout.names)}: leave the others "
                "out, or name them as targets"
            )
        if table is None:
            return ModelRows(sample_rows(self._exported, layout.names, RANDOM_ROWS, seed), source="random")
        columns = {
            name: table.tensor(name, "BYTES" if layout.datatypes[name] == "BYTES" else "FP64") for name in layout.names
        }
        booleans = table.booleans(name for name in layout.names if layout.datatypes[name] is None)
        texts = [name for name in layout.names if layout.datatypes[name] == "BYTES"]
        own = own_rows(table, layout.names, texts, missing_markers(self._exported, layout))
        if own is not None and table.path is not None and self.names is None and not layout.needs_dataframe:
            own = as_matrix(own)
        if own is not None and self._takes_texts:
            own = own.iloc[:, 0] if hasattr(own, "iloc") else own[:, 0]
        return ModelRows(columns, booleans=booleans, own=own)

    def predict(self, rows: ModelRows) -> Tensors:
        """The estimator's own answers, by the names of the graph's outputs.

        Raises InvalidInputError if it refuses the rows, ConversionError if they cannot be told it by name.
        """
        try:
            with ignore_known_warnings():
                return self._predict(self._estimator_input(rows) if rows.own is None else rows.own)
        except Exception as error:
            if not isinstance(error, _REFUSALS) and type(error).__name__ not in REFUSALS:
                raise
            if "only supported for dataframes" in str(error):
                raise names_have_no_form(self._name) from error
            raise self._refusal(error, rows) from without_values(error)

    def leave_out(self) -> tuple[str, ...]:
        """Leave out the decision function."""
        left, self._decides = (DECISION,) if self._decides else (), False
        return left

    def known_columns(self, rows: ModelRows) -> Knowledge:
        """What it learned of the columns: thresholds, categories, words."""
        return known_columns(self._estimator, tuple(rows.columns), self._opener_of)

    def export(self, rows: ModelRows, labels: Sequence[tuple[str, ...]]) -> Iterator[Export]:
        """In single precision, then in double up to the last step (trees compare in single), then in double throughout.

        Raises ConversionError naming the estimator that skl2onnx cannot convert.
        """
        if self._answers is not None and self._answers.in_double:
            yield self._export("float64", self._parts, "FP64", rows, labels)
            return
        yield self._export("float32", self._parts, "FP32", rows, labels)
        before_last = [cast_before_last(part) for part in self._parts]
        if all(part is not None for part in before_last):
            yield self._export("float64 before the last step", before_last, "FP64", rows, labels)
        yield self._export("float64", self._parts, "FP64", rows, labels)

    def _refusal(self, error: Exception, rows: ModelRows) -> InvalidInputError:
        complaint = f"the {self._name} does not take these rows"
        cell = _unparsable_cell(rows, str(error))
        if cell:
            return InvalidInputError(f"{complaint}: {cell}", withheld=not values_are_shown())
        return refused(complaint, first_line(error), rows.columns, _empty_cells(rows))

    def _predict(self, inputs: Any) -> Tensors:
        if self._answers is not None:
            return self._answers.ask(self._estimator, inputs)
        predicted = np.asarray(self._estimator.predict(inputs))
        if not self.classes:
            return {"prediction": predicted.astype(np.float64)}
        names = [names_of(target) for target in self._targets]
        self._check_labels(predicted)
        columns = predicted.T if len(names) > 1 else [predicted.reshape(len(predicted))]
        predict = {name.label: class_values(column) for name, column in zip(names, columns, strict=True)}
        if self._gives_probabilities:
            own = self._estimator.predict_proba(inputs)
            if len(names) > 1 and not isinstance(own, list):
                self.outputs = OutputMeaning(are="independent", said_by="model")
            probabilities = _probabilities_by_target(own, len(names))
            predict |= {name.probabilities: each for name, each in zip(names, probabilities, strict=True)}
        if self._decides:
            predict[DECISION] = decision_of(self._estimator, inputs)
        return predict

    def _check_labels(self, predicted: Tensor) -> None:
        """Raise ConversionError where a classifier answers with anything but one of its classes for each target."""
        name = type(last_step(self._estimator)).__name__
        if predicted.size != len(predicted) * len(self.classes):
            raise ConversionError(
                f"the {name} tells several labels per row, which has no ONNX form within another estimator: convert it "
                "by itself, or fit a MultiOutputClassifier"
            )
        if predicted.dtype.kind == "f" and not np.isin(predicted, np.concatenate(self.classes)).all():
            raise ConversionError(
                f"the {name} answers with scores in place of its classes, as with an objective that is a function: "
                "that has no ONNX form within another estimator; convert it by itself"
            )

    def _estimator_input(self, rows: ModelRows) -> Any:
        markers = missing_markers(self._exported, self._layout) if self._layout is not None else {}
        columns = mark_missing_texts(rows.columns, markers)
        if self._takes_texts:
            return next(iter(columns.values()))
        if self._layout is not None and self._layout.needs_dataframe:
            try:
                import pandas as pd
            except ImportError as error:
                raise MissingExtraError(
                    f"the {self._name} picks columns by name, which takes a DataFrame: pip install pandas"
                ) from error
            # a frame would make NaN of None
            return pd.DataFrame(columns).assign(**{name: pd.Series(columns[name], dtype=object) for name in markers})
        return columns_to_matrix(columns)

    def _export(
        self, variant: str, parts: Sequence[Any], datatype: str, rows: ModelRows, labels: Sequence[tuple[str, ...]]
    ) -> Export:
        layout = self._layout
        if layout is None:
            raise ConversionError("the rows must be read before the graph is written")
        datatypes = {name: layout.datatypes[name] or datatype for name in layout.names}
        first_row = rows.take(np.arange(1))
        first = self._estimator_input(first_row) if first_row.own is None else first_row.own
        sparse = set[int]().union(*(boosters_of_sparse_rows(part, first, self._opener_of) for part in self._parts))
        models = [self._graph(part, layout, datatypes, datatype, sparse) for part in parts]
        classifications = tuple(
            self._finish_classifier(model.graph, classes, names, target)
            for model, classes, names, target in zip(models, self.classes, labels, self._targets, strict=False)
        )
        methods = self._finish_answers(models[0].graph, first_row)
        model = models[0] if len(models) == 1 else merge_models(models)
        texts = open_text_inputs(model)
        tabular = Tabular(
            columns=tuple(rows.column(name, datatypes[name]) for name in layout.names),
            input=None if layout.input_per_column else SINGLE_INPUT,
        )
        finite = rows.finite(tabular)
        opset = graph_edits.opsets(model)
        return Export(
            variant,
            model.SerializeToString(),
            tabular,
            classifications,
            opset,
            assets=texts.assets,
            finite=finite,
            categories=sole_categories(self._estimator, tuple(rows.columns), self._opener_of, tabular),
            vectorizers=texts.steps,
            methods=methods,
            notes=describe_bounds(self._exported),
        )

    def _finish_answers(self, graph: Any, first_row: ModelRows) -> tuple[Method, ...]:
        """Name and shape what the graph gives beside classes: methods of the estimator that are served as they are."""
        if self._answers is not None:
            return self._answers.finish(graph, cluster_count(self._exported))
        if self._decides:
            return (finish_decision(graph, self.predict(first_row)[DECISION].shape),)
        if not self.classes:
            self._finish_regressor(graph, self.predict(first_row)["prediction"].shape)
        return ()

    def _graph(
        self, part: Any, layout: ColumnLayout, datatypes: dict[str, str], datatype: str, sparse: Collection[int]
    ) -> Any:
        """What skl2onnx makes of one part, with inputs that have the columns' names."""
        register_boosters(part, self._opener_of, sparse)
        options: dict[int, Any] = dict(function_options(part))
        options |= {id(each): {"datatype": datatype} for each in self._vectorizers}
        if self._answers is not None:
            options[id(last_step(part))] = self._answers.options
        if self._decides:
            options[id(last_step(part))] = options_of(part)
        model = to_onnx(part, layout, datatypes, datatype, probabilities=self._gives_probabilities, options=options)
        names = list(layout.names) if layout.input_per_column else [SINGLE_INPUT]
        for value, name in zip(list(model.graph.input), names, strict=True):
            graph_edits.rename_value(model.graph, value.name, name)
        return model

    @property
    def _gives_probabilities(self) -> bool:
        return bool(self.classes) and hasattr(self._estimator, "predict_proba")

    def _finish_classifier(
        self,
        graph: Any,
        classes: tuple[int | str, ...],
        labels: tuple[str, ...],
        target: str,
    ) -> Classification:
        scored = self._gives_probabilities or self._decides
        outputs = [value.name for value in graph.output][: 2 if scored else 1]
        graph_edits.keep_outputs(graph, outputs)
        served_names = names_of(target)
        wanted = (served_names.label, *([served_names.probabilities] if self._gives_probabilities else []))
        names = [graph_edits.output_name(graph, name) for name in wanted]
        for value, name, shape in zip(list(graph.output), names, ([-1], [-1, len(classes)]), strict=False):
            graph_edits.rename_value(graph, value.name, name)
            declare_shape(value, shape)
        if any(names[0] in node.output and node.op_type == "ArrayFeatureExtractor" for node in graph.node):
            # it puts a dimension before the rows
            graph_edits.flatten_output(graph, names[0])
        return Classification(
            label=names[0],
            probabilities=names[1] if self._gives_probabilities else None,
            labels=labels or tuple(value for value in classes if isinstance(value, str)),
            classes=classes,
            target=target,
        )

    def _finish_regressor(self, graph: Any, shape: tuple[int, ...]) -> None:
        graph_edits.keep_outputs(graph, [graph.output[0].name])
        name = graph_edits.output_name(graph, "prediction")
        graph_edits.rename_value(graph, graph.output[0].name, name)
        if len(shape) == 1:
            graph_edits.flatten_output(graph, name)
        else:
            declare_shape(graph.output[0], [-1, *shape[1:]])


def _probabilities_by_target(probabilities: Any, targets: int) -> list[Tensor]:
    """Probabilities [rows, classes] target by target: of targets that only are or are not, scikit-learn gives one."""
    if isinstance(probabilities, list) or targets == 1:
        arrays = probabilities if isinstance(probabilities, list) else [probabilities]
        return [np.asarray(each, dtype=np.float64) for each in arrays]
    return [np.stack([1 - second, second], axis=1) for second in np.asarray(probabilities, dtype=np.float64).T]


def _unparsable_cell(rows: ModelRows, message: str) -> str:
    """Which cell scikit-learn could not make a number of; empty if it was refused for another reason."""
    match = re.search(r"could not convert string to float: (['\"])(.*?)\1", message)
    if match is None:
        return ""
    texts = {name: column for name, column in rows.columns.items() if column.dtype.kind == "O"}
    for name, column in texts.items():
        rows_at = np.flatnonzero(column == match[2])
        if len(rows_at):
            return f"row {rows_at[0] + 1} of column {name!r} holds {describe_cell(match[2])}, which is no number"
    return ""


def _empty_cells(rows: ModelRows) -> str:
    """Which columns have empty cells, for a message about rows that were refused."""
    numbers = {name: column for name, column in rows.columns.items() if column.dtype.kind == "f"}
    empty = [name for name, column in numbers.items() if np.isnan(column).any()]
    if not empty:
        return ""
    return f". Empty are cells of {quoted(empty)}: leave those rows out, or fit an imputer with the estimator"
