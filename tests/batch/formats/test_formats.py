"""The table of formats: which files are read by what, and a format that comes from outside the package."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from models import tiny
from onnxlet.batch.book import decode_book
from onnxlet.batch.events import handle
from onnxlet.batch.formats import FORMATS, FileFormat, find_type
from onnxlet.cli import cli
from onnxlet.errors import InvalidInputError
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import Store, open_store

ROWS = b"radius\ttexture\tid\n1\t2\ta\nx\t2\tb\n1\n1\t-2\td\n"


@pytest.fixture
def tab_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A format that the package does not know."""
    monkeypatch.setattr("onnxlet.batch.formats.FORMATS", [*FORMATS, FileFormat("tab_separated", (".tsv", ".tab"))])


@pytest.mark.parametrize(
    ("name", "module", "compression"),
    [
        ("rows.csv", "csv_file", None),
        ("ward 7/ROWS.CSV.GZ", "csv_file", ".gz"),
        ("rows.2026.jsonl", "json_lines", None),
        ("rows.csv.ZST", "csv_file", ".zst"),
        ("part-0.snappy.parquet", "parquet_file", None),
        ("batch/in/m/rows.ndjson.gz", "json_lines", ".gz"),
    ],
)
def test_a_file_is_of_the_format_that_its_suffix_names(name: str, module: str, compression: str | None) -> None:
    file_type = find_type(name)
    assert file_type.format.module == f"onnxlet.batch.formats.{module}"
    assert (file_type.compression.suffix if file_type.compression else None) == compression


@pytest.mark.parametrize("name", ["rows", "rows.gz", "csv", ".csv", "rows.csv.zip", "rows.csv/rows.tsv"])
def test_a_file_of_another_suffix_is_refused_with_those_of_the_table(name: str) -> None:
    with pytest.raises(
        InvalidInputError, match=r"use \.csv, .*, \.npy, \.parquet or \.pq files, compressed \(\.gz, \.zst\) or not$"
    ):
        find_type(name)


@pytest.mark.usefixtures("tab_separated")
def test_a_format_from_outside_scores_what_lands_in_a_store(store: Store, tmp_path: Path) -> None:
    tiny.publish(store, "m", tiny.classifier_package(tmp_path / "model"))
    store.put("batch/in/m/rows.tsv.gz", gzip.compress(ROWS))
    predictor = Predictor(store, Settings(store=store.url, cache_dir=str(tmp_path / "cache")))
    written = {"bucket": {"name": "any"}, "object": {"key": "batch/in/m/rows.tsv.gz"}}

    (book,) = handle(store, predictor, {"source": "aws.s3", "detail-type": "Object Created", "detail": written})[
        "scored"
    ]

    assert book["rows"] == {"read": 4, "scored": 2, "errors": 2}
    assert decode_book(store.get("batch/out/m/rows.tsv.gz.book.json").data).state == "scored"
    lines = gzip.decompress(store.get("batch/out/m/rows.tsv.gz").data).decode().splitlines()
    assert [line.split("\t")[:2] for line in lines] == [["1", "malignant"], ["4", "benign"], ["# 2 rows"]]
    errors = store.get("batch/out/m/rows.tsv.gz.errors.jsonl").data.splitlines()
    assert [json.loads(line) for line in errors] == [
        {"row": 2, "error": "not a number", "column": "radius"},
        {"row": 3, "error": "has another number of cells than the header"},
    ]


@pytest.mark.usefixtures("tab_separated")
def test_a_format_from_outside_is_one_of_the_commands(directory_url: str, tmp_path: Path) -> None:
    tiny.publish(open_store(directory_url), "m", tiny.classifier_package(tmp_path / "model"))
    (tmp_path / "rows.tab").write_bytes(ROWS)
    words = ["--store", directory_url, "score", str(tmp_path / "rows.tab"), "--model", "m", "-o"]

    result = CliRunner().invoke(cli, [*words, str(tmp_path / "scored.tab")])
    assert result.exit_code == 0, result.stderr
    assert "m:1 scored 2 of 4 rows" in result.stderr
    assert (tmp_path / "scored.tab").read_text().endswith("\n# 2 rows\n")

    other = CliRunner().invoke(cli, [*words, str(tmp_path / "scored.csv")])
    assert "error: 'scored.csv' must have the format of 'rows.tab'" in other.stderr
    unknown = CliRunner().invoke(cli, [*words, str(tmp_path / "scored.xlsx")])
    assert "use .csv, .jsonl, .ndjson, .npy, .parquet, .pq, .tsv or .tab files" in unknown.stderr
