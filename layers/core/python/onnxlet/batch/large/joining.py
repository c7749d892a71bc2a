"""Parts of a work area joined into an output: by S3 itself, which copies them, or by writing them one after the other.

An upload that ran out of time is gone on with: S3 keeps the parts that it has.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from onnxlet.batch.large.uploading import Chunk, Copied, Extent, Sent, plan_upload
from onnxlet.batch.multipart import MOST_PARTS, MultipartUpload, PartCopyUnknownError, UploadGoneError, locate
from onnxlet.errors import InvalidInputError, StoreUnavailableError
from onnxlet.values.digests import ALGORITHM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnxlet.batch.large.work import WorkArea
    from onnxlet.store import Store

AT_ONCE = 16
"""Parts on their way at once."""
Clock = Callable[[], bool]
"""Whether time is nearly up."""


class OutOfTimeError(StoreUnavailableError):
    """The work goes on in another invocation."""

    title = "Out of time"


class Upload(msgspec.Struct, frozen=True):
    """A multipart upload that was begun: of this key, by this id."""

    key: str
    id: str


class Joined:
    """An output that is joined of chunks, and named in the work area. Its digest is that of the chunks' digests."""

    def __init__(self, area: WorkArea, name: str, chunks: list[Chunk], digest: str, out_of_time: Clock) -> None:
        self.digest = digest
        self.size = sum(chunk.size if isinstance(chunk, Extent) else len(chunk) for chunk in chunks)
        self._area = area
        self._name = name
        self._chunks = chunks
        self._out_of_time = out_of_time

    def write(self, store: Store, key: str, etag: str | None) -> str:
        """Put it where nothing stands, or what has this ETag; its own ETag.

        Raises PreconditionFailedError if something else stands there, OutOfTimeError if it is not done yet.
        """
        if not store.url.startswith("s3://") or not self._area.store.url.startswith("s3://"):
            return self._write_through(store, key, etag)
        return self._upload(store, key, etag)

    def _write_through(self, store: Store, key: str, etag: str | None) -> str:
        with tempfile.NamedTemporaryFile(prefix="onnxlet-") as file:
            for chunk in self._chunks:
                file.write(self._read(chunk))
            file.flush()
            path = Path(file.name)
            return store.create(key, path) if etag is None else store.swap(key, path, etag)

    def _read(self, chunk: Chunk) -> bytes | memoryview:
        if isinstance(chunk, bytes):
            return chunk
        return self._area.store.get_range(chunk.key, chunk.start, chunk.size)

    def _upload(self, store: Store, key: str, etag: str | None) -> str:
        parts = dict(enumerate(plan_upload(self._chunks), start=1)) or {1: Sent((b"",))}
        if len(parts) > MOST_PARTS:
            raise InvalidInputError(f"{key!r} would have {len(parts):,} parts: S3 joins {MOST_PARTS:,} at most")
        upload = _NotedUpload(self._area, store, key, self._name)
        done = upload.list()
        with ThreadPoolExecutor(AT_ONCE, "onnxlet-joining") as pool:
            missing = [number for number in parts if number not in done]
            for place in range(0, len(missing), AT_ONCE):
                if self._out_of_time():
                    raise OutOfTimeError(f"{len(missing) - place:,} of {len(parts):,} parts of {key!r} are not joined")
                numbers = missing[place : place + AT_ONCE]
                made = pool.map(lambda number: self._put(upload, number, parts[number]), numbers)
                done.update(zip(numbers, made, strict=True))
        return upload.complete(done, etag)

    def _put(self, upload: _NotedUpload, number: int, part: Copied | Sent) -> str:
        if isinstance(part, Copied):
            try:
                return upload.copy(number, part.extent)
            except PartCopyUnknownError:
                part = Sent((part.extent,))
        return upload.send(number, b"".join(self._read(chunk) for chunk in part.chunks))


def digest_of_digests(digests: list[str]) -> str:
    """What stands for the digest of an object that nobody read as a whole: that of its parts' digests, one a line."""
    import hashlib

    return "sha256-of-parts:" + hashlib.sha256("\n".join(digests).encode()).hexdigest()


assert ALGORITHM == "sha256:"  # noqa: S101 - a digest of parts must not be taken for one of bytes


class _NotedUpload:
    """The upload of a key of a store that the work area notes, which whoever joins goes on with; a new one if none is.

    Raises as `MultipartUpload` does; an upload that is no more is noted no more.
    """

    def __init__(self, area: WorkArea, store: Store, key: str, name: str) -> None:
        self._area = area
        self._note = f"uploads/{name}.json"
        self._source_bucket, self._source_prefix = locate(area.store.url)
        bucket, prefix = locate(store.url)
        self._upload = self._begin(bucket, prefix + key)

    def list(self) -> dict[int, str]:
        """The ETags of the parts that S3 has."""
        with self._noting():
            return self._upload.list()

    def copy(self, number: int, extent: Extent) -> str:
        """Have S3 copy a part."""
        key = self._source_prefix + extent.key
        with self._noting():
            return self._upload.copy(number, self._source_bucket, key, extent.start, extent.end)

    def send(self, number: int, data: bytes) -> str:
        """Send a part."""
        with self._noting():
            return self._upload.send(number, data)

    def complete(self, parts: dict[int, str], replaced: str | None) -> str:
        """Make the object of its parts, where none is or what has the ETag `replaced`; its own ETag."""
        with self._noting():
            etag = self._upload.complete(parts, replaced)
        self._forget()
        return etag

    def _begin(self, bucket: str, key: str) -> MultipartUpload:
        noted = self._area.find(self._note, Upload)
        if noted is not None:
            return MultipartUpload(bucket, noted.key, noted.id)
        upload = MultipartUpload(bucket, key)
        if self._area.note(self._note, Upload(key, upload.id)):
            return upload
        upload.abort()
        return self._begin(bucket, key)

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except UploadGoneError:
            self._forget()
            raise

    def _forget(self) -> None:
        self._area.store.delete(self._area.key(self._note))
