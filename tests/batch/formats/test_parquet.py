"""Parquet: what is written is read by pyarrow and polars, and says what ONNX Runtime says of the same rows."""

from __future__ import annotations

import datetime as dt
import io
import random
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models import tiny
from onnxlet.batch.book import Book
from onnxlet.batch.formats import parquet_ranges
from onnxlet.batch.formats.parquet_file import find_places, open_table
from onnxlet.batch.inputs import inputs_of
from onnxlet.batch.local_files import score_path
from onnxlet.batch.scoring import Options
from onnxlet.batch.sources import LocalSource
from onnxlet.errors import InvalidInputError
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import Store
from onnxlet.values.refs import parse_ref

pytestmark = pytest.mark.slow

Score = Callable[..., tuple[Book, Any]]

ADDED = ["row", "label", "probability", "probability_benign", "probability_malignant", "model_version"]


@pytest.fixture
def score(store: Store, tmp_path: Path) -> Score:
    """Score a table, or bytes, by a model: the book and what pyarrow reads of the output, which polars reads too."""
    predictor = Predictor(store, Settings(store=store.url, cache_dir=str(tmp_path / "cache"), threads=1))
    tiny.publish(store, "m", tiny.classifier_package(tmp_path / "model"))

    def run(
        table: Any,  # noqa: ANN401 - of pyarrow, or bytes
        ref: str = "m",
        options: Options | None = None,
        workers: int = 1,
        **written: Any,  # noqa: ANN401 - options of pyarrow
    ) -> tuple[Book, Any]:
        source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
        if isinstance(table, bytes):
            source.write_bytes(table)
        else:
            pq.write_table(table, source, **written)
        book = score_path(predictor, parse_ref(ref), source, target, options=options or Options(), workers=workers)
        scored = pq.read_table(target)
        assert pl.read_parquet(target).rows() == pl.DataFrame(pl.from_arrow(scored)).rows()
        return book, scored

    return run


def _rows(count: int = 1000) -> Any:  # noqa: ANN401
    generator = np.random.default_rng(0)
    return pa.table(
        {
            "id": [f"P{number}" for number in range(count)],
            "radius": generator.normal(0, 3, count),
            "texture": pa.array(generator.normal(0, 3, count), pa.float32()),
        }
    )


def _malignant(table: Any) -> list[float]:  # noqa: ANN401
    radius, texture = (np.array(table[name].to_pylist(), np.float64) for name in ("radius", "texture"))
    # what tiny.classifier says it computes
    malignant: list[float] = (1 / (1 + np.exp(-(radius + texture - 1)))).tolist()
    return malignant


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "brotli", "zstd", "lz4"])
def test_rows_keep_their_columns_and_get_what_the_model_says(score: Score, tmp_path: Path, codec: str) -> None:
    table = _rows()
    book, scored = score(table, compression=codec, row_group_size=300)
    assert book.rows is not None
    assert (book.rows.read, book.rows.scored) == (1000, 1000)
    assert scored.column_names == [*table.column_names, *ADDED]
    assert scored.select(table.column_names).equals(table)
    assert scored["row"].to_pylist() == list(range(1, 1001))
    assert scored["probability_malignant"].to_pylist() == pytest.approx(_malignant(table), abs=1e-6)
    assert set(scored["model_version"].to_pylist()) == {1}
    written = pq.read_metadata(tmp_path / "out.parquet").row_group(0).column(1)
    assert written.compression == {"none": "UNCOMPRESSED"}.get(codec, codec.upper())


@pytest.mark.parametrize("version", ["1.0", "2.6"])
@pytest.mark.parametrize("page", ["1.0", "2.0"])
def test_columns_of_any_type_are_kept_as_they_are(score: Score, version: str, page: str) -> None:
    day, moment = dt.date(2026, 1, 2), dt.datetime(2026, 1, 2, 3, 4, 5, 6)  # noqa: DTZ001 - pyarrow's own zones
    kept = {
        "int8": pa.array([1, None, -3], pa.int8()),
        "uint64": pa.array([1, 2**64 - 1, None], pa.uint64()),
        "half": pa.array(np.array([1, 2, 3], np.float16)),
        "truth": pa.array([True, None, False]),
        "text": pa.array(["a", None, "ü" * 100]),
        "large": pa.array(["a", None, ""], pa.large_string()),
        "view": pa.array(["a", None, "b" * 30], pa.string_view()),
        "bytes": pa.array([b"\0", None, b"\xff"]),
        "fixed": pa.array([b"ab", None, b"cd"], pa.binary(2)),
        "category": pa.array(["a", "b", "a"]).dictionary_encode(),
        "decimal": pa.array([Decimal("1.20"), None, Decimal("-4.50")], pa.decimal128(10, 2)),
        "date": pa.array([day, None, day]),
        "moment": pa.array([moment, None, moment], pa.timestamp("us", "Europe/Berlin")),
        "time": pa.array([dt.time(1), None, None], pa.time64("us")),
        "span": pa.array([dt.timedelta(1), None, None], pa.duration("ms")),
        "nothing": pa.nulls(3),
        "list": pa.array([[1.0], None, []], pa.list_(pa.float32())),
        "pair": pa.array([[1.0, 2.0], None, [3.0, 4.0]], pa.list_(pa.float64(), 2)),
        "deep": pa.array([[["a"], None], [], None]),
        "struct": pa.array([{"x": 1, "y": "a"}, None, {"x": None, "y": "b"}]),
        "map": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int32())),
        "row": pa.array([7, 8, 9]),
        "radius": pa.array([1.0, 2.0, 3.0]),
        "texture": pa.array([1, 2, 3]),
    }
    table = pa.table(kept).replace_schema_metadata({"whose": "ours"})
    _, scored = score(table, version=version, data_page_version=page)
    names = ["input_row" if name == "row" else name for name in kept]
    assert scored.column_names == [*names, *ADDED]
    assert scored.schema.metadata[b"whose"] == b"ours"
    for name, new in zip(kept, names, strict=True):
        assert scored[new].type == table[name].type, name
        assert scored[new].equals(table[name]), name


def test_bad_rows_are_set_aside_with_their_reasons_and_without_their_values(score: Score, tmp_path: Path) -> None:
    table = pa.table(
        {
            "radius": pa.array([1.0, None, float("nan"), float("inf"), 1e39, 2.0]),
            "texture": pa.array([1, 2, 3, 4, 5, None], pa.int64()),
        }
    )
    book, scored = score(table)
    assert book.rows is not None
    assert (book.rows.scored, book.rows.errors) == (1, 5)
    assert scored["row"].to_pylist() == [1]
    assert (tmp_path / "out.parquet.errors.jsonl").read_text().splitlines() == [
        '{"row":2,"error":"missing value","column":"radius"}',
        '{"row":3,"error":"missing value","column":"radius"}',
        '{"row":4,"error":"not a finite number","column":"radius"}',
        '{"row":5,"error":"out of range for FP32","column":"radius"}',
        '{"row":6,"error":"missing value","column":"texture"}',
    ]


def test_numbers_may_be_of_any_type_that_holds_some(score: Score) -> None:
    kinds = [pa.int8(), pa.uint64(), pa.float16(), pa.float64(), pa.decimal128(5, 1), pa.int64()]
    for kind in kinds:
        values = pa.array([Decimal(1), Decimal(2)] if pa.types.is_decimal(kind) else np.array([1, 2], np.float16))
        table = pa.table({"radius": values.cast(kind), "texture": pa.array([1, 1]).dictionary_encode()})
        _, scored = score(table)
        assert scored["probability_malignant"].to_pylist() == pytest.approx(_malignant(table), abs=1e-6)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"radius": [1.0]}, "no column 'texture' that the model needs"),
        ({"radius": ["1"], "texture": [1.0]}, r"column 'radius' holds Utf8 where the model takes numbers \(FP32\)"),
        ({"radius": [True], "texture": [1.0]}, "column 'radius' holds Boolean where"),
        ({"radius": [[1.0]], "texture": [1.0]}, "column 'radius' holds List"),
        ({"radius": [dt.date(2026, 1, 1)], "texture": [1.0]}, "column 'radius' holds Date32 where"),
    ],
)
def test_a_file_of_other_columns_is_refused(score: Score, columns: dict[str, list[Any]], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        score(pa.table(columns))


def test_columns_of_one_name_are_refused(score: Score) -> None:
    table = pa.Table.from_arrays([pa.array([1.0])] * 3, names=["radius", "texture", "radius"])
    with pytest.raises(InvalidInputError, match="columns 1 and 3 have the same name: 'radius'"):
        score(table)


def test_columns_are_not_declared_and_some_are_kept(score: Score) -> None:
    with pytest.raises(InvalidInputError, match="names its columns itself"):
        score(_rows(), options=Options(columns=("radius", "texture")))
    assert score(_rows(), options=Options(keep=("id",)))[1].column_names == ["id", *ADDED]
    assert score(_rows(), options=Options(keep=()))[1].column_names == ADDED


@pytest.mark.parametrize("end", [0, 4, 7, 100, -1, -8, -9, -100, -1000])
def test_a_file_that_breaks_off_is_refused(score: Score, end: int) -> None:
    file = io.BytesIO()
    pq.write_table(_rows(), file)
    with pytest.raises(InvalidInputError, match=r"the file is (empty|no Parquet, or breaks off)"):
        score(file.getvalue()[:end])


def test_what_is_damaged_is_refused_or_scored(score: Score) -> None:
    """By a process of its own: of some damage the reader ends whoever reads."""
    chance, file = random.Random(0), io.BytesIO()  # noqa: S311 - data
    pq.write_table(_rows(50), file, row_group_size=20, compression="none")
    refused = 0
    for _ in range(60):
        data = bytearray(file.getvalue())
        data[chance.randrange(4, len(data) - 8)] = chance.randrange(256)
        try:
            score(bytes(data), workers=2)
        except (InvalidInputError, UnicodeDecodeError, pa.ArrowException, pl.exceptions.PolarsError):
            refused += 1  # what is read of a damaged file may be damaged
    assert 10 < refused < 60


@pytest.mark.parametrize("workers", [1, 2])
def test_damage_of_which_the_reader_ends_its_process_is_said(score: Score, workers: int) -> None:
    file = io.BytesIO()
    table = pa.table({"radius": np.arange(25.0), "texture": np.arange(25)})
    pq.write_table(table, file, compression="none", use_dictionary=False)
    levels = b"\x02\x00\x00\x00\x32\x01"
    """That 25 values are there, as one run; with another bit they are 200, of which arrow's buffers know nothing."""
    assert file.getvalue().count(levels) == 2
    with pytest.raises(InvalidInputError, match="the file is damaged, in the rows from 1 on"):
        score(file.getvalue().replace(levels, levels[:4] + b"\x33\x01"), workers=workers)


def test_encrypted_and_compressed_files_say_what_to_do(score: Score, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="encrypted"):
        score(b"PARE" + bytes(100) + b"PARE")
    with pytest.raises(InvalidInputError, match=r"unpack 'in.parquet.gz': .parquet files are compressed within"):
        score_path(None, parse_ref("m"), tmp_path / "in.parquet.gz", tmp_path / "out.parquet.gz")  # type: ignore[arg-type]


@pytest.mark.parametrize("groups", [0, 1, 3])
def test_no_rows_are_a_file_of_no_rows(score: Score, groups: int) -> None:
    file, empty = io.BytesIO(), _rows(0)
    with pq.ParquetWriter(file, empty.schema) as writer:
        for _ in range(groups):
            writer.write_table(empty, row_group_size=1)
    book, scored = score(file.getvalue())
    assert book.rows is not None
    assert (book.rows.read, scored.num_rows, scored.column_names) == (0, 0, [*empty.column_names, *ADDED])


@pytest.mark.parametrize("size", [10, 70, 333, 5000])
def test_ranges_by_several_processes_write_the_bytes_that_one_does(
    score: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(parquet_ranges, "RANGE_BYTES", 3000)
    monkeypatch.setattr(parquet_ranges, "COLUMN_BYTES", 0)
    monkeypatch.setattr(parquet_ranges, "WHOLE_BYTES", 10_000)
    monkeypatch.setattr(parquet_ranges, "BATCH_BYTES", 500)
    table = _rows(5000).set_column(1, "radius", pa.array([None if n % 97 == 0 else n % 7 for n in range(5000)]))
    outputs = []
    for workers in (1, 3):
        _, scored = score(table, workers=workers, row_group_size=size)
        assert scored["row"].to_pylist() == [n + 1 for n in range(5000) if n % 97]
        assert scored.select(table.column_names).equals(table.filter(pa.array([n % 97 != 0 for n in range(5000)])))
        outputs.append((tmp_path / "out.parquet").read_bytes())
    assert outputs[0] == outputs[1]
    assert pq.read_metadata(tmp_path / "out.parquet").num_row_groups > 5


@pytest.mark.long
def test_of_ten_thousand_columns_those_are_read_that_the_model_needs(score: Score) -> None:
    columns = {f"c{place}": pa.array([1.0, 2.0]) for place in range(10_000)}
    columns |= {"texture": pa.array([1.0, None]), "radius": pa.array([2.0, 3.0])}
    book, scored = score(pa.table(columns))
    assert book.rows is not None
    assert (book.rows.scored, scored.num_columns) == (1, 10_002 + len(ADDED))


def test_a_file_is_divided_where_row_groups_begin(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_ranges, "RANGE_BYTES", 1)
    monkeypatch.setattr(parquet_ranges, "COLUMN_BYTES", 0)
    tiny.publish(store, "m", tiny.classifier_package(tmp_path / "model"))
    model = Predictor(store, Settings(store=store.url, cache_dir=str(tmp_path / "cache"))).load(parse_ref("m")).model
    pq.write_table(_rows(1000), tmp_path / "in.parquet", row_group_size=100)
    with closing(LocalSource(tmp_path / "in.parquet")) as source:
        table = open_table(source, inputs_of(model))
        for least, places in ((1, list(range(0, 1001, 100))), (10**9, [0, 1000])):
            assert [place.position for place in find_places(table, least)] == places
        few = [place.position for place in find_places(table, source.size // 4)]
    assert (few[0], few[-1]) == (0, 1000)
    assert 3 <= len(few) <= 5
