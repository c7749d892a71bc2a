"""Objects of S3 that are made of parts, where nothing or what is known stands: what is large is never whole in memory.

boto3 does it, because an upload of parts through obstore has no conditions, and copies no parts. Limits and conditions:
docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html and conditional-writes.html.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from onnxlet.errors import InvalidInputError, PreconditionFailedError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST_PARTS = 10_000
PART_BYTES = 8 * 2**20
"""Bytes of each part of a file but the last."""
AT_ONCE = 4
"""Parts of a file on their way at once, which are in memory."""
_LOST = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
_ABSENT = frozenset({"404", "NoSuchKey"})


class UploadGoneError(PreconditionFailedError):
    """Somebody ended the upload."""

    title = "Upload gone"


class PartCopyUnknownError(StoreUnavailableError):
    """The service copies no parts."""

    title = "No copies of parts"


class MultipartUpload:
    """An upload of parts to a key of a bucket.

    Methods raise StoreUnavailableError if S3 does not answer, UploadGoneError if the upload is no more.
    """

    def __init__(self, bucket: str, key: str, identifier: str = "") -> None:
        import boto3

        self._client: Any = boto3.client("s3")
        self._place = {"Bucket": bucket, "Key": key}
        self.id = identifier or self._begin()

    def list(self) -> dict[int, str]:
        """The ETags of the parts that S3 has, by their numbers."""
        with self._translated():
            pages = self._client.get_paginator("list_parts").paginate(**self._upload)
            return {part["PartNumber"]: part["ETag"] for page in pages for part in page.get("Parts", ())}

    def send(self, number: int, data: bytes) -> str:
        """Send a part: its ETag."""
        with self._translated():
            etag: str = self._client.upload_part(**self._upload, PartNumber=number, Body=data)["ETag"]
        return etag

    def copy(self, number: int, bucket: str, key: str, start: int, end: int) -> str:
        """Have S3 copy bytes of an object as a part: its ETag. Raises PartCopyUnknownError where it cannot."""
        with self._translated():
            copied = self._client.upload_part_copy(
                **self._upload,
                PartNumber=number,
                CopySource={"Bucket": bucket, "Key": key},
                CopySourceRange=f"bytes={start}-{end - 1}",
            )
        etag: str = copied["CopyPartResult"]["ETag"]
        return etag

    def complete(self, parts: dict[int, str], replaced: str | None = None) -> str:
        """Make the object of its parts, where nothing stands or what has the ETag `replaced`: its own ETag.

        What is replaced stands until then. Raises PreconditionFailedError if something else stands there.
        """
        listed = [{"PartNumber": number, "ETag": parts[number]} for number in sorted(parts)]
        condition = {"IfNoneMatch": "*"} if replaced is None else {"IfMatch": f'"{replaced}"'}
        with self._translated(_LOST if replaced is None else _LOST | _ABSENT):
            if replaced is not None:
                self._check_standing(replaced)
            made = self._client.complete_multipart_upload(
                **self._upload, MultipartUpload={"Parts": listed}, **condition
            )
        etag: str = made["ETag"]
        return etag.strip('"')

    def _check_standing(self, etag: str) -> None:
        """S3 does so itself; services that know no If-Match here would overwrite what others wrote long ago."""
        if self._client.head_object(**self._place)["ETag"].strip('"') != etag:
            raise PreconditionFailedError(f"{self._place['Key']!r} is being written by others")

    def abort(self) -> None:
        """End it; S3 keeps no part."""
        with self._translated(), suppress(UploadGoneError):
            self._client.abort_multipart_upload(**self._upload)

    @property
    def _upload(self) -> dict[str, str]:
        return {**self._place, "UploadId": self.id}

    def _begin(self) -> str:
        with self._translated():
            identifier: str = self._client.create_multipart_upload(**self._place)["UploadId"]
        return identifier

    @contextmanager
    def _translated(self, lost: frozenset[str] = _LOST) -> Iterator[None]:
        """Raises our errors for those of botocore; the codes `lost` say that others were first."""
        from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

        try:
            yield
        except ClientError as error:
            code = error.response["Error"]["Code"]
            key = self._place["Key"]
            if code == "NoSuchUpload":
                raise UploadGoneError(f"{key!r} is being written by others") from error
            if code in lost:
                raise PreconditionFailedError(f"{key!r} is being written by others") from error
            kind = PartCopyUnknownError if code == "NotImplemented" else StoreUnavailableError
            raise kind(f"S3 does not take the parts of {key!r}: {error}") from error
        except BotoCoreError as error:
            raise StoreUnavailableError(f"S3 does not take parts: {error}") from error


def locate(url: str) -> tuple[str, str]:
    """The bucket of a store, and what its keys begin with there; of other stores than S3 the URL is all."""
    scheme, _, address = url.partition("://")
    if scheme != "s3":
        return url, ""
    bucket, _, prefix = address.partition("/")
    prefix = prefix.strip("/")
    return bucket, f"{prefix}/" if prefix else ""


def upload_file(url: str, key: str, path: Path, replaced: str | None = None) -> str:
    """Make an object of a file in the store at an S3 URL, as `complete` does: its ETag. A few parts are in memory.

    What was sent is removed if it cannot be made; the bucket's lifecycle removes what a killed process has sent.
    Raises PreconditionFailedError if something else stands there, StoreUnavailableError.
    """
    size = path.stat().st_size
    if size > MOST_PARTS * PART_BYTES:
        raise InvalidInputError(f"{key!r} would have {size:,} bytes: more than S3 takes in {MOST_PARTS:,} parts")
    bucket, prefix = locate(url)
    upload = MultipartUpload(bucket, prefix + key)
    try:
        with path.open("rb") as file, ThreadPoolExecutor(AT_ONCE, "onnxlet-uploading") as pool:

            def send(number: int) -> str:
                return upload.send(number, os.pread(file.fileno(), PART_BYTES, (number - 1) * PART_BYTES))

            numbers = range(1, max(1, -(-size // PART_BYTES)) + 1)
            return upload.complete(dict(zip(numbers, pool.map(send, numbers), strict=True)), replaced)
    except BaseException:
        with suppress(StoreUnavailableError):
            upload.abort()
        raise
