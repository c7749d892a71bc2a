"""Files that are odd as a whole: each is scored or refused in the same words, by one process and by several."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from models import tiny
from onnxlet.batch.book import Book
from onnxlet.batch.formats import blocks
from onnxlet.batch.local_files import score_path
from onnxlet.batch.scratch import PREFIX
from onnxlet.errors import InvalidInputError
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import Store
from onnxlet.values.refs import parse_ref

pytestmark = pytest.mark.slow

Score = Callable[[str, bytes], Book]

GOOD = b"radius,texture\n" + b"1,2\n" * 2000


@pytest.fixture(params=[1, 3])
def score(request: pytest.FixtureRequest, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Score:
    """Score bytes by one process or by three."""
    monkeypatch.setattr(blocks, "RANGE_BYTES", 1000)
    tiny.publish(store, "m", tiny.classifier_package(tmp_path / "model"))
    predictor = Predictor(store, Settings(store=store.url, cache_dir=str(tmp_path / "cache")))

    def run(name: str, data: bytes) -> Book:
        (tmp_path / name).write_bytes(data)
        try:
            return score_path(
                predictor, parse_ref("m"), tmp_path / name, tmp_path / f"out-{name}", workers=request.param
            )
        finally:
            assert not list(tmp_path.glob(PREFIX + "*"))

    return run


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty: its first line must name the columns"),
        (b"\n\n\n", "the file is empty"),
        (b"radius,size\n" + b"1,2\n" * 2000, "no column 'texture' that the model needs"),
        (b"radius,radius,texture\n1,2,3\n", "columns 1 and 2 have the same name"),
        (b"radius,texture\n" + b"1,high\n" * 2000, "none of the 2000 rows .* row 1, column 'texture': not a number"),
        (b"radi\xfcs,texture\n1,2\n", "such as Windows-1252: save it in UTF-8"),
        (GOOD.decode().encode("utf-16"), "seems to be in UTF-16: save it in UTF-8"),
        (b"PK\x03\x04" + bytes(5000), "seems to be a workbook or a zip archive"),
        (b"\x00" * 5000, "seems to be no text|no CSV header"),
    ],
)
def test_a_table_that_is_none_says_why(score: Score, data: bytes, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        score("in.csv", data)


@pytest.mark.parametrize(("name", "data"), [("in.csv", b"radius,texture\n"), ("in.csv", b"radius,texture")])
def test_a_header_alone_is_a_file_of_no_rows(score: Score, tmp_path: Path, name: str, data: bytes) -> None:
    book = score(name, data)
    assert book.rows is not None
    assert book.rows.read == 0
    assert (tmp_path / f"out-{name}").read_text().startswith("radius,texture,row,label")


def test_rows_that_are_not_utf_8_are_bad_alone(score: Score) -> None:
    book = score("in.csv", GOOD + b"1,2,\xff\n1\xff,2\n" + b"1,2\n" * 2000)
    assert book.rows is not None
    assert (book.rows.read, book.rows.errors) == (4002, 2)


@pytest.mark.parametrize(
    "end", [b"\n1,2\n", *(pytest.param(end, marks=pytest.mark.long) for end in (b"", b'"\n1,2\n'))]
)
def test_a_line_of_200_megabytes_is_refused_and_never_held(score: Score, end: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for opening in (b"", b'"'):
        with pytest.raises(InvalidInputError, match="a line is longer than 32 MiB: this is no file of rows"):
            score("in.csv", GOOD + b"1," + opening + b"x" * 200 * 2**20 + end)
    # the test itself holds the file
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 900 * 1024


def test_of_ten_thousand_columns_those_are_read_that_the_model_needs(score: Score, tmp_path: Path) -> None:
    names = [f"c{place}" for place in range(10_000)]
    names[17], names[9_000] = "texture", "radius"
    row = [str(place) for place in range(10_000)]
    row[17], row[9_000] = "2", "1"
    lines = [",".join(names), *[",".join(row)] * 20, ",".join(row[:-1])]
    book = score("in.csv", "\n".join(lines).encode())
    assert book.rows is not None
    assert (book.rows.read, book.rows.scored) == (21, 20)
    header, first, *_ = (tmp_path / "out-in.csv").read_text().splitlines()
    assert header.startswith(lines[0] + ",row,")
    assert first.startswith(lines[1] + ",1,malignant,")


def test_every_block_and_every_range_from_one_line_up_gives_the_same_file(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.publish(store, "m", tiny.classifier_package(tmp_path / "model"))
    predictor = Predictor(store, Settings(store=store.url, cache_dir=str(tmp_path / "cache")))
    text = 'radius,texture,note\n1,2,a\n\n,2,b\r\n3,4,"two\nlines"\n5,6\n7,8,"un"quoted"\n9,1,é\n' * 1
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_bytes(text.encode() + b"4,4,\xff\n" + text.encode().partition(b"\n")[2])
    seen = set()
    for size in (*range(1, 80), 2**18):
        for name in ("BLOCK_BYTES", "RANGE_BYTES"):
            monkeypatch.setattr(blocks, "BLOCK_BYTES", 2**18)
            monkeypatch.setattr(blocks, "RANGE_BYTES", 2**20)
            monkeypatch.setattr(blocks, name, size)
            book = score_path(predictor, parse_ref("m"), source, target)
            seen.add((book.rows, target.read_bytes(), Path(f"{target}.errors.jsonl").read_bytes()))
    assert len(seen) == 1
