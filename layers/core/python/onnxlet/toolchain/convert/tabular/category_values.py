"""Category values: what clients send for a category, where the model itself knows codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan
from typing import Any

from onnxlet.errors import MissingExtraError
from onnxlet.toolchain.convert.tabular.graph_writer import GraphWriter
from onnxlet.values.tensors import VARIABLE

Categories = Mapping[int, Sequence[Any]]
"""The values of the codes 0, 1, 2 … by the position of the feature."""
_KEYS = {"BYTES": "keys_strings", "INT64": "keys_int64s"}
"""What categories are looked up by, of the datatypes that are."""
UNKNOWN = -1.0
"""The code of what is no category."""


def text_features(categories: Categories) -> frozenset[int]:
    """The positions of features whose categories are texts."""
    return frozenset(at for at, values in categories.items() if any(isinstance(value, str) for value in values))


def numeric_categories(categories: Categories) -> dict[int, Sequence[float]]:
    """The categories of features that are sent as numbers."""
    texts = text_features(categories)
    return {at: [float(value) for value in values] for at, values in categories.items() if at not in texts}


def as_categories(rows: Any, categories: Categories) -> Any:
    """A DataFrame with columns of pandas' category type where the model was fitted on such; other rows as they are."""
    if not categories:
        return rows
    import pandas as pd

    typed = {}
    for at, values in categories.items():
        column = rows.iloc[:, at]
        if column.dtype.name != "category":
            typed[rows.columns[at]] = pd.Categorical(column.where(column.isin(values)), categories=list(values))
    return rows.assign(**typed) if typed else rows


def frame_of(rows: Any, names: Sequence[str]) -> Any:
    """The rows as a DataFrame: such a one, an array, or columns by name, each in its own type.

    Raises MissingExtraError without pandas.
    """
    if hasattr(rows, "iloc"):
        return rows
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError("a model with categories is asked with a DataFrame: pip install pandas") from error
    return pd.DataFrame(rows, columns=list(names))


def write_inputs(
    graph: GraphWriter, names: Sequence[str], datatypes: Sequence[str], categories: Categories, wanted: str
) -> str:
    """Declare an input [N, 1] of its datatype for each column; returns the features [N, columns] as `wanted`.

    Of texts and whole numbers they are the codes.
    """
    parts = []
    for at, (name, datatype) in enumerate(zip(names, datatypes, strict=True)):
        column = graph.input(name, datatype, (VARIABLE, 1))
        if datatype in _KEYS:
            codes: dict[Any, float] = {value: float(code) for code, value in enumerate(categories[at])}
            if datatype == "BYTES":
                # the empty text is a missing value, unless it is a category itself
                codes = {"": nan} | {str(value): code for value, code in codes.items()}
            column = graph.add(
                "LabelEncoder",
                column,
                domain="ai.onnx.ml",
                **{_KEYS[datatype]: list(codes)},
                values_floats=list(codes.values()),
                default_float=UNKNOWN,
            )
        parts.append(graph.to_double(column) if wanted == "FP64" else graph.to_float(column))
    return graph.add("Concat", *parts, axis=1)
