"""Own rows: the rows as users hand them to the model, in their own types, to ask it with.

What the caller holds is taken as it is. A CSV file is read by pandas, which is how such files become rows in most
hands, and not by the code that reads it for the graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.workbench.table import Table
from onnxlet.values.tensors import Tensor


def own_rows(
    table: Table, names: Sequence[str], texts: Sequence[str] = (), markers: Mapping[str, Any] = MappingProxyType({})
) -> Any:
    """A DataFrame or an array of the columns `names`; None for a file where pandas is not installed.

    Of a file, the columns `texts` are read as such, and `markers` say what the model learned for missing texts; others
    are empty. Raises InvalidInputError for a file that pandas reads otherwise than as the same rows.
    """
    if table.own is not None:
        positions = [list(table.columns).index(name) for name in names]
        return table.own.iloc[:, positions] if hasattr(table.own, "iloc") else table.own[:, positions]
    if table.path is None:
        return None
    try:
        import pandas as pd
    except ImportError:
        return None
    # only empty cells are missing, as they are where the model is served
    frame = pd.read_csv(
        table.path,
        dtype=dict.fromkeys(texts, str),
        keep_default_na=False,
        na_values=[""],
        encoding="utf-8-sig",
    )
    if len(frame) != table.rows:
        raise InvalidInputError(
            f"pandas reads {len(frame)} rows in {table.name!r}, there are {table.rows}: write the file without blank "
            "lines and quotes that are not needed"
        )
    return frame[list(names)].assign(**_readable(table, frame, names, texts, markers))


def as_frame(columns: Mapping[str, Tensor]) -> Any:
    """The columns as a DataFrame; None where pandas is not installed."""
    try:
        import pandas as pd
    except ImportError:
        return None
    return pd.DataFrame(dict(columns))


def as_matrix(frame: Any) -> Tensor:
    """The array of a model that was not fitted on a DataFrame: of float64, or of objects where some are texts."""
    if hasattr(frame, "iloc") and all(kind.kind in "biuf" for kind in frame.dtypes):
        return np.asarray(frame.to_numpy(dtype=np.float64))
    return np.asarray(frame)


def _readable(
    table: Table, frame: Any, names: Sequence[str], texts: Sequence[str], markers: Mapping[str, Any]
) -> dict[str, Any]:
    """Columns that need more than pandas: missing texts, and numbers that it takes for texts (`true`, ` `)."""
    columns: dict[str, Any] = {}
    for name in names:
        missing = frame[name].isna()
        if name in texts and bool(missing.any()):
            column = frame[name].astype(object)
            column[missing] = markers.get(name, "")
            columns[name] = column
        elif name not in texts and frame[name].dtype.kind not in "biuf":
            columns[name] = table.numbers(name)
    return columns
