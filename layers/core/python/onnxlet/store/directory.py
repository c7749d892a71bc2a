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

import fcntl
import hashlib
import os
import random
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onnxlet.errors import InvalidInputError, InvalidNameError, StoreUnavailableError
from onnxlet.store import Blob, Entry
from onnxlet.store.rules import RESERVED, changed, check_key, check_prefix, check_range, exists, not_found, unreadable

LOCKS = 256
LOCK_DEADLINE = 30.0
"""Seconds that a write waits for the lock of its key: longer only if a process was stopped while it held it."""
ABANDONED_AFTER = 3600.0
"""Seconds since its last change after which a temporary file has no writer any more."""
CHUNK = 4 * 2**20


class DirectoryStore:
    """Objects as files below one directory, which the first write makes. Raises InvalidInputError for another URL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._root = _path_of(url)
        self._hidden = self._root + "/" + RESERVED
        self._swept = False

    def get(self, key: str) -> Blob:
        """Read a whole object. Raises ObjectNotFoundError."""
        with self._reading(key) as descriptor:
            data = _read(descriptor, 0, os.fstat(descriptor).st_size)
        return Blob(data, _etag(data))

    def get_if_changed(self, key: str, etag: str) -> Blob | None:
        """Read an object unless it still has `etag` (then None). Raises ObjectNotFoundError."""
        blob = self.get(key)
        return None if blob.etag == etag else blob

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Read `length` bytes from `start`; fewer where the object ends sooner. Raises ObjectNotFoundError."""
        check_range(start, length)
        with self._reading(key) as descriptor:
            return _read(descriptor, start, length)

    def put(self, key: str, data: bytes | Path) -> str:
        """Write an object (bytes, or a file's), whatever is there; return its ETag."""
        with self._writing(key, data) as (temporary, etag), self._locked(key):
            self._replace(temporary, key)
        return etag

    def create(self, key: str, data: bytes | Path) -> str:
        """Write an object that must not exist yet. Raises PreconditionFailedError if it does."""
        if os.path.isfile(self._path(key)):
            raise exists(self.url, key)
        with self._writing(key, data) as (temporary, etag), self._locked(key):
            if os.path.isfile(self._path(key)):
                raise exists(self.url, key)
            self._replace(temporary, key)
        return etag

    def swap(self, key: str, data: bytes, etag: str) -> str:
        """Overwrite an object that must still have `etag`. Raises PreconditionFailedError if it has not, or is gone."""
        with self._writing(key, data) as (temporary, written), self._locked(key):
            self._require(key, etag)
            self._replace(temporary, key)
        return written

    def delete(self, key: str, *, etag: str | None = None) -> None:
        """Remove an object; it is no error if there is none, unless `etag` is given. Raises PreconditionFailedError."""
        path = self._path(key)
        if etag is None and not os.path.lexists(path):
            return
        with self._translated(key), self._locked(key):
            if etag is not None:
                self._require(key, etag)
            try:
                os.unlink(path)
            except (FileNotFoundError, NotADirectoryError):
                return
            _sync(os.path.dirname(path))
            self._prune(os.path.dirname(path))

    def list(self, prefix: str) -> Iterator[Entry]:
        """All objects whose keys start with `prefix`, in the order of their keys."""
        folder, slash, _ = check_prefix(prefix).rpartition("/")
        return self._walk(folder + slash, prefix)

    def _path(self, key: str) -> str:
        return f"{self._root}/{check_key(key)}"

    @contextmanager
    def _reading(self, key: str) -> Iterator[int]:
        """A descriptor of the object's file."""
        try:
            descriptor = os.open(self._path(key), os.O_RDONLY)
        except (FileNotFoundError, NotADirectoryError):
            self._check_root()
            raise not_found(self.url, key) from None
        except OSError as error:
            raise self._unavailable(key, error) from error
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise not_found(self.url, key)
            yield descriptor
        except OSError as error:
            raise self._unavailable(key, error) from error
        finally:
            os.close(descriptor)

    @contextmanager
    def _writing(self, key: str, data: bytes | Path) -> Iterator[tuple[str, str]]:
        """A temporary file with the content, flushed to the disk, and its ETag; gone afterwards if it is still there."""
        check_key(key)
        with self._translated(key):
            folder = self._hidden_folder("writes")
            if not self._swept:
                self._swept = True
                _sweep(folder)
            temporary = f"{folder}/{os.getpid()}-{os.urandom(8).hex()}"
            try:
                yield temporary, _write(temporary, data)
            finally:
                _unlink(temporary)

    @contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        """Hold the key's lock. Waits by asking again: flock cannot time out, and a stopped holder would stop everybody."""
        name = hashlib.sha256(key.encode()).digest()[0] % LOCKS
        descriptor = os.open(f"{self._hidden_folder('locks')}/{name:02x}", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            deadline = time.monotonic() + LOCK_DEADLINE
            while not _try_lock(descriptor):
                if time.monotonic() > deadline:
                    raise StoreUnavailableError(f"another process holds the lock of {key!r} in {self.url!r}", key=key)
                time.sleep(random.uniform(0.0005, 0.005))  # noqa: S311 # jitter, not a secret
            yield
        finally:
            # explicitly: a child forked meanwhile has a copy of the descriptor that would keep the lock
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._unavailable(key, error) from error

    def _require(self, key: str, etag: str) -> None:
        """Raises PreconditionFailedError unless the object has `etag`. The lock is held."""
        try:
            with open(self._path(key), "rb", buffering=0) as file:
                found = _etag(file.readall())
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            found = ""
        if found != etag:
            raise changed(self.url, key, etag)

    def _replace(self, temporary: str, key: str) -> None:
        """Rename the temporary file over the object; the folder may be pruned meanwhile. The lock is held."""
        path = self._path(key)
        folder = os.path.dirname(path)
        try:
            for _ in range(9):
                try:
                    _make_folders(folder)
                    os.rename(temporary, path)
                    break
                except FileNotFoundError:
                    continue
            else:
                _make_folders(folder)
                os.rename(temporary, path)
        except (IsADirectoryError, NotADirectoryError, FileExistsError) as error:
            raise InvalidNameError(
                f"{key!r} cannot be held by {self.url!r}: an object's key cannot be the folder of another", key=key
            ) from error
        _sync(folder)

    def _prune(self, folder: str) -> None:
        """Remove folders that hold nothing any more, from the inside out."""
        while len(folder) > len(self._root):
            try:
                os.rmdir(folder)
            except OSError:
                return
            folder = os.path.dirname(folder)

    def _walk(self, folder: str, prefix: str) -> Iterator[Entry]:
        """The objects below a folder (empty, or ending in a slash) in the order of their keys."""
        for name, is_folder in self._children(folder):
            key = folder + name
            if is_folder:
                if key.startswith(prefix) or prefix.startswith(key):
                    yield from self._walk(key, prefix)
            elif key.startswith(prefix) and _is_key(key):
                try:
                    status = os.stat(f"{self._root}/{key}")
                except FileNotFoundError:
                    continue
                yield Entry(key, status.st_size, status.st_mtime)

    def _children(self, folder: str) -> list[tuple[str, bool]]:
        """Names in a folder, those of folders with a slash at the end: so they sort as keys do."""
        try:
            with os.scandir(f"{self._root}/{folder}") as found:
                children = [(one.name + "/", True) if one.is_dir() else (one.name, False) for one in found]
        except (FileNotFoundError, NotADirectoryError):
            self._check_root()
            return []
        except OSError as error:
            raise self._unavailable(folder, error) from error
        if not folder:
            children = [child for child in children if child[0] != RESERVED + "/"]
        return sorted(children)

    def _hidden_folder(self, name: str) -> str:
        folder = f"{self._hidden}/{name}"
        _make_folders(folder)
        return folder

    def _check_root(self) -> None:
        """Raises StoreUnavailableError if what should be the directory is something else; no directory is an empty store."""
        if os.path.lexists(self._root) and not os.path.isdir(self._root):
            raise StoreUnavailableError(f"{self.url!r} is not a directory", store=self.url)

    def _unavailable(self, key: str, error: OSError) -> StoreUnavailableError:
        return StoreUnavailableError(f"{self.url!r} failed at {key!r}: {error.strerror}", store=self.url, key=key)


def _path_of(url: str) -> str:
    rest = url.removeprefix("file://")
    if rest == url or not rest.startswith("/"):
        raise InvalidInputError(f"{url!r} is no directory store: use file:///directory, with three slashes", store=url)
    if "%" in rest:
        from urllib.parse import unquote

        rest = unquote(rest)
    if "\0" in rest:
        raise InvalidInputError(f"{url!r} has a zero byte in it", store=url)
    return os.path.normpath("/" + rest.strip("/"))


def _etag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _read(descriptor: int, start: int, length: int) -> bytes:
    """Up to `length` bytes: a single read gives at most 2 GiB."""
    data = os.pread(descriptor, length, start)
    if len(data) == length or not data:
        return data
    parts = [data]
    while data and (missing := length - sum(map(len, parts))):
        data = os.pread(descriptor, missing, start + length - missing)
        parts.append(data)
    return b"".join(parts)


def _write(path: str, data: bytes | Path) -> str:
    """Fill a new file, flush it to the disk, return its ETag."""
    digest = hashlib.sha256()
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb", buffering=0) as file:
        for chunk in _chunks(data):
            digest.update(chunk)
            view = memoryview(chunk)
            while view:
                view = view[file.write(view) :]
        os.fsync(file.fileno())
    return digest.hexdigest()


def _chunks(data: bytes | Path) -> Iterator[bytes]:
    if not isinstance(data, Path):
        yield data
        return
    try:
        with data.open("rb", buffering=0) as source:
            while chunk := source.read(CHUNK):
                yield chunk
    except OSError as error:
        raise unreadable(data, error) from error


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _make_folders(folder: str) -> None:
    """Make a folder and those above it, each flushed to the disk; some may be there."""
    missing = []
    while not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    for new in reversed(missing):
        try:
            os.mkdir(new)
        except FileExistsError:
            if not os.path.isdir(new):
                raise
        _sync(os.path.dirname(new))


def _sync(folder: str) -> None:
    """Flush a folder's names to the disk; one that is gone has none."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(folder: str) -> None:
    """Remove temporary files that killed writers left."""
    with os.scandir(folder) as found:
        for one in found:
            try:
                if time.time() - one.stat().st_mtime > ABANDONED_AFTER:
                    os.unlink(one.path)
            except FileNotFoundError:
                continue


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def _is_key(text: str) -> bool:
    try:
        check_key(text)
    except InvalidNameError:
        return False
    return True
