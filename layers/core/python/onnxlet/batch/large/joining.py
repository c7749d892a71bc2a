"""Parts of a work area joined into an output: by S3 itself, which copies them, or by writing them one after the other.

boto3 does the first, because obstore has no copies of parts. An upload that ran out of time is gone on with: S3 keeps
the parts that it has.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from onnxlet.batch.large.uploading import MOST_PARTS, Chunk, Copied, Extent, Sent, plan_upload
from onnxlet.batch.large.work import WorkArea, locate
from onnxlet.errors import InvalidInputError, PreconditionFailedError, StoreUnavailableError
from onnxlet.values.digests import ALGORITHM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnxlet.store import Store

AT_ONCE = 16
"""Parts on their way at once."""
LOST = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
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
        if etag is not None:
            store.delete(key, etag=etag)
        if not store.url.startswith("s3://") or not self._area.store.url.startswith("s3://"):
            return self._write_through(store, key)
        return self._upload(store, key)

    def _write_through(self, store: Store, key: str) -> str:
        with tempfile.NamedTemporaryFile(prefix="onnxlet-") as file:
            for chunk in self._chunks:
                file.write(self._read(chunk))
            file.flush()
            return store.create(key, Path(file.name))

    def _read(self, chunk: Chunk) -> bytes | memoryview:
        if isinstance(chunk, bytes):
            return chunk
        return self._area.store.get_range(chunk.key, chunk.start, chunk.size)

    def _upload(self, store: Store, key: str) -> str:
        parts = dict(enumerate(plan_upload(self._chunks), start=1)) or {1: Sent((b"",))}
        if len(parts) > MOST_PARTS:
            raise InvalidInputError(f"{key!r} would have {len(parts):,} parts: S3 joins {MOST_PARTS:,} at most")
        uploader = _Uploader(self._area, store, key, self._name)
        upload = uploader.begin()
        done = uploader.list(upload)
        with ThreadPoolExecutor(AT_ONCE, "onnxlet-joining") as pool:
            missing = [number for number in parts if number not in done]
            for place in range(0, len(missing), AT_ONCE):
                if self._out_of_time():
                    raise OutOfTimeError(f"{len(missing) - place:,} of {len(parts):,} parts of {key!r} are not joined")
                numbers = missing[place : place + AT_ONCE]
                made = pool.map(lambda number: self._put(uploader, upload, number, parts[number]), numbers)
                done.update(zip(numbers, made, strict=True))
        return uploader.complete(upload, done)

    def _put(self, uploader: _Uploader, upload: Upload, number: int, part: Copied | Sent) -> str:
        if isinstance(part, Copied):
            copied = uploader.copy(upload, number, part.extent)
            if copied is not None:
                return copied
            part = Sent((part.extent,))
        return uploader.send(upload, number, b"".join(self._read(chunk) for chunk in part.chunks))


def digest_of_digests(digests: list[str]) -> str:
    """What stands for the digest of an object that nobody read as a whole: that of its parts' digests, one a line."""
    import hashlib

    return "sha256-of-parts:" + hashlib.sha256("\n".join(digests).encode()).hexdigest()


assert ALGORITHM == "sha256:"  # noqa: S101 - a digest of parts must not be taken for one of bytes


class _Uploader:
    """S3's multipart upload of a key of a store, noted in a work area."""

    def __init__(self, area: WorkArea, store: Store, key: str, name: str) -> None:
        import boto3

        self._area = area
        self._note = area.key(f"uploads/{name}.json")
        self._client: Any = boto3.client("s3")
        self._source_bucket, self._source_prefix = locate(area.store.url)
        self._bucket, prefix = locate(store.url)
        self._key = prefix + key

    def begin(self) -> Upload:
        """The upload that was begun, by whomever; a new one if there is none."""
        noted = self._area.find(self._note.removeprefix(self._area.prefix), Upload)
        if noted is not None:
            return noted
        with _translated():
            made = self._client.create_multipart_upload(Bucket=self._bucket, Key=self._key)
        upload = Upload(self._key, made["UploadId"])
        if self._area.note(self._note.removeprefix(self._area.prefix), upload):
            return upload
        with _translated():
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=self._key, UploadId=upload.id)
        return self.begin()

    def list(self, upload: Upload) -> dict[int, str]:
        """The ETags of the parts that S3 has. An upload that is no more is forgotten: PreconditionFailedError."""
        pages = self._client.get_paginator("list_parts")
        with self._forgetting():
            listed = pages.paginate(Bucket=self._bucket, Key=self._key, UploadId=upload.id)
            return {part["PartNumber"]: part["ETag"] for page in listed for part in page.get("Parts", ())}

    def copy(self, upload: Upload, number: int, extent: Extent) -> str | None:
        """Have S3 copy a part; None where that is not known."""
        from botocore.exceptions import ClientError  # type: ignore[import-untyped]

        try:
            with self._forgetting():
                answer = self._client.upload_part_copy(
                    Bucket=self._bucket,
                    Key=self._key,
                    UploadId=upload.id,
                    PartNumber=number,
                    CopySource={"Bucket": self._source_bucket, "Key": self._source_prefix + extent.key},
                    CopySourceRange=f"bytes={extent.start}-{extent.end - 1}",
                )
        except StoreUnavailableError as error:
            if isinstance(error.__cause__, ClientError) and _code(error.__cause__) == "NotImplemented":
                return None
            raise
        etag: str = answer["CopyPartResult"]["ETag"]
        return etag

    def send(self, upload: Upload, number: int, data: bytes) -> str:
        """Send a part."""
        with self._forgetting():
            answer = self._client.upload_part(
                Bucket=self._bucket, Key=self._key, UploadId=upload.id, PartNumber=number, Body=data
            )
        etag: str = answer["ETag"]
        return etag

    def complete(self, upload: Upload, parts: dict[int, str]) -> str:
        """Make the object of its parts, where none is; its ETag. Raises PreconditionFailedError."""
        listed = [{"PartNumber": number, "ETag": parts[number]} for number in sorted(parts)]
        with self._forgetting():
            answer = self._client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=upload.id,
                MultipartUpload={"Parts": listed},
                IfNoneMatch="*",
            )
        self._area.store.delete(self._note)
        etag: str = answer["ETag"]
        return etag.strip('"')

    @contextmanager
    def _forgetting(self) -> Iterator[None]:
        """Raises PreconditionFailedError where another write was faster, or the upload is no more and is forgotten."""
        from botocore.exceptions import ClientError

        try:
            with _translated():
                yield
        except StoreUnavailableError as error:
            code = _code(error.__cause__) if isinstance(error.__cause__, ClientError) else ""
            if code == "NoSuchUpload":
                self._area.store.delete(self._note)
            if code in LOST or code == "NoSuchUpload":
                raise PreconditionFailedError(f"{self._key!r} is being written by others") from error
            raise


@contextmanager
def _translated() -> Iterator[None]:
    """Raises our error for those of botocore."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise StoreUnavailableError(f"S3 does not join parts: {error}") from error


def _code(error: Any) -> str:  # noqa: ANN401 - botocore's
    return str(error.response["Error"]["Code"])
