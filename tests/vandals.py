"""Stores changed behind the package's back: by plain file edits, and by raw S3 calls of boto3."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

import boto3


class Vandal(Protocol):
    """Bytes by key, with none of this package's code."""

    def read(self, key: str) -> bytes: ...

    def write(self, key: str, data: bytes) -> None: ...

    def remove(self, key: str) -> None: ...

    def keys(self) -> list[str]: ...


class FileVandal:
    """Edits the files of a directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, key: str) -> bytes:
        return (self._root / key).read_bytes()

    def write(self, key: str, data: bytes) -> None:
        path = self._root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def remove(self, key: str) -> None:
        (self._root / key).unlink()

    def keys(self) -> list[str]:
        files = (path.relative_to(self._root) for path in self._root.rglob("*") if path.is_file())
        return sorted(str(file) for file in files if file.parts[0] != ".onnxlet")


class S3Vandal:
    """Calls S3 for the objects of a bucket, below a prefix."""

    def __init__(self, endpoint: str, bucket: str, prefix: str) -> None:
        self._client: Any = boto3.client("s3", endpoint_url=endpoint)
        self._bucket = bucket
        self._prefix = prefix + "/"

    def read(self, key: str) -> bytes:
        body: bytes = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)["Body"].read()
        return body

    def write(self, key: str, data: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=data)

    def remove(self, key: str) -> None:
        self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)

    def keys(self) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
        return [listed["Key"].removeprefix(self._prefix) for page in pages for listed in page.get("Contents", ())]


def edit(vandal: Vandal, key: str, **changed: object) -> None:
    """Change members of a JSON document."""
    vandal.write(key, json.dumps(json.loads(vandal.read(key)) | changed).encode())


def flip(vandal: Vandal, key: str) -> None:
    """Change one bit, and nothing of the size."""
    data = bytearray(vandal.read(key))
    data[len(data) // 2] ^= 1
    vandal.write(key, bytes(data))
