"""A script that scores a file with polars, DuckDB or pyarrow and ONNX Runtime: PEER MODEL SOURCE OUTPUT.

Columns named x and a number are read as 32 bit floats and asked about; all are written again, with the row's number,
the label and both probabilities.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

ROWS = 4096
peer, model, source, output = sys.argv[1:]
json_lines = source.endswith(".jsonl")


def predict(matrix: np.ndarray[Any, Any]) -> dict[str, Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options)
    name = session.get_inputs()[0].name
    matrix = np.ascontiguousarray(matrix, dtype=np.float32)
    runs = [session.run(None, {name: matrix[first : first + ROWS]}) for first in range(0, len(matrix), ROWS)]
    label, probabilities = (np.concatenate([run[place] for run in runs]) for place in (0, 1))
    numbers = np.arange(1, len(matrix) + 1)
    return {"row": numbers, "label": label, "p0": probabilities[:, 0], "p1": probabilities[:, 1]}


def find_names() -> list[str]:
    import json

    with Path(source).open() as lines:
        first = lines.readline()
    return list(json.loads(first)) if json_lines else first.strip().split(",")


names = find_names()
numeric = [name for name in names if name.startswith("x")]


def with_polars() -> None:
    import polars as pl

    schema = {name: pl.Float32 if name in numeric else pl.String for name in names}
    frame = pl.read_ndjson(source, schema=schema) if json_lines else pl.read_csv(source, schema=schema)
    answers = predict(frame.select(numeric).to_numpy())
    frame = frame.with_columns(**{name: pl.Series(values) for name, values in answers.items()})
    if json_lines:
        frame.write_ndjson(output)
    else:
        frame.write_csv(output)


def with_duckdb() -> None:
    import duckdb

    columns = ", ".join(f"'{name}': '{'FLOAT' if name in numeric else 'VARCHAR'}'" for name in names)
    read = "read_json" if json_lines else "read_csv"
    table = duckdb.sql(f"SELECT * FROM {read}('{source}', columns={{{columns}}})").to_arrow_table()  # noqa: S608
    for name, values in predict(np.stack([table[column].to_numpy() for column in numeric], axis=1)).items():
        table = table.append_column(name, [values])
    duckdb.register("scored", table)
    duckdb.sql(f"COPY scored TO '{output}' (FORMAT {'JSON' if json_lines else 'CSV'})")


def with_pyarrow() -> None:
    import pyarrow as pa
    from pyarrow import csv

    types = {name: pa.float32() if name in numeric else pa.string() for name in names}
    table = csv.read_csv(source, convert_options=csv.ConvertOptions(column_types=types))
    for name, values in predict(np.stack([table[column].to_numpy() for column in numeric], axis=1)).items():
        table = table.append_column(name, [values])
    csv.write_csv(table, output)


{"polars": with_polars, "duckdb": with_duckdb, "pyarrow": with_pyarrow}[peer]()
