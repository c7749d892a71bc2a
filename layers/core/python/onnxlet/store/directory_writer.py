"""The writing half of the directory store: conditions checked and files renamed under the lock of their key."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onnxlet.errors import InvalidNameError
from onnxlet.store import files
from onnxlet.store.directory import check_root, os_errors_translated
from onnxlet.store.rules import RESERVED, already_exists_error, changed_error

LOCKS = 256
LOCK_SECONDS = 30.0
"""Seconds that a write waits for the lock of its key: so long only if a process was stopped while it held it."""
ABANDONED_SECONDS = 3600.0
"""Seconds without a change after which a temporary file has no writer any more."""
RACES = 16
"""How often a folder is made again that others remove because it is empty."""


class DirectoryWriter:
    """Writes objects below `root`; keys are checked before. Raises StoreUnavailableError."""

    def __init__(self, url: str, root: str) -> None:
        self._url = url
        self._root = Path(root)
        self._writes = self._root / RESERVED / "writes"
        self._locks = self._root / RESERVED / "locks"
        self._swept = False

    def put(self, key: str, data: bytes | Path) -> str:
        """Write an object, whatever is there; return its ETag."""
        with self._writing(key, data) as (written, etag), self._locked(key):
            self._replace(written, key)
        return etag

    def create(self, key: str, data: bytes | Path) -> str:
        """Write an object that must not exist yet. Raises PreconditionFailedError if it does."""
        with os_errors_translated(self._url, key):
            self._require_none(key)
        with self._writing(key, data) as (written, etag), self._locked(key):
            self._require_none(key)
            self._replace(written, key)
        return etag

    def swap(self, key: str, data: bytes | Path, etag: str) -> str:
        """Overwrite an object that must still have `etag`. Raises PreconditionFailedError if it has not, or is gone."""
        with self._writing(key, data) as (written, new_etag), self._locked(key):
            self._require(key, etag)
            self._replace(written, key)
        return new_etag

    def delete(self, key: str, etag: str | None) -> None:
        """Remove an object; it is no error if there is none, unless `etag` is given. Raises PreconditionFailedError."""
        path = self._root / key
        with os_errors_translated(self._url, key):
            if not path.is_file():
                check_root(self._url, str(self._root))
                if etag is not None:
                    raise changed_error(self._url, key, etag)
                return
            self._prepare()
            with self._locked(key):
                if etag is not None:
                    self._require(key, etag)
                path.unlink(missing_ok=True)
                files.flush_folder(path.parent)
                files.remove_empty_folders(path.parent, self._root)

    @contextmanager
    def _writing(self, key: str, data: bytes | Path) -> Iterator[tuple[Path, str]]:
        """A temporary file with the content, flushed to the disk, and its ETag; removed unless it was renamed."""
        with os_errors_translated(self._url, key):
            self._prepare()
            written = self._writes / f"{os.getpid()}-{os.urandom(8).hex()}"
            try:
                yield written, files.write_new(written, data)
            finally:
                written.unlink(missing_ok=True)

    def _prepare(self) -> None:
        """Make the hidden folders; before the first write also sweep out what killed writers left."""
        check_root(self._url, str(self._root))
        files.make_folders(self._writes)
        files.make_folders(self._locks)
        if not self._swept:
            self._swept = True
            files.remove_older(self._writes, ABANDONED_SECONDS)

    @contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        number = hashlib.sha256(key.encode()).digest()[0] % LOCKS
        with files.locked(self._locks / f"{number:02x}", LOCK_SECONDS):
            yield

    def _require_none(self, key: str) -> None:
        if (self._root / key).is_file():
            raise already_exists_error(self._url, key)

    def _require(self, key: str, etag: str) -> None:
        """Raises PreconditionFailedError unless the object has `etag`. The lock is held."""
        try:
            with (self._root / key).open("rb", buffering=0) as file:
                current = hashlib.file_digest(file, "sha256").hexdigest()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            current = ""
        if current != etag:
            raise changed_error(self._url, key, etag)

    def _replace(self, written: Path, key: str) -> None:
        """Rename the temporary file over the object. The lock is held, but another key's delete may take the folder."""
        path = self._root / key
        for attempt in range(RACES):
            try:
                files.make_folders(path.parent)
                written.rename(path)
                break
            except FileNotFoundError:
                if attempt == RACES - 1:
                    raise
            except (IsADirectoryError, NotADirectoryError) as error:
                raise InvalidNameError(
                    f"{self._url!r} cannot hold {key!r}: an object's key cannot be the folder of another's", key=key
                ) from error
        files.flush_folder(path.parent)
