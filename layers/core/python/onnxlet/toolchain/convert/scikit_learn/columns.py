"""Columns: how an estimator's features become graph inputs, read from what it learned when it was fitted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.convert.scikit_learn.vectorizers import takes_texts
from onnxlet.toolchain.convert.tabular.feature_names import feature_names
from onnxlet.toolchain.workbench.table import Table
from onnxlet.values.tensors import Tensors


@dataclass(frozen=True)
class ColumnLayout:
    """The columns in the estimator's order.

    `datatypes` are BYTES or INT64 for columns that must be such, and None for any float.
    """

    names: tuple[str, ...]
    datatypes: dict[str, str | None]
    input_per_column: bool
    """Whether each column is a graph input of its own; else they form one matrix."""
    needs_dataframe: bool
    """Whether the estimator picks columns by name, and so needs a DataFrame."""


def column_layout(
    estimator: Any, table: Table | None, targets: Sequence[str], spell: Callable[[str], str] = str
) -> ColumnLayout:
    """Match the estimator's features with the data's columns, which it spelled as `spell` does.

    Raises InvalidInputError where they do not fit.
    """
    names = _names(estimator, table, targets, spell)
    learned = _learned_types(estimator, names)
    selectors = [selector for selector in _nested_estimators(estimator) if hasattr(selector, "transformers_")]
    by_name = any(isinstance(name, str) for selector in selectors for name in _selected_columns(selector))
    datatypes: dict[str, str | None] = {}
    for name in names:
        text = table is not None and not table.is_numeric(name)
        datatypes[name] = "BYTES" if text else learned.get(name)
    texts = [name for name in names if datatypes[name] == "BYTES"]
    input_per_column = bool(by_name or texts)
    if table is None and input_per_column:
        raise InvalidInputError(
            "this estimator reads columns by name or text: give --data, a CSV file with rows like its own"
        )
    if not input_per_column:
        datatypes = dict.fromkeys(names)
    return ColumnLayout(names, datatypes, input_per_column, by_name)


def sample_rows(estimator: Any, names: tuple[str, ...], count: int, seed: int) -> Tensors:
    """Random numbers, spread as the estimator's first scaler learned it where it has one."""
    random = np.random.default_rng(seed)
    rows = random.standard_normal((count, len(names)))
    for part in _nested_estimators(estimator):
        low, high = getattr(part, "data_min_", None), getattr(part, "data_max_", None)
        if low is not None and high is not None and len(low) == len(names):
            rows = random.uniform(low, high, rows.shape)
            break
        scale, mean = getattr(part, "scale_", None), getattr(part, "mean_", None)
        if scale is not None and mean is not None and len(mean) == len(names):
            rows = rows * scale + mean
            break
    return {name: rows[:, index] for index, name in enumerate(names)}


def _names(estimator: Any, table: Table | None, targets: Sequence[str], spell: Callable[[str], str]) -> tuple[str, ...]:
    """The features' names: as the estimator was fitted, else the data's columns, else x0, x1 …"""
    return feature_names(
        "the estimator",
        learned=learned_names(estimator),
        # CatBoost forgets it when it is pickled, and an ensemble asks its first member
        expected=getattr(estimator, "n_features_in_", None) or None,
        table=table,
        targets=targets,
        spell=spell,
    )


def learned_names(estimator: Any) -> tuple[str, ...] | None:
    """The names of the columns that it was fitted on; None if they had none."""
    fitted = getattr(estimator, "feature_names_in_", None)
    return None if fitted is None else tuple(map(str, fitted))


def _learned_types(estimator: Any, names: tuple[str, ...]) -> dict[str, str]:
    """BYTES for the columns that a vectorizer reads, BYTES and INT64 for those whose categories an encoder learned."""
    types: dict[str, str] = {}
    for columns, part in parts_with_columns(estimator, names):
        if takes_texts(part):
            types |= dict.fromkeys(columns, "BYTES")
        categories = getattr(part, "categories_", None)
        if categories is None or len(categories) != len(columns):
            continue
        for name, values in zip(columns, categories, strict=True):
            if values.dtype.kind in "OSU":
                texts = any(isinstance(value, str) for value in values.tolist())
                types.setdefault(name, "BYTES" if texts else "INT64")
            elif values.dtype.kind in "iu":
                types.setdefault(name, "INT64")
    return types


def parts_with_columns(estimator: Any, names: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The parts of the estimator that read input columns, each with the names of these columns."""
    for part in _nested_estimators(estimator):
        if hasattr(part, "transformers_"):
            for _, transformer, columns in part.transformers_:
                part_columns = resolve_columns(columns, names)
                for inner in _nested_estimators(transformer):
                    yield part_columns, inner
        else:
            yield names, part


def _nested_estimators(estimator: Any) -> Iterator[Any]:
    """The estimator itself, and what a pipeline or a search holds, in order."""
    yield estimator
    for _, step in getattr(estimator, "steps", ()):
        yield from _nested_estimators(step)
    best = getattr(estimator, "best_estimator_", None)
    if best is not None:
        yield from _nested_estimators(best)


def _selected_columns(selector: Any) -> list[Any]:
    """What a ColumnTransformer was given to pick columns by."""
    picked: list[Any] = []
    for _, transformer, columns in selector.transformers_:
        if isinstance(transformer, str) and transformer in ("drop", "passthrough"):
            continue
        if not isinstance(columns, slice):
            picked.extend(np.atleast_1d(np.asarray(columns)).tolist())
    return picked


def resolve_columns(columns: Any, names: tuple[str, ...]) -> tuple[str, ...]:
    """Column names for the names, positions, mask or slice that a ColumnTransformer picks by."""
    if isinstance(columns, str):
        return (columns,)
    if isinstance(columns, slice):
        return names[columns]
    picked = np.atleast_1d(np.asarray(columns))
    if picked.dtype.kind in "OU":
        return tuple(map(str, picked))
    if picked.dtype.kind == "b":
        return tuple(name for name, chosen in zip(names, picked, strict=True) if chosen)
    return tuple(names[index] for index in picked.tolist())
