"""The scoring loop: chunk after chunk, and what is bad beside it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from models import tiny
from onnxlet.batch.book import RowCounts
from onnxlet.batch.formats.chunks import CHUNK_ROWS, BadRow, Batch, Chunk, ParsedRows
from onnxlet.batch.formats.ports import Place
from onnxlet.batch.inputs import inputs_of
from onnxlet.batch.rows import score_chunks
from onnxlet.errors import InvalidInputError
from onnxlet.serving.model import Model
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import Store
from onnxlet.values.refs import parse_ref
from onnxlet.values.tensors import Tensors


@pytest.fixture
def model(store: Store, tmp_path: Path) -> Model:
    tiny.publish(store, "m", tiny.package(tiny.regressor(), tmp_path / "model"))
    return Predictor(store, Settings(store=store.url, cache_dir=str(tmp_path / "cache"))).load(parse_ref("m")).model


class Rows:
    """Chunks of two rows [n, 0], of which the second is bad; it keeps what it was asked for, in order."""

    end = Place(0, 1)
    heading: bytes | None = None

    def __init__(self, chunks: int, broken: int | None = None) -> None:
        self._chunks = chunks
        self._broken = broken
        self.asked: list[tuple[str, int]] = []
        self.written: list[float] = []

    def chunks(self, rows: int) -> Iterator[Chunk]:
        assert rows > 1
        for number in range(1, self._chunks + 1):
            if number == self._broken:
                raise InvalidInputError("the file is broken here")
            yield Chunk([2 * number - 1, 2 * number], [[number, 0], None])

    def parse(self, chunk: Chunk) -> ParsedRows:
        self.asked.append(("read", chunk.rows[0][0]))
        inputs = {"input": np.array(chunk.rows[:1], np.float32)}
        return ParsedRows([Batch([0], inputs)], [BadRow(chunk.numbers[1], "bad")])

    def write(self, chunk: Chunk, positions: Sequence[int], outputs: Tensors) -> None:
        assert list(positions) == [0]
        self.asked.append(("write", chunk.rows[0][0]))
        self.written += outputs["prediction"].tolist()

    def finish(self) -> bytes:
        return b""


def _score(model: Model, rows: Rows, errors: io.BytesIO) -> RowCounts:
    return score_chunks(model, inputs_of(model), rows, rows.chunks(CHUNK_ROWS), errors)


def test_rows_are_written_in_order_and_bad_ones_set_aside(model: Model) -> None:
    rows, errors = Rows(3), io.BytesIO()
    assert _score(model, rows, errors) == RowCounts(6, 3, 3)
    assert rows.asked == [(word, number) for number in (1, 2, 3) for word in ("read", "write")]
    assert rows.written == [2.0, 4.0, 6.0]
    assert [json.loads(line)["row"] for line in errors.getvalue().splitlines()] == [2, 4, 6]


def test_a_file_that_breaks_off_is_an_error(model: Model) -> None:
    with pytest.raises(InvalidInputError, match="broken here"):
        _score(model, Rows(3, broken=3), io.BytesIO())


def test_a_file_of_nothing_has_no_rows(model: Model) -> None:
    assert _score(model, Rows(0), io.BytesIO()) == RowCounts(0, 0, 0)
