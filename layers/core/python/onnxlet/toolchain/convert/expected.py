"""Expected answers: what the user computed with the model where it was trained, taken for the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from onnxlet.errors import InvalidInputError, MissingExtraError
from onnxlet.steps import names_of
from onnxlet.toolchain.workbench.arrays import Arrays
from onnxlet.toolchain.workbench.data import Data, open_data
from onnxlet.toolchain.workbench.table import Table, describe_columns, quoted
from onnxlet.toolchain.workbench.truth import truth_of
from onnxlet.values.spelling import did_you_mean_each
from onnxlet.values.tensors import Tensor, Tensors

PARQUET = b"PAR1"


def read_expected(
    source: Data, own: Tensors, rows: int, targets: Sequence[tuple[str, Sequence[int | str], Sequence[str]]]
) -> Tensors:
    """The user's answers to `rows` rows, under the names of the model's `own`.

    A classifier's `targets` are name, class values and labels: each has a column `label` of these (`label_stage` where
    there are several), and may have probabilities as columns named like the classes (`stage_…`), or as one array
    [rows, classes] `probabilities`. Other answers are columns or arrays of their own names. Raises InvalidInputError
    for another number of rows, and for columns that are missing or no answers.
    """
    cells = _open(source)
    if cells.rows != rows:
        raise InvalidInputError(f"{cells.name!r} expects answers to {cells.rows} rows, the data have {rows}")
    answers = dict(_classifier_answers(cells, own, targets)) if targets else _named_answers(cells, own)
    for name, tensor in answers.items():
        if tensor.shape != own[name].shape:
            raise InvalidInputError(
                f"{cells.name!r} expects {name!r} of the shape {list(tensor.shape)}, the model answers "
                f"{list(own[name].shape)}"
            )
    return answers


def _open(source: Data) -> Table | Arrays:
    if isinstance(source, Path) and source.is_file():
        with source.open("rb") as file:
            if file.read(len(PARQUET)) == PARQUET:
                source = _read_parquet(source)
    cells = open_data(source, None, tensors=True)[0]
    return cells if isinstance(source, Path) else replace(cells, name="expected")


def _read_parquet(path: Path) -> Data:
    try:
        import pandas as pd

        frame: Data = pd.read_parquet(path)
    except ImportError as error:
        raise MissingExtraError(
            f"reading {path.name!r} takes pandas and pyarrow: pip install pandas pyarrow"
        ) from error
    return frame


def _classifier_answers(
    cells: Table | Arrays, own: Tensors, targets: Sequence[tuple[str, Sequence[int | str], Sequence[str]]]
) -> dict[str, Tensor]:
    answers: dict[str, Tensor] = {}
    known: set[str] = set()
    for target, classes, labels in targets:
        names = names_of(target)
        label = truth_of(cells, names.label, [(classes, labels)])
        assert label is not None  # noqa: S101 - a target was named
        answers[names.label] = label.astype(own[names.label].dtype)
        prefix = f"{target}_" if target else ""
        columns = _class_columns(cells, prefix, classes, labels)
        known |= {names.label, names.probabilities, *filter(None, columns)}
        if names.probabilities in cells.columns and isinstance(cells, Arrays):
            answers[names.probabilities] = cells.columns[names.probabilities].astype(np.float64)
        elif any(columns):
            missing = [prefix + str(value) for value, column in zip(classes, columns, strict=True) if column is None]
            if missing:
                raise InvalidInputError(f"{cells.name!r} lacks the probabilities of the classes {quoted(missing)}")
            answers[names.probabilities] = np.stack([cells.numbers(column) for column in columns if column], axis=1)
    others = {name: tensor for name, tensor in own.items() if name in cells.columns and name not in known}
    answers |= _read_named(cells, others)
    _refuse_others(cells, known | others.keys())
    if not answers.keys() <= own.keys():
        raise InvalidInputError(f"{cells.name!r} expects probabilities, and the model has none: leave them out")
    return answers


def _class_columns(
    cells: Table | Arrays, prefix: str, classes: Sequence[int | str], labels: Sequence[str]
) -> list[str | None]:
    """The columns with each class's probabilities: by all the labels, which may be numbers, else by label or value."""
    if labels and all(prefix + label in cells.columns for label in labels):
        return [prefix + label for label in labels]
    named = zip(classes, labels or classes, strict=True)
    return [next((f"{prefix}{name}" for name in names if f"{prefix}{name}" in cells.columns), None) for names in named]


def _named_answers(cells: Table | Arrays, own: Tensors) -> dict[str, Tensor]:
    missing = [name for name in own if name not in cells.columns]
    if missing:
        raise InvalidInputError(
            f"{cells.name!r} lacks the answers {quoted(missing)} of the model; it has "
            f"{describe_columns(cells.columns, own)}{did_you_mean_each(missing, cells.columns)}",
            missing=missing,
        )
    _refuse_others(cells, set(own))
    return _read_named(cells, own)


def _read_named(cells: Table | Arrays, own: Tensors) -> dict[str, Tensor]:
    """The answers of these names, in the shapes of the model's `own`."""
    read = {name: cells.numbers(name) if isinstance(cells, Table) else cells.columns[name] for name in own}
    # a column is one number per row
    return {
        name: (tensor.reshape(own[name].shape) if tensor.size == own[name].size else tensor).astype(own[name].dtype)
        for name, tensor in read.items()
    }


def _refuse_others(cells: Table | Arrays, known: set[str]) -> None:
    others = [name for name in cells.columns if name not in known]
    if others:
        raise InvalidInputError(
            f"{cells.name!r} holds {quoted(others)}, which the model does not answer: leave such columns out",
            names=others,
        )
