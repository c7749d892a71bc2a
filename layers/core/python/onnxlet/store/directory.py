"""A store in a directory: `file:///directory`. Every object is a plain file, its path the key.

Any number of threads and processes may use one directory, and any of them may be killed at any moment:

- A reader opens the file and reads it, without a lock. Files are never written in place, so it sees the old object or
  the new one, whole.
- A writer fills a temporary file in the directory's own hidden folder, flushes it to the disk, takes the lock of the
  key, checks its condition, renames the file over the object and flushes the folder. What a killed writer leaves lies
  in the hidden folder, where no key leads; later writers sweep it out when nobody has touched it for an hour.
- Locks are flock(2) on 256 files in the hidden folder, a key's by its hash. They are never removed, so there is no race
  between taking one and removing it, and the kernel frees those of a killed process.
- An ETag is the digest of the content, so equal content has an equal ETag: a swap succeeds if the object went from A to
  B and back to A meanwhile, and is right to.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onnxlet.errors import InvalidInputError, InvalidNameError, StoreUnavailableError
from onnxlet.store import Blob, Entry, files
from onnxlet.store.rules import RESERVED, changed, check_key, check_prefix, check_range, exists, not_found

LOCKS = 256
LOCK_SECONDS = 30.0
"""Seconds that a write waits for the lock of its key: so long only if a process was stopped while it held it."""
ABANDONED_SECONDS = 3600.0
"""Seconds without a change after which a temporary file has no writer any more."""
RACES = 16
"""How often a folder is made again that others remove because it is empty."""


class DirectoryStore:
    """Objects as files below one directory, which the first write makes. Raises InvalidInputError for another URL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._root = _path_of(url)
        self._writes = self._root / RESERVED / "writes"
        self._locks = self._root / RESERVED / "locks"
        self._swept = False

    def get(self, key: str) -> Blob:
        """Read a whole object. Raises ObjectNotFoundError."""
        with self._reading(key) as (descriptor, size):
            data = files.read(descriptor, 0, size)
        return Blob(data, _etag(data))

    def get_if_changed(self, key: str, etag: str) -> Blob | None:
        """Read an object unless it still has `etag` (then None). Raises ObjectNotFoundError."""
        blob = self.get(key)
        return None if blob.etag == etag else blob

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Read `length` bytes from `start`; fewer where the object ends sooner. Raises ObjectNotFoundError."""
        check_range(start, length)
        with self._reading(key) as (descriptor, size):
            return files.read(descriptor, start, max(0, min(length, size - start)))

    def put(self, key: str, data: bytes | Path) -> str:
        """Write an object (bytes, or a file's), whatever is there; return its ETag."""
        with self._writing(key, data) as (written, etag), self._locked(key):
            self._replace(written, key)
        return etag

    def create(self, key: str, data: bytes | Path) -> str:
        """Write an object that must not exist yet. Raises PreconditionFailedError if it does."""
        with self._translated(key):
            self._require_none(key)
        with self._writing(key, data) as (written, etag), self._locked(key):
            self._require_none(key)
            self._replace(written, key)
        return etag

    def swap(self, key: str, data: bytes, etag: str) -> str:
        """Overwrite an object that must still have `etag`. Raises PreconditionFailedError if it has not, or is gone."""
        with self._writing(key, data) as (written, new_etag), self._locked(key):
            self._require(key, etag)
            self._replace(written, key)
        return new_etag

    def delete(self, key: str, *, etag: str | None = None) -> None:
        """Remove an object; it is no error if there is none, unless `etag` is given. Raises PreconditionFailedError."""
        path = self._path(key)
        with self._translated(key):
            if not path.is_file():
                self._check_root()
                if etag is not None:
                    raise changed(self.url, key, etag)
                return
            self._prepare()
            with self._locked(key):
                if etag is not None:
                    self._require(key, etag)
                path.unlink(missing_ok=True)
                files.flush_folder(path.parent)
                files.remove_empty_folders(path.parent, self._root)

    def list(self, prefix: str) -> Iterator[Entry]:
        """All objects whose keys start with `prefix`, in the order of their keys."""
        folder, slash, _ = check_prefix(prefix).rpartition("/")
        return self._walk(folder + slash, prefix)

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)

    @contextmanager
    def _reading(self, key: str) -> Iterator[tuple[int, int]]:
        """A descriptor of the object's file, and its size."""
        with self._translated(key):
            try:
                descriptor = os.open(self._path(key), os.O_RDONLY)
            except (FileNotFoundError, NotADirectoryError):
                self._check_root()
                raise not_found(self.url, key) from None
            try:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    raise not_found(self.url, key)
                yield descriptor, status.st_size
            finally:
                os.close(descriptor)

    @contextmanager
    def _writing(self, key: str, data: bytes | Path) -> Iterator[tuple[Path, str]]:
        """A temporary file with the content, flushed to the disk, and its ETag; removed unless it was renamed."""
        check_key(key)
        with self._translated(key):
            self._prepare()
            written = self._writes / f"{os.getpid()}-{os.urandom(8).hex()}"
            try:
                yield written, files.write_new(written, data)
            finally:
                written.unlink(missing_ok=True)

    def _prepare(self) -> None:
        """Make the hidden folders; before the first write also sweep out what killed writers left."""
        self._check_root()
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

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreUnavailableError(
                f"{self.url!r} failed at {key!r}: {(error.strerror or str(error)).lower()}", store=self.url, key=key
            ) from error

    def _require_none(self, key: str) -> None:
        if self._path(key).is_file():
            raise exists(self.url, key)

    def _require(self, key: str, etag: str) -> None:
        """Raises PreconditionFailedError unless the object has `etag`. The lock is held."""
        try:
            found = _etag(self._path(key).read_bytes())
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            found = ""
        if found != etag:
            raise changed(self.url, key, etag)

    def _replace(self, written: Path, key: str) -> None:
        """Rename the temporary file over the object. The lock is held, but another key's delete may take the folder."""
        path = self._path(key)
        for attempt in range(RACES):
            try:
                files.make_folders(path.parent)
                written.rename(path)
                break
            except FileNotFoundError:
                if attempt == RACES - 1:
                    raise
            except (IsADirectoryError, NotADirectoryError, FileExistsError) as error:
                raise InvalidNameError(
                    f"{self.url!r} cannot hold {key!r}: an object's key cannot be the folder of another's", key=key
                ) from error
        files.flush_folder(path.parent)

    def _walk(self, folder: str, prefix: str) -> Iterator[Entry]:
        """The objects below a folder (empty, or ending in a slash) in the order of their keys."""
        with self._translated(prefix):
            names = _names(self._root / folder)
            if not names:
                self._check_root()
        for name in names:
            key = folder + name
            if name.endswith("/"):
                if key.startswith(prefix) and key != RESERVED + "/":
                    yield from self._walk(key, prefix)
            elif key.startswith(prefix) and _is_key(key):
                with self._translated(prefix):
                    try:
                        status = (self._root / key).stat()
                    except FileNotFoundError:
                        continue
                yield Entry(key, status.st_size, status.st_mtime)

    def _check_root(self) -> None:
        """Raises StoreUnavailableError if there is no directory but something else; nothing there is an empty store."""
        if self._root.exists() and not self._root.is_dir():
            raise StoreUnavailableError(f"{self.url!r} is not a directory", store=self.url)


def _path_of(url: str) -> Path:
    path = url.removeprefix("file://")
    if path == url or not path.startswith("/") or "\0" in path:
        raise InvalidInputError(f"{url!r} is no directory store: use file:///directory, with three slashes", store=url)
    if "%" in path:
        from urllib.parse import unquote

        path = unquote(path)
    return Path(path)


def _etag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _names(folder: Path) -> list[str]:
    """The names in a folder, those of folders with a slash at the end, so that they sort as keys do."""
    try:
        with os.scandir(folder) as found:
            return sorted(one.name + "/" if one.is_dir() else one.name for one in found)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_key(name: str) -> bool:
    """Whether it can be an object: people and their tools leave other files in directories."""
    try:
        check_key(name)
    except InvalidNameError:
        return False
    return True
