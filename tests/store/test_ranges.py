"""Parallel ranged reads: a range is the caller's while it is written, and no write that fails is lost."""

from __future__ import annotations

import threading
import time

import pytest

from onnxlet.store import open_store
from onnxlet.store.ranges import MIN_RANGE, read_ranges

SIZE = 2 * MIN_RANGE + 5


def test_a_range_is_had_before_it_is_written_and_all_are_written_at_the_end() -> None:
    store = open_store("memory://ranges-had")
    store.put("model.onnx", b"7" * SIZE)
    all_had = threading.Event()
    written: list[int] = []

    def write(chunk: bytes | memoryview, start: int) -> None:
        assert all_had.wait(20)
        written.append(start + len(chunk))

    with read_ranges(store, "model.onnx", SIZE, time.monotonic() + 60, write) as ranges:
        assert b"".join(ranges) == b"7" * SIZE
        assert not written
        all_had.set()
    assert sorted(written) == [MIN_RANGE, 2 * MIN_RANGE, SIZE]


@pytest.mark.parametrize("kind", [OSError, ValueError])
def test_a_write_that_fails_after_the_last_range_was_had_is_raised(kind: type[Exception]) -> None:
    store = open_store("memory://ranges-failed")
    store.put("model.onnx", b"7" * SIZE)
    all_had = threading.Event()

    def fail(chunk: bytes | memoryview, start: int) -> None:
        assert all_had.wait(20)
        raise kind(f"no room for {len(chunk)} bytes at {start}")

    def read() -> None:
        with read_ranges(store, "model.onnx", SIZE, time.monotonic() + 60, fail) as ranges:
            for _ in ranges:
                pass
            all_had.set()

    with pytest.raises(kind, match="no room"):
        read()
