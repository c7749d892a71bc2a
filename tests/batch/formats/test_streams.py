"""Sources as streams: what is read is what was written, from wherever it is read."""

from __future__ import annotations

import io

import pytest

from onnxlet.batch.formats import streams
from onnxlet.batch.formats.streams import open_stream, read_lines
from onnxlet.batch.sources import BytesSource
from onnxlet.errors import InvalidInputError


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
