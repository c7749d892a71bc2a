"""A version where an engine has its rows: a callable that is sent to workers, and opens the model once in each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxlet.errors import IntegrityError, InvalidInputError, MissingExtraError
from onnxlet.lifecycle.workspace import Workspace, open_workspace
from onnxlet.values.refs import Ref, parse_ref

if TYPE_CHECKING:
    from arro3.core import DataType, RecordBatch, Table

    from onnxlet.batch.arrow_scoring import ArrowScorer
    from onnxlet.explain.request import ExplanationRequest

_SQL = {
    "Boolean": "BOOLEAN",
    "Int8": "TINYINT",
    "Int16": "SMALLINT",
    "Int32": "INT",
    "Int64": "BIGINT",
    "Float32": "FLOAT",
    "Float64": "DOUBLE",
    "Utf8": "STRING",
}
"""Spark's words for Arrow's types: spark.apache.org/docs/latest/sql-ref-datatypes.html."""


class Scorer:
    """One version, pinned when this is made, that scores rows wherever it is called.

    `store` is a URL or a path that the workers reach too; None: ONNXLET_STORE, else your own data folder. What
    `ref` means is decided once, here, and every worker holds the version to its digest. Of the rows' columns those to
    `keep` come back (None: all). Rows are explained as `explain` asks: True, or options of `explain`.

        scorer = onnxlet.Scorer("s3://models", "diagnosis")
        scorer(frame)                                    # pandas, polars, pyarrow: the same kind with answers
        dask_frame.map_partitions(scorer)
        spark_frame.mapInArrow(scorer.map, schema)
        ray_dataset.map_batches(scorer, batch_format="pyarrow")

    Answers are those of `onnxlet score`, bit for bit, in the columns that it writes, but for the number of the row, and
    a column `error`: why a row was not scored, in the words of `.errors.jsonl`.
    Raises ModelNotFoundError, VersionNotFoundError, AliasNotFoundError; StoreUnavailableError.
    """

    def __init__(
        self,
        store: str | Path | None,
        ref: str | Ref,
        *,
        keep: Sequence[str] | None = None,
        explain: bool | Mapping[str, Any] = False,
    ) -> None:
        target = ref if isinstance(ref, Ref) else parse_ref(ref)
        workspace = open_workspace(store)
        with workspace.naming_others():
            manifest, self._digest = workspace.open_registry().resolve(target)
        self.ref = Ref(manifest.model, version=manifest.version)
        self._store = workspace.url
        self._keep = None if keep is None else tuple(keep)
        self._explain = _read_explain(explain)

    def __call__(self, rows: Any) -> Any:
        """Rows with their answers: a pandas or polars DataFrame, a pyarrow Table or RecordBatch gives its own kind,
        whatever else has Arrow's C stream (a DuckDB relation, say) an arro3 Table.

        Raises InvalidInputError if the rows have not what the model needs; IntegrityError, RejectedModelError if the
        version cannot be served; StoreUnavailableError.
        """
        scorer = self._open()
        kind = _kind_of(rows)
        table = _to_table(rows, kind)
        added = scorer.score_table(table)
        join: _Join = _JOINED.get(kind, _join_arrow)
        return join(rows, table, added, scorer.choose_kept(table.schema.names))

    def map(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Batch after batch, as Spark's `mapInArrow` wants it."""
        return map(self, batches)

    @property
    def ddl(self) -> str:
        """What is added to rows, as Spark's schemas say it: `label` STRING, `probability` FLOAT, …"""
        schema = self._open().schema
        return ", ".join(f"`{name}` {_to_sql(schema.field(name).type)}" for name in schema.names)

    def __repr__(self) -> str:
        return f"Scorer({self._store!r}, {str(self.ref)!r})"

    def _open(self) -> ArrowScorer:
        return _open_scorer(self._store, self.ref, self._digest, self._keep, self._explain)


def _read_explain(explain: bool | Mapping[str, Any]) -> ExplanationRequest | None:
    """What is asked of explanations. Raises InvalidInputError."""
    if explain is False:
        return None
    from onnxlet.explain.request import read_request

    return read_request(explain)


@cache
def _open_scorer(
    store: str, ref: Ref, digest: str, keep: tuple[str, ...] | None, explain: ExplanationRequest | None
) -> ArrowScorer:
    """The version opened in this process, once. Raises IntegrityError if it is another than it was."""
    try:
        from onnxlet.batch.arrow_scoring import ArrowScorer
    except ImportError as error:
        raise MissingExtraError(f"{error.name} is not installed: pip install 'onnxlet[tabular]'") from error
    from dataclasses import replace

    from onnxlet.batch.inputs import inputs_of

    served = Workspace(store).make_predictor(layout=True).load(ref)
    if served.digest != digest:
        raise IntegrityError(f"{ref} has another manifest here than where it was pinned: is it the same store?")
    inputs = replace(inputs_of(served.model), keep=keep)
    if explain is None:
        return ArrowScorer(served.model, inputs)
    from onnxlet.batch.explained import explain_rows

    inputs = explain_rows(inputs, served.model, explain, documents=False)
    return ArrowScorer(served.model, inputs)


def _kind_of(rows: object) -> tuple[str, str]:
    """The library and the class of a table."""
    kind = type(rows)
    return kind.__module__.partition(".")[0], kind.__name__


def _to_table(rows: Any, kind: tuple[str, str]) -> Table:
    from arro3.core import Table

    if kind == ("pandas", "DataFrame"):
        rows = rows.reset_index(drop=True)  # or it becomes a column
    elif kind == ("pyarrow", "RecordBatch"):
        return Table.from_batches([_as_batch(rows)])
    if not hasattr(rows, "__arrow_c_stream__"):
        name = ".".join(kind)
        raise InvalidInputError(
            f"{name} is no table of columns: give a DataFrame of pandas or polars, or a table of Arrow "
            '(Ray: batch_format="pyarrow")'
        )
    return Table.from_arrow(rows)


def _as_batch(rows: Any) -> RecordBatch:
    from arro3.core import RecordBatch

    return RecordBatch.from_arrow(rows)


def _join_pandas(rows: Any, _table: Table, added: Table, kept: Mapping[str, str]) -> Any:
    import pandas as pd
    import pyarrow as pa

    answers = pa.table(added).to_pandas()
    answers.index = rows.index
    return pd.concat([rows[list(kept)].rename(columns=kept), answers], axis=1)


def _join_polars(rows: Any, _table: Table, added: Table, kept: Mapping[str, str]) -> Any:
    import polars as pl

    return rows.select(pl.col(name).alias(new) for name, new in kept.items()).hstack(pl.DataFrame(added))


def _join_arrow(_rows: Any, table: Table, added: Table, kept: Mapping[str, str]) -> Table:
    joined = table.select(list(kept)).rename_columns(list(kept.values()))
    for name in added.schema.names:
        joined = joined.append_column(added.schema.field(name), added[name])
    return joined


def _join_pyarrow(rows: Any, table: Table, added: Table, kept: Mapping[str, str]) -> Any:
    import pyarrow as pa

    return pa.table(_join_arrow(rows, table, added, kept))


def _join_pyarrow_batch(rows: Any, table: Table, added: Table, kept: Mapping[str, str]) -> Any:
    joined = _join_pyarrow(rows, table, added, kept)
    return joined.combine_chunks().to_batches()[0] if len(joined) else joined.schema.empty_table().to_batches()[0]


_Join = Callable[[Any, "Table", "Table", Mapping[str, str]], Any]
_JOINED: Mapping[tuple[str, str], _Join] = {
    ("pandas", "DataFrame"): _join_pandas,
    ("polars", "DataFrame"): _join_polars,
    ("pyarrow", "Table"): _join_pyarrow,
    ("pyarrow", "RecordBatch"): _join_pyarrow_batch,
}
"""Rows with their answers, by the kind of table that they came in."""


def _to_sql(kind: DataType) -> str:
    """Raises InvalidInputError for what Spark has no word for."""
    if (inner := kind.value_type) is not None:
        return f"ARRAY<{_to_sql(inner)}>"
    name = repr(kind).strip().removeprefix("arro3.core.DataType<").removesuffix(">")
    if name not in _SQL:
        raise InvalidInputError(f"Spark has no type for Arrow's {name}")
    return _SQL[name]
