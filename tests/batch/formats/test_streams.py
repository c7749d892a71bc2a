"""Sources as streams, gzipped ones too: what is read is what was written, from wherever it is read."""

from __future__ import annotations

import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxlet.batch.formats import streams
from onnxlet.batch.formats.streams import GunzippedSource, compress, open_stream, read_lines
from onnxlet.batch.sources import BytesSource
from onnxlet.errors import InvalidInputError


@given(st.binary(max_size=200), st.lists(st.tuples(st.integers(0, 250), st.integers(0, 250)), max_size=5))
def test_any_range_of_a_gzipped_source_is_that_of_its_content(content: bytes, ranges: list[tuple[int, int]]) -> None:
    source = GunzippedSource(BytesSource(gzip.compress(content)))
    for start, length in ranges:
        assert source.read(start, length) == content[start : start + length]
    assert source.size == len(content)


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_parts_that_are_compressed_alone_make_one_file_and_equal_bytes_equal_files(parts: list[bytes]) -> None:
    files = [b"".join(map(compress, parts)) for _ in range(2)]
    assert files[0] == files[1]
    assert gzip.decompress(files[0]) == b"".join(parts)


def test_a_gzipped_source_goes_back_a_little_without_beginning_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "KEPT_BYTES", 100)
    content = bytes(range(256)) * 100
    raw = BytesSource(gzip.compress(content))
    source = GunzippedSource(raw)
    for start, length in ((0, 1000), (950, 1000), (1900, 10), (1900, 80), (1850, 300)):
        assert source.read(start, length) == content[start : start + length]


@pytest.mark.parametrize(
    "data",
    [b"no gzip at all", gzip.compress(b"rows")[:-9], gzip.compress(b"rows")[:-4] + b"\0" * 4],
    ids=["no gzip", "cut short", "another checksum"],  # gzip writes the time: workers would collect other names
)
def test_broken_gzip_is_the_files_fault(data: bytes) -> None:
    with pytest.raises(InvalidInputError, match="the file's gzip compression is broken"):
        GunzippedSource(BytesSource(data)).read(0, 10)


def test_a_stream_reads_a_source_in_order_and_can_be_set_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BLOCK_BYTES", 16)
    content = bytes(range(100))
    stream = open_stream(BytesSource(content))
    assert stream.read() == content
    assert stream.seek(90) == 90
    assert stream.read() == content[90:]
    assert stream.seek(-5, io.SEEK_END) == 95
    assert stream.read(2) == content[95:97]


def test_lines_come_without_the_byte_order_mark_of_the_first() -> None:
    text = "\ufeffone\n\ufefftwo\nthree".encode()
    assert list(read_lines(BytesSource(text))) == [b"one\n", "\ufefftwo\n".encode(), b"three"]


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LINE_BYTES", 2**20)
    assert [len(line) for line in read_lines(BytesSource(b"x" * 2**20))] == [2**20]
    with pytest.raises(InvalidInputError, match="a line is longer than 1 MiB"):
        list(read_lines(BytesSource(b"x" * (2**20 + 1))))
