"""Files that are no CSV in UTF-8 with commas: what they seem to be is said, wherever tables are read."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from onnxlet.batch.formats.csv_file import open_table
from onnxlet.batch.formats.sniffing import sniff_encoding
from onnxlet.batch.inputs import Inputs
from onnxlet.batch.sources import BytesSource
from onnxlet.errors import InvalidInputError
from onnxlet.steps import Column
from onnxlet.toolchain.workbench.table import read_table
from onnxlet.values.signature import TensorSpec

NAMED = Inputs("columns", (), (), (Column("größe", "FP32"), Column("alter", "FP32")), {}, None)
MATRIX = Inputs("serving_default", (TensorSpec("x", "FP32", (-1, 2)),), (), None, {}, None)
COMMAS = "größe,alter\n1.5,2\n3.5,4\n"

OTHER_FILES = [
    (COMMAS.encode("utf-16"), "seems to be in UTF-16: save it in UTF-8"),
    (COMMAS.encode("utf-16-le"), "seems to be in UTF-16: save it in UTF-8"),
    (COMMAS.encode("utf-16-be"), "seems to be in UTF-16: save it in UTF-8"),
    (COMMAS.encode("windows-1252"), "seems to be in another encoding, such as Windows-1252: save it in UTF-8"),
    (gzip.compress(COMMAS.encode(), mtime=0), "seems to be compressed by gzip: unpack it"),
    (COMMAS.replace(",", ";").encode(), "seem to be separated by semicolons: use commas"),
    (COMMAS.replace(",", ";").replace(".", ",").encode(), "separated by semicolons"),
    (COMMAS.replace(",", "\t").encode(), "separated by tabs"),
    (COMMAS.replace(",", "|").encode("utf-8-sig"), "separated by vertical bars"),
]


@pytest.mark.parametrize(("data", "message"), OTHER_FILES)
def test_data_says_what_it_seems_to_be(tmp_path: Path, data: bytes, message: str) -> None:
    file = tmp_path / "data.csv"
    file.write_bytes(data)
    with pytest.raises(InvalidInputError, match=rf"data\.csv' as CSV: .*{message}"):
        read_table(file)


@pytest.mark.parametrize("inputs", [NAMED, MATRIX])
@pytest.mark.parametrize(("data", "message"), OTHER_FILES[:5])
def test_a_file_to_score_says_what_it_seems_to_be(data: bytes, message: str, inputs: Inputs) -> None:
    with pytest.raises(InvalidInputError, match=message):
        open_table(BytesSource(data), inputs)


@pytest.mark.parametrize(
    "text", [COMMAS, "PAR1,PAR2\n1,2\n", "note;remark\nfine\n", "text\na; b\n", "größe\n1\n", "\ufeffa,b\n1,2\n"]
)
def test_other_tables_are_read_as_they_are(tmp_path: Path, text: str) -> None:
    file = tmp_path / "data.csv"
    file.write_text(text, encoding="utf-8")
    header = text.splitlines()[0].removeprefix("\ufeff").split(",")
    assert list(read_table(file).columns) == header


@pytest.mark.parametrize(
    ("data", "guess"),
    [
        (b"PK\x03\x04\x14\x00", "it seems to be a workbook or a zip archive: save its rows as CSV"),
        (b"PAR1\x15\x04\x15\x00\xff", "it seems to be Parquet: save its rows as CSV"),
        (b"\x7fELF\x02\x01\x01\x00\x01\x00\x00\x02", "it seems to be no text"),
    ],
)
def test_other_kinds_of_files_are_known(data: bytes, guess: str) -> None:
    assert sniff_encoding(data) == guess
