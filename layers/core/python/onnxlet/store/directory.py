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

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from onnxlet.errors import InvalidInputError, InvalidNameError, StoreUnavailableError
from onnxlet.store import Blob, Entry, Head
from onnxlet.store.rules import RESERVED, check_key, check_prefix, check_range, not_found_error, overwritten_error
from onnxlet.values.digests import sha256_of, sha256_of_file

if TYPE_CHECKING:
    from pathlib import Path

    from onnxlet.store.directory_writer import DirectoryWriter


REMEMBERED = 256
"""Files whose ETags are remembered while they do not change."""


class DirectoryStore:
    """Objects as files below one directory, which the first write makes. Raises InvalidInputError for another URL.

    What only writers need is in `directory_writer` and loaded by the first write: cold starts only read.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._root = _path_of(url)
        self._lazy_writer: DirectoryWriter | None = None
        self._etags: dict[tuple[int, ...], str] = {}
        """Those of files that were read for them, by what changes when a file does."""

    def get(self, key: str) -> Blob:
        """Read a whole object. Raises ObjectNotFoundError."""
        with self._reading(key) as (descriptor, size):
            data = _read(descriptor, 0, size)
        return Blob(data, etag_of(data))

    def get_if_changed(self, key: str, etag: str) -> Blob | None:
        """Read an object unless it still has `etag` (then None). Raises ObjectNotFoundError."""
        blob = self.get(key)
        return None if blob.etag == etag else blob

    def head(self, key: str) -> Head:
        """Size, ETag and version of an object, which is read for its ETag. Raises ObjectNotFoundError."""
        with self._reading(key) as (descriptor, size):
            return Head(size, self._find_etag(descriptor))

    def get_range(self, key: str, start: int, length: int, *, etag: str | None = None) -> bytes:
        """Read `length` bytes from `start`, of the object with `etag` if that is given; fewer where it ends sooner.

        Raises ObjectNotFoundError, PreconditionFailedError if it has another ETag.
        """
        check_range(start, length)
        with self._reading(key) as (descriptor, size):
            if etag is not None and self._find_etag(descriptor) != etag:
                raise overwritten_error(self.url, key, etag)
            return _read(descriptor, start, max(0, min(length, size - start)))

    def put(self, key: str, data: bytes | Path) -> str:
        """Write an object (bytes, or a file's), whatever is there; return its ETag."""
        return self._writer.put(check_key(key), data)

    def create(self, key: str, data: bytes | Path) -> str:
        """Write an object that must not exist yet. Raises PreconditionFailedError if it does."""
        return self._writer.create(check_key(key), data)

    def swap(self, key: str, data: bytes | Path, etag: str) -> str:
        """Overwrite an object that must still have `etag`. Raises PreconditionFailedError if it has not, or is gone."""
        return self._writer.swap(check_key(key), data, etag)

    def delete(self, key: str, *, etag: str | None = None) -> None:
        """Remove an object; it is no error if there is none, unless `etag` is given. Raises PreconditionFailedError."""
        self._writer.delete(check_key(key), etag)

    def list(self, prefix: str) -> Iterator[Entry]:
        """All objects whose keys start with `prefix`, in the order of their keys."""
        folder, slash, _ = check_prefix(prefix).rpartition("/")
        return self._walk(folder + slash, prefix)

    @property
    def _writer(self) -> DirectoryWriter:
        if self._lazy_writer is None:
            from onnxlet.store.directory_writer import DirectoryWriter

            self._lazy_writer = DirectoryWriter(self.url, self._root)
        return self._lazy_writer

    @contextmanager
    def _reading(self, key: str) -> Iterator[tuple[int, int]]:
        """A descriptor of the object's file, and its size."""
        with os_errors_translated(self.url, key):
            try:
                descriptor = os.open(f"{self._root}/{check_key(key)}", os.O_RDONLY)
            except (FileNotFoundError, NotADirectoryError):
                check_root(self.url, self._root)
                raise not_found_error(self.url, key) from None
            try:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    raise not_found_error(self.url, key)
                yield descriptor, status.st_size
            finally:
                os.close(descriptor)

    def _find_etag(self, descriptor: int) -> str:
        """The ETag of an open file; it is read once, however many ranges are."""
        status = os.fstat(descriptor)
        stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if stamp not in self._etags:
            if len(self._etags) >= REMEMBERED:
                self._etags.clear()
            with os.fdopen(os.dup(descriptor), "rb", buffering=0) as file:
                self._etags[stamp] = sha256_of_file(file)
        return self._etags[stamp]

    def _walk(self, folder: str, prefix: str) -> Iterator[Entry]:
        """The objects below a folder (empty, or ending in a slash) in the order of their keys."""
        with os_errors_translated(self.url, prefix):
            names = _names(f"{self._root}/{folder}")
            if not names:
                check_root(self.url, self._root)
        for name in names:
            key = folder + name
            if name.endswith("/"):
                if key.startswith(prefix) and key != RESERVED + "/":
                    yield from self._walk(key, prefix)
            elif key.startswith(prefix) and _is_key(key):
                with os_errors_translated(self.url, prefix):
                    try:
                        status = os.stat(f"{self._root}/{key}")
                    except FileNotFoundError:
                        continue
                yield Entry(key, status.st_size, status.st_mtime)


@contextmanager
def os_errors_translated(url: str, key: str) -> Iterator[None]:
    """Raises StoreUnavailableError for what the operating system refuses."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StoreUnavailableError(f"{url!r} failed at {key!r}: {reason}", store=url, key=key) from error


def check_root(url: str, root: str) -> None:
    """Raises StoreUnavailableError if there is no directory but something else; nothing there is an empty store."""
    if os.path.exists(root) and not os.path.isdir(root):
        raise StoreUnavailableError(f"{url!r} is not a directory", store=url)


def etag_of(data: bytes) -> str:
    """The ETag of an object with this content."""
    return sha256_of(data)


def _path_of(url: str) -> str:
    path = url.removeprefix("file://")
    if path == url or not path.startswith("/") or "\0" in path:
        raise InvalidInputError(f"{url!r} is no directory store: use file:///directory, with three slashes", store=url)
    if "%" in path:
        from urllib.parse import unquote

        path = unquote(path)
    return os.path.normpath(path)


def _read(descriptor: int, start: int, length: int) -> bytes:
    """Up to `length` bytes from `start`, also those beyond the 2 GiB that one system call gives."""
    data = os.pread(descriptor, length, start)
    if len(data) == length or not data:
        return data
    parts = [data]
    while data and (missing := length - sum(map(len, parts))):
        data = os.pread(descriptor, missing, start + length - missing)
        parts.append(data)
    return b"".join(parts)


def _names(folder: str) -> list[str]:
    """The names in a folder, those of folders with a slash at the end, so that they sort as keys do."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name + "/" if entry.is_dir() else entry.name for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_key(name: str) -> bool:
    """Whether it can be an object: people and their tools leave other files in directories."""
    try:
        check_key(name)
    except InvalidNameError:
        return False
    return True
