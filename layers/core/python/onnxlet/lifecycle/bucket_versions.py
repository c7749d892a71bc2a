"""What a versioned bucket keeps of objects that were overwritten or deleted: it takes boto3 to see and remove them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from onnxlet.errors import MissingExtraError, StoreUnavailableError

_DENIED = ("AccessDenied", "InvalidRequest")


class OldObject:
    """One version of an object that is not the newest; `key` is relative to the store."""

    def __init__(self, client: Any, bucket: str, path: str, version: str, key: str) -> None:
        self.key = key
        self._client = client
        self._named = {"Bucket": bucket, "Key": path, "VersionId": version}

    def read(self) -> bytes:
        """Its bytes."""
        return bytes(_ask(self._fetch))

    def _fetch(self) -> Any:
        return self._client.get_object(**self._named)["Body"].read()

    def delete(self) -> str:
        """Remove it for good. Returns why that is refused; empty if it is gone."""
        from botocore.exceptions import ClientError  # type: ignore[import-untyped] # botocore has no types

        try:
            self._client.delete_object(**self._named)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _DENIED:
                raise StoreUnavailableError(f"{self.key!r} cannot be erased: {error}") from error
            return self._lock() or "it takes the right s3:DeleteObjectVersion"
        return ""

    def _lock(self) -> str:
        """Until when Object Lock holds it; empty if it does not, or nobody may know."""
        from botocore.exceptions import ClientError

        try:
            head = self._client.head_object(**self._named)
        except ClientError:
            return ""
        if head.get("ObjectLockLegalHoldStatus") == "ON":
            return "a legal hold of Object Lock holds it"
        if "ObjectLockRetainUntilDate" not in head:
            return ""
        until = head["ObjectLockRetainUntilDate"].date().isoformat()
        lifted = " unless it is lifted" if head.get("ObjectLockMode") == "GOVERNANCE" else ""
        return f"Object Lock holds it until {until}{lifted}"


def old_objects(url: str, prefix: str) -> Iterator[OldObject]:
    """The old versions below a prefix of the store `s3://bucket/prefix`.

    Raises MissingExtraError without boto3, StoreUnavailableError where S3 does not answer or denies it.
    """
    try:
        import boto3
    except ImportError as error:
        raise MissingExtraError(
            "old versions of objects are seen by boto3 alone: pip install boto3", extra="boto3"
        ) from error
    parts = urlsplit(url)
    bucket, root = parts.netloc, parts.path.strip("/")
    start = f"{root}/" if root else ""
    client = boto3.client("s3")
    pages = iter(client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=start + prefix))
    while (page := _ask(lambda: next(pages, None))) is not None:
        for each in page.get("Versions", ()):
            if not each["IsLatest"]:
                yield OldObject(client, bucket, each["Key"], each["VersionId"], each["Key"].removeprefix(start))


def _ask(question: Any) -> Any:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return question()
    except (BotoCoreError, ClientError) as error:
        raise StoreUnavailableError(
            "old versions of objects cannot be seen, which takes s3:ListBucketVersions and s3:GetObjectVersion: "
            f"{error}"
        ) from error
