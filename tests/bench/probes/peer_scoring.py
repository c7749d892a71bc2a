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
kind = Path(source).suffix
json_lines = kind == ".jsonl"


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

    if kind == ".parquet":
        return []  # it says so itself
    with Path(source).open() as lines:
        first = lines.readline()
    return list(json.loads(first)) if json_lines else first.strip().split(",")


names = find_names()


def choose_numeric(names: list[str]) -> list[str]:
    return [name for name in names if name.startswith("x")]


def to_matrix(table: Any) -> np.ndarray[Any, Any]:  # noqa: ANN401 - of either library
    return np.stack([table[column].to_numpy() for column in choose_numeric(table.column_names)], axis=1)


numeric = choose_numeric(names)


def with_polars() -> None:
    import polars as pl

    schema = {name: pl.Float32 if name in numeric else pl.String for name in names}
    read: dict[str, Any] = {
        ".jsonl": lambda: pl.read_ndjson(source, schema=schema),
        ".csv": lambda: pl.read_csv(source, schema=schema),
        ".parquet": lambda: pl.read_parquet(source),
    }
    frame = read[kind]()
    answers = predict(frame.select(choose_numeric(frame.columns)).to_numpy())
    frame = frame.with_columns(**{name: pl.Series(values) for name, values in answers.items()})
    write = {".jsonl": frame.write_ndjson, ".csv": frame.write_csv, ".parquet": frame.write_parquet}
    write[kind](output)


def with_duckdb() -> None:
    import duckdb

    columns = ", ".join(f"'{name}': '{'FLOAT' if name in numeric else 'VARCHAR'}'" for name in names)
    read = {
        ".jsonl": f"read_json('{source}', columns={{{columns}}})",
        ".csv": f"read_csv('{source}', columns={{{columns}}})",
        ".parquet": f"read_parquet('{source}')",
    }
    table = duckdb.sql(f"SELECT * FROM {read[kind]}").to_arrow_table()  # noqa: S608
    for name, values in predict(to_matrix(table)).items():
        table = table.append_column(name, [values])
    duckdb.register("scored", table)
    duckdb.sql(f"COPY scored TO '{output}' (FORMAT {'JSON' if json_lines else kind.removeprefix('.')})")


def with_pyarrow() -> None:
    import pyarrow as pa
    from pyarrow import csv, parquet

    types = {name: pa.float32() if name in numeric else pa.string() for name in names}
    if kind == ".parquet":
        table = parquet.read_table(source)
    else:
        table = csv.read_csv(source, convert_options=csv.ConvertOptions(column_types=types))
    for name, values in predict(to_matrix(table)).items():
        table = table.append_column(name, [values])
    if kind == ".parquet":
        parquet.write_table(table, output)
    else:
        csv.write_csv(table, output)


{"polars": with_polars, "duckdb": with_duckdb, "pyarrow": with_pyarrow}[peer]()
