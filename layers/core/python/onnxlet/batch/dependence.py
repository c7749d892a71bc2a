"""Partial dependence over a file: the mean answer to its rows where all have one value in a column.

Source: Friedman, "Greedy function approximation: a gradient boosting machine", 2001, section 8.2; scikit-learn's
`partial_dependence` with method "brute" is the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from onnxlet.batch.explained import bound_rows
from onnxlet.batch.folding import Sample, Sums, fold_file
from onnxlet.batch.formats import blocks
from onnxlet.batch.inputs import inputs_of
from onnxlet.batch.rows import RowFaultError
from onnxlet.errors import InvalidInputError, NotExplainableError
from onnxlet.explain.outputs import explained_output
from onnxlet.explain.request import ExplanationRequest
from onnxlet.values.spelling import find_similar
from onnxlet.values.tensors import Tensor, Tensors

if TYPE_CHECKING:
    from onnxlet.batch.book import RowCounts
    from onnxlet.batch.inputs import Inputs
    from onnxlet.batch.sources import Progress
    from onnxlet.explain.outputs import ExplainedOutput
    from onnxlet.serving.model import Model

GRID = 20
"""Values of a column, unless more or fewer are asked for."""
TAILS = 0.05
"""The share of rows beyond either end of a grid of numbers, as scikit-learn leaves out."""
COLUMNS = 3
"""The most important columns, where none is named."""
SAMPLED = 10_000
"""Rows whose values make the grids: all of a file of few."""
LOOKED_AT = 200
"""Rows that say which columns are important."""
NAMED = 10
"""Columns that an error names, where none is like what was asked for."""
MATRIX = 2


class Curve(msgspec.Struct, frozen=True):
    """The mean answer, by class, where all rows have each value of the `grid` in a column."""

    column: str
    grid: list[Any]
    means: dict[str, list[float]]


class Dependence(msgspec.Struct, frozen=True):
    """The partial dependence of an output on some columns, over the scored rows of a file."""

    output: str
    unit: str
    curves: list[Curve]
    rows: RowCounts
    model_version: str


class Asked(NamedTuple):
    """What is asked for: columns (none: the most important), values of each, of which output and classes."""

    columns: tuple[str, ...] = ()
    grid: int = GRID
    request: ExplanationRequest = ExplanationRequest()


def find_dependence(
    model: Model, path: Path, asked: Asked, *, workers: int = 1, on_progress: Progress | None = None
) -> Dependence:
    """The partial dependence over the rows of a local file, which is read twice, by so many processes at most.

    Raises InvalidInputError for columns that the model has not, NotExplainableError for outputs of no numbers, or where
    nothing says which columns are important.
    """
    inputs = replace(inputs_of(model), outputs=(), titles={})
    places = _list_places(inputs)
    output = explained_output(model, asked.request.output)
    classes = asked.request.columns_of(output.columns)
    _check_columns(asked.columns, places)
    ranges = max(1, -(-path.stat().st_size // blocks.RANGE_BYTES))
    some = Sample(max(4, -(-SAMPLED // ranges)), SAMPLED)
    sample = fold_file(path, _Seen(model), inputs, some, workers=workers).told
    names = asked.columns or _most_important(model, inputs, sample, asked.request, places)
    grids = {name: _choose_values(places[name].read(sample), asked.grid) for name in names}
    if not all(map(len, grids.values())):
        empty = next(name for name, values in grids.items() if not len(values))
        raise InvalidInputError(f"the column {empty!r} has no values: ask about another")
    width = len(classes) * sum(map(len, grids.values()))
    asking = _Asking(model, output, classes, {places[name]: values for name, values in grids.items()})
    told, rows = fold_file(path, asking, bound_rows(inputs, width), Sums(), workers=workers, on_progress=on_progress)
    titles = [output.columns[each] for each in classes]
    curves = [
        Curve(name, grids[name].tolist(), dict(zip(titles, (told[name] / rows.scored).T.tolist(), strict=True)))
        for name in names
    ]
    return Dependence(output.name, output.unit, curves, rows, str(model.manifest.version))


class _Place(NamedTuple):
    """Where the values of a column stand: in an input [N], or at a place in each row of an input [N, columns]."""

    name: str
    input: str
    place: int | None

    def read(self, rows: Tensors) -> Tensor:
        """The values [N] of rows."""
        tensor = rows[self.input]
        return tensor.reshape(-1) if self.place is None else tensor[:, self.place]

    def fill(self, rows: Tensors, value: Any) -> Tensors:  # noqa: ANN401 - a value of any datatype
        """The rows, all with one value."""
        tensor = rows[self.input].copy()
        if self.place is None:
            tensor[...] = value
        else:
            tensor[:, self.place] = value
        return {**rows, self.input: tensor}


class _Seen:
    """A model that answers what it was given, where it answers at all."""

    def __init__(self, model: Model) -> None:
        self.threads = model.threads
        self._model = model

    def predict(self, inputs: Tensors, signature: str) -> Tensors:
        """The inputs. Raises as predicting does."""
        self._model.predict(inputs, signature)
        return inputs


class _Asking:
    """A model that answers rows once for each value of each column."""

    def __init__(
        self, model: Model, output: ExplainedOutput, classes: Sequence[int], grids: dict[_Place, Tensor]
    ) -> None:
        self.threads = model.threads
        self._model = model
        self._output = output
        self._classes = list(classes)
        self._grids = grids

    def predict(self, inputs: Tensors, signature: str) -> Tensors:
        """By column the answers [N, values, classes]. Raises as predicting does, RowFaultError for NaN and infinity."""
        return {
            place.name: np.stack([self._ask(place.fill(inputs, value), signature) for value in values], axis=1)
            for place, values in self._grids.items()
        }

    def _ask(self, rows: Tensors, signature: str) -> Tensor:
        answers = self._model.predict(rows, signature, [self._output.name])[self._output.name]
        chosen: Tensor = answers.reshape(len(answers), -1)[:, self._classes].astype(np.float64)
        if not np.isfinite(chosen).all():
            raise RowFaultError(
                "what the model answers is NaN or infinite, for a value of a column that is asked about"
            )
        return chosen


def _list_places(inputs: Inputs) -> dict[str, _Place]:
    """The columns of a model, by name. Raises NotExplainableError for inputs that have none."""
    places: dict[str, _Place] = {}
    for spec in inputs.specs:
        if inputs.pictures is not None or not spec.batched or len(spec.shape) > MATRIX or -1 in spec.shape[1:]:
            raise NotExplainableError(f"the input {spec} has no columns on which answers could depend")
        if inputs.columns is not None or len(spec.shape) == 1:
            places[spec.name] = _Place(spec.name, spec.name, None)
        else:
            names = [f"{spec.name}[{place}]" for place in range(spec.shape[1])]
            places |= {name: _Place(name, spec.name, place) for place, name in enumerate(names)}
    return places


def _check_columns(names: Sequence[str], places: dict[str, _Place]) -> None:
    missing = [name for name in names if name not in places]
    if missing:
        alike = [similar for name in missing if (similar := find_similar(name, places)) is not None]
        more = " …" if len(places) > NAMED else ""
        advice = f"did you mean {_list_names(alike)}?" if alike else f"it has {_list_names([*places][:NAMED])}{more}"
        raise InvalidInputError(f"the model has no column {_list_names(missing)}; {advice}")


def _list_names(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))


def _most_important(
    model: Model, inputs: Inputs, sample: Tensors, request: ExplanationRequest, places: dict[str, _Place]
) -> tuple[str, ...]:
    """The columns that move answers to some rows the most. Raises NotExplainableError."""
    count = len(next(iter(sample.values())))
    rows = np.unique(np.linspace(0, count - 1, min(LOOKED_AT, count)).astype(int))
    taken = {name: tensor[rows] for name, tensor in sample.items()}
    try:
        found = model.explain(taken, inputs.signature_name, request)
    except NotExplainableError as error:
        raise NotExplainableError(f"which columns are important cannot be told: name some; {error.detail}") from error
    means = np.abs(found.attributions).mean(axis=0).max(axis=1)
    ranked = (found.players[place] for place in np.argsort(-means, kind="stable"))
    return tuple([name for name in ranked if name in places][:COLUMNS])


def _choose_values(values: Tensor, count: int) -> Tensor:
    """The values of a grid, in order: all where they are few; else quantiles of numbers, the most frequent texts."""
    if values.dtype.kind == "O":
        frequent = Counter(str(value) for value in values.tolist()).most_common(count)
        return np.array(sorted(text for text, _ in frequent), dtype=object)
    known = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    single = np.unique(known)
    if len(single) <= count:
        return single
    return np.unique(np.quantile(known, np.linspace(TAILS, 1 - TAILS, count), method="inverted_cdf"))
