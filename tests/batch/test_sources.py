"""Sources: the same bytes by ranges, wherever they come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from faults import WatchedStore
from onnxlet.batch import reading
from onnxlet.batch.book import SourceFile
from onnxlet.batch.sources import LocalSource, MeteredSource, RecordedSource, StoredSource
from onnxlet.errors import InvalidInputError, ObjectNotFoundError, PreconditionFailedError, StoreUnavailableError
from onnxlet.store import Store
from onnxlet.store.s3 import S3Store
from onnxlet.values.digests import digest

CONTENT = bytes(range(200))


def _local(_: Store, folder: Path) -> RecordedSource:
    (folder / "rows.csv").write_bytes(CONTENT)
    return LocalSource(folder / "rows.csv")


def _stored(store: Store, _: Path) -> RecordedSource:
    store.put("batch/in/m/rows.csv", CONTENT)
    return StoredSource(store, "batch/in/m/rows.csv")


@pytest.mark.parametrize("make", [_local, _stored])
def test_a_source_gives_any_range_of_its_bytes(
    store: Store, tmp_path: Path, make: Callable[[Store, Path], RecordedSource]
) -> None:
    source = make(store, tmp_path)
    assert source.size == len(CONTENT)
    for start, length in ((0, 200), (50, 10), (0, 0), (195, 10), (500, 10), (10, 20)):
        assert bytes(source.read(start, length)) == CONTENT[start : start + length]
    source.close()


def test_a_source_says_what_its_book_records(store: Store, tmp_path: Path) -> None:
    local, stored = _local(store, tmp_path), _stored(store, tmp_path)
    assert local.record == SourceFile(str(tmp_path / "rows.csv"), digest(CONTENT), 200)
    etag = store.get("batch/in/m/rows.csv").etag
    assert stored.record == SourceFile("batch/in/m/rows.csv", digest(CONTENT), 200, etag)
    local.close()


@pytest.mark.parametrize("after", [b"x" * 200, b"shorter"])
def test_an_object_that_is_overwritten_meanwhile_is_not_read_on(
    any_store: Store, monkeypatch: pytest.MonkeyPatch, after: bytes
) -> None:
    monkeypatch.setattr(reading, "WINDOW_BYTES", 10)
    any_store.put("batch/in/m/rows.csv", CONTENT)
    source = StoredSource(any_store, "batch/in/m/rows.csv")
    assert source.read(0, 10) == CONTENT[:10]
    any_store.put("batch/in/m/rows.csv", after)
    for read in (lambda: source.read(100, 10), lambda: source.record):
        with pytest.raises(PreconditionFailedError, match="was overwritten while it was read"):
            read()
    source.close()


def test_windows_are_asked_for_ahead_and_a_few_are_held(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "WINDOW_BYTES", 10)
    asked: list[tuple[str, str]] = []
    watched = WatchedStore(store, lambda method, key: asked.append((method, key)))
    store.put("batch/in/m/rows.csv", CONTENT)
    source = StoredSource(watched, "batch/in/m/rows.csv")
    for column in range(0, 40, 10):
        for start in (*range(0, 200, 50), *range(0, 200, 50)):
            assert source.read(start + column, 10) == CONTENT[start + column : start + column + 10]
    assert len(asked) < 40
    source.close()


def test_what_is_not_there_is_an_error(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"nothing\.csv' cannot be read: No such file"):
        LocalSource(tmp_path / "nothing.csv")
    with pytest.raises(ObjectNotFoundError):
        StoredSource(store, "batch/in/m/nothing.csv")


def test_a_metered_source_tells_how_far_it_was_read(store: Store, tmp_path: Path) -> None:
    progress: list[tuple[int, int]] = []
    source = MeteredSource(_stored(store, tmp_path), lambda *step: progress.append(step))
    assert [len(source.read(start, 80)) for start in (0, 80, 160)] == [80, 80, 40]
    assert progress == [(80, 200), (160, 200), (200, 200)]


def test_what_was_read_wrong_is_not_in_a_book(s3_store_url: str) -> None:
    store = NoisyStore(s3_store_url)
    store.put("batch/in/m/rows.csv", CONTENT)
    for wrong, reads in ((set[int](), 1), ({1}, 2)):
        store.reads, store.wrong = 0, wrong
        source = StoredSource(store, "batch/in/m/rows.csv")
        if wrong:
            with pytest.raises(StoreUnavailableError, match="read differently each time"):
                assert source.record
        else:
            assert source.record.digest == digest(CONTENT)
        assert store.reads == reads
        source.close()


def test_an_etag_that_is_no_digest_of_the_bytes_makes_it_be_read_twice(store: Store) -> None:
    asked: list[str] = []
    watched = WatchedStore(store, lambda method, _: asked.append(method))
    store.put("batch/in/m/rows.csv", CONTENT)
    source = StoredSource(watched, "batch/in/m/rows.csv")
    assert source.record.digest == digest(CONTENT)
    assert asked == ["head", "get_range", "get_range"]
    source.close()


class NoisyStore(S3Store):
    """A store whose `wrong` reads, counted from 1, have a byte in them that is not in the object."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.reads = 0
        self.wrong: set[int] = set()

    def get_range(self, key: str, start: int, length: int, *, etag: str | None = None) -> memoryview:
        data = bytes(super().get_range(key, start, length, etag=etag))
        self.reads += 1
        return memoryview(data[:-1] + bytes([self.reads]) if self.reads in self.wrong else data)
