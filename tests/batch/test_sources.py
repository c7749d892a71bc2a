"""Sources: the same bytes by ranges, wherever they come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from onnxlet.batch.book import SourceFile
from onnxlet.batch.sources import LocalSource, MeteredSource, RecordedSource, StoredSource
from onnxlet.errors import InvalidInputError, ObjectNotFoundError, StoreUnavailableError
from onnxlet.store import Blob, Store
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


def test_an_object_that_is_overwritten_meanwhile_is_scored_as_it_was(store: Store, tmp_path: Path) -> None:
    source = _stored(store, tmp_path)
    assert bytes(source.read(0, 10)) == CONTENT[:10]
    store.put("batch/in/m/rows.csv", b"x" * 200)
    assert bytes(source.read(10, 10)) == CONTENT[10:20]


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


@pytest.mark.parametrize("wrong", [{1}, {2}, {1, 2}, {1, 3}])
def test_bytes_that_were_read_wrong_are_not_scored(s3_store_url: str, wrong: set[int]) -> None:
    store = NoisyStore(s3_store_url, wrong)
    store.put("batch/in/m/rows.csv", CONTENT)
    source = StoredSource(store, "batch/in/m/rows.csv")
    assert source.record.digest == digest(CONTENT)
    assert store.reads == min({1, 2, 3, 4} - wrong)


def test_an_etag_that_is_no_digest_of_the_bytes_makes_it_be_read_twice(s3_store_url: str) -> None:
    store = NoisyStore(s3_store_url, {2, 3}, etag="0123456789abcdef0123456789abcdef-2")
    store.put("batch/in/m/rows.csv", CONTENT)
    assert StoredSource(store, "batch/in/m/rows.csv").record.digest == digest(CONTENT)
    assert store.reads == 5
    store.wrong = set(range(100))
    with pytest.raises(StoreUnavailableError, match="read differently each time"):
        StoredSource(store, "batch/in/m/rows.csv")


class NoisyStore(S3Store):
    """A store whose `wrong` reads, counted from 1, have a byte in them that is not in the object."""

    def __init__(self, url: str, wrong: set[int], etag: str | None = None) -> None:
        super().__init__(url)
        self.reads = 0
        self.wrong = wrong
        self._etag = etag

    def get(self, key: str) -> Blob:
        blob = super().get(key)
        self.reads += 1
        data = blob.data[:-1] + bytes([self.reads]) if self.reads in self.wrong else blob.data
        return Blob(data, self._etag or blob.etag)
