"""Trained models: what every framework's module gives the conversion, a model that predicts and exports itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from onnxlet.steps import Classification, Column, Finite, Steps, Tabular
from onnxlet.steps.categories import Categories
from onnxlet.steps.image import Image
from onnxlet.steps.method import Method
from onnxlet.steps.token_ids import TokenIds
from onnxlet.steps.tokenizer import Tokenizer
from onnxlet.steps.vectorizer import Vectorizer
from onnxlet.toolchain.workbench.arrays import Arrays
from onnxlet.toolchain.workbench.table import Table
from onnxlet.values.manifest import OutputMeaning, ReferenceKind
from onnxlet.values.tensors import DATATYPES, Tensor, Tensors


@dataclass(frozen=True)
class Export:
    """A trained model as an ONNX graph, in one of several variants."""

    variant: str
    """The name of the variant, for messages: `float32`."""
    graph: bytes
    tabular: Tabular | None
    classifications: tuple[Classification, ...]
    """One for each target of a classifier."""
    opset: dict[str, int]
    assets: Mapping[str, bytes] = field(default_factory=dict)
    """Further files of the version, by name."""
    image: Image | None = None
    """What makes a tensor of pictures."""
    tokenizer: Tokenizer | None = None
    """What makes token ids of texts; the assets hold its file."""
    token_ids: TokenIds | None = None
    """What refuses token ids that the model does not know."""
    finite: Finite | None = None
    """What refuses the numbers that the model refuses."""
    categories: Categories | None = None
    """What refuses the categories that the model refuses."""
    methods: tuple[Method, ...] = ()
    """What is served as the graph gives it, by methods of the model."""
    vectorizers: tuple[Vectorizer, ...] = ()
    """What makes numbers of columns of texts; the assets hold their words."""
    advice: str = (
        "scale features that are orders of magnitude apart, fit on float32 values so that no split lies between two of "
        "them, or try another estimator"
    )
    """What to try where the graph does not answer as the model does."""
    notes: tuple[str, ...] = ()
    """What to mind of the graph: how near to the model what is approximated comes."""

    @property
    def steps(self) -> Steps:
        """The steps to declare around the graph."""
        before = (
            self.tabular,
            *self.vectorizers,
            self.image,
            self.tokenizer,
            self.token_ids,
            self.finite,
            self.categories,
        )
        return Steps(
            (*(step for step in before if step is not None), *self.classifications, *self.methods),
            self.assets.__getitem__,
        )


@dataclass(frozen=True)
class ModelRows:
    """Rows as the framework reads them: columns [rows] of float64 or str, or tensors [rows, ...] by graph input."""

    columns: Tensors
    source: Literal["data", "random", "synthetic"] = "data"
    """Where they come from: the data, its statistics alone (`synthetic`), or neither (`random`)."""
    variations: tuple[ModelRows, ...] = ()
    """Fewer rows, and rows of other sizes, on which the graph must answer as the model does too."""
    golden_candidates: ModelRows | None = None
    """Rows to make golden cases of; None for columns, which are drawn from their statistics then."""
    booleans: frozenset[str] = frozenset()
    """Columns of True and False, which are served as BOOL."""
    missing: frozenset[str] | None = None
    """Columns in which the model takes NaN; None if it was not asked: then those in which some value is missing."""
    infinite: frozenset[str] | None = None
    """Columns in which it takes infinities; None if it was not asked."""
    own: Any = None
    """The same rows as users hand them to the model: a DataFrame or an array in their own types; None for columns."""
    count: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "count", len(next(iter(self.columns.values()))))

    def served(self, tabular: Tabular | None) -> Tensors:
        """The columns with the datatypes that clients send; without `tabular`, the tensors as they are."""
        if tabular is None:
            return self.columns
        return {
            column.name: self.columns[column.name].astype(DATATYPES[column.datatype].numpy, copy=False)
            for column in tabular.columns
        }

    def column(self, name: str, datatype: str) -> Column:
        """The column to declare where the graph wants `datatype`; missing values may be sent where they are taken."""
        if name in self.booleans:
            return Column(name, "BOOL")
        return Column(name, datatype, missing=DATATYPES[datatype].kind in "fs" and self._takes_missing(name))

    def finite(self, tabular: Tabular) -> Finite | None:
        """What refuses the numbers that the model refuses; None if it takes them all, or was not asked."""
        if self.missing is None or self.infinite is None:
            return None
        of_matrix = tabular.input is not None
        names = tuple(column.name for column in tabular.columns if of_matrix or DATATYPES[column.datatype].kind == "f")
        missing = tuple(name for name in names if self._takes_missing(name))
        infinite = tuple(name for name in names if name in self.infinite)
        return None if missing == infinite == names else Finite(names, missing, infinite, tabular.input)

    def _takes_missing(self, name: str) -> bool:
        """NaN, or the empty text."""
        column = self.columns[name]
        return (self.missing is not None and name in self.missing) or _some_missing(column)

    def take(self, indices: Tensor) -> ModelRows:
        """The rows at these positions."""
        columns = {name: column[indices] for name, column in self.columns.items()}
        own = self.own if self.own is None else getattr(self.own, "iloc", self.own)[indices]
        return replace(self, columns=columns, own=own, variations=(), golden_candidates=None)


def _some_missing(column: Tensor) -> bool:
    if column.dtype.kind == "O":
        return "" in column.tolist()
    return column.dtype.kind == "f" and bool(np.isnan(column).any())


class TrainedModel(Protocol):
    """A model that was loaded from a framework's file."""

    framework: str
    versions: dict[str, str]
    """The versions of the packages that take part, the framework's own first."""
    reference: ReferenceKind | None
    """What answers: the user's own model, or what the framework reads in a file; None if there is but a graph."""
    names: tuple[str, ...] | None
    """The names of its features or inputs, where it has some."""

    @property
    def classes(self) -> tuple[tuple[int | str, ...], ...]:
        """A classifier's class values as its graph gives them, target by target; empty for a regressor."""

    def read_rows(self, table: Table | None, targets: Sequence[str], *, seed: int) -> ModelRows:
        """The rows of the table, or random ones without it. Raises InvalidInputError if it lacks columns."""

    def export(self, rows: ModelRows, labels: Sequence[tuple[str, ...]]) -> Iterator[Export]:
        """The variants of the graph that are worth trying, best first.

        `labels` name the classes, target by target. Raises ConversionError naming what has no ONNX form.
        """

    def predict(self, rows: ModelRows) -> Tensors:
        """The model's own answers, by the names of the graph's outputs."""


@runtime_checkable
class TellsOutputs(Protocol):
    """A trained model that says what its answers are."""

    @property
    def outputs(self) -> OutputMeaning | None:
        """What they are, once it has predicted; None where that goes without saying."""


@runtime_checkable
class LeavesOut(Protocol):
    """A trained model some of whose answers need not be served."""

    def leave_out(self) -> tuple[str, ...]:
        """Leave them out of what it predicts and exports from now on; their names."""


@runtime_checkable
class TakesTensors(TellsOutputs, Protocol):
    """A trained model that also reads tensors of any rank."""

    @property
    def labels(self) -> tuple[tuple[str, ...], ...]:
        """The names of the classes, target by target, once it has predicted."""

    @property
    def target_names(self) -> tuple[str, ...]:
        """The names of several targets, where it has them itself."""

    @property
    def doubled_link(self) -> str:
        """What shows that its scores of classes were linked twice; empty if nothing does."""

    def read_arrays(self, arrays: Arrays, targets: Sequence[str], *, seed: int) -> ModelRows:
        """The rows in the arrays. Raises InvalidInputError if the arrays are not the model's inputs."""


def columns_to_matrix(columns: Tensors) -> Tensor:
    """The columns side by side as [rows, columns]: float64 if all are numbers, else objects."""
    numeric = all(column.dtype.kind != "O" for column in columns.values())
    return np.stack([column if numeric else column.astype(object) for column in columns.values()], axis=1)
