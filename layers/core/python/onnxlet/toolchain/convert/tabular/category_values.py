"""Category values: what clients send for a category, where the model itself knows codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan
from typing import Any

from onnxlet.errors import MissingExtraError
from onnxlet.toolchain.convert.tabular.graph_writer import GraphWriter
from onnxlet.values.tensors import VARIABLE, Tensors

Categories = Mapping[int, Sequence[Any]]
"""The values of the codes 0, 1, 2 … by the position of the feature."""
UNKNOWN = -1.0
"""The code of a text that is no category."""


def text_features(categories: Categories) -> frozenset[int]:
    """The positions of features whose categories are texts."""
    return frozenset(at for at, values in categories.items() if any(isinstance(value, str) for value in values))


def numeric_categories(categories: Categories) -> dict[int, Sequence[float]]:
    """The categories of features that are sent as numbers."""
    texts = text_features(categories)
    return {at: [float(value) for value in values] for at, values in categories.items() if at not in texts}


def as_categories(rows: Any, names: Sequence[str], categories: Categories) -> Any:
    """The rows as a DataFrame whose columns have pandas' category type where the model was fitted on such.

    Raises MissingExtraError without pandas.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError("a model with categories is asked with a DataFrame: pip install pandas") from error
    frame = rows if hasattr(rows, "iloc") else pd.DataFrame(rows, columns=list(names))
    typed = {}
    for at, values in categories.items():
        column = frame.iloc[:, at]
        if column.dtype.name != "category":
            typed[frame.columns[at]] = pd.Categorical(column.where(column.isin(values)), categories=list(values))
    return frame.assign(**typed) if typed else frame


def frame_of(columns: Tensors) -> Any:
    """The columns as a DataFrame, each in its own type. Raises MissingExtraError without pandas."""
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError("a model with categories is asked with a DataFrame: pip install pandas") from error
    return pd.DataFrame(dict(columns))


def write_inputs(graph: GraphWriter, names: Sequence[str], datatype: str, categories: Categories) -> str:
    """Declare an input [N, 1] for each column, texts among them; returns the features [N, columns] with their codes."""
    texts = text_features(categories)
    parts = []
    for at, name in enumerate(names):
        column = graph.input(name, "BYTES" if at in texts else datatype, (VARIABLE, 1))
        if at in texts:
            known = {str(value): float(code) for code, value in enumerate(categories[at])}
            column = graph.add(
                "LabelEncoder",
                column,
                domain="ai.onnx.ml",
                keys_strings=[*known, ""],
                values_floats=[*known.values(), nan],
                default_float=UNKNOWN,
            )
        parts.append(graph.to_double(column) if datatype == "FP64" else graph.to_float(column))
    return graph.add("Concat", *parts, axis=1)
