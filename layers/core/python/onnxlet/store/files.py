"""Files and folders that many processes write to: flushed to the disk, locked by locks that outlive no process."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import random
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onnxlet.store.rules import unreadable_error

CHUNK = 4 * 2**20


def write_new(path: Path, data: bytes | Path) -> str:
    """Fill a new file with bytes, or those of another, and flush it to the disk; the SHA-256 of the content."""
    digest = hashlib.sha256()
    with path.open("xb", buffering=0) as file:
        for chunk in _chunks(data):
            digest.update(chunk)
            rest = memoryview(chunk)
            while rest:
                rest = rest[file.write(rest) :]
        os.fsync(file.fileno())
    return digest.hexdigest()


def replace_whole(path: Path, data: bytes) -> None:
    """Put bytes in the place of a file, which has the old ones or these, whole; nothing else stays. Raises OSError.

    A link stays one: the file that it leads to is replaced. A device or a pipe, which has no old bytes, is written to.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    path = Path(os.path.realpath(path))
    partial = path.parent / f".{path.name}.{os.urandom(8).hex()}"
    try:
        write_new(partial, data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def make_folders(folder: Path) -> None:
    """Make a folder and those above it, each flushed to the disk; they may be there.

    Raises NotADirectoryError if something else has the name, FileNotFoundError if others remove folders meanwhile.
    """
    if folder.is_dir():
        return
    make_folders(folder.parent)
    try:
        folder.mkdir()
    except FileExistsError:
        # not mkdir(exist_ok=True), which takes a folder that is removed in between for a file
        if not stat.S_ISDIR(folder.lstat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None
    flush_folder(folder.parent)


def remove_empty_folders(folder: Path, root: Path) -> None:
    """Remove a folder and those above it, up to `root`, as long as they hold nothing."""
    while folder != root:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent


def flush_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk; one that was removed meanwhile has none."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_older(folder: Path, seconds: float) -> None:
    """Remove the files in a folder that nobody has changed for so long."""
    for file in folder.iterdir():
        try:
            if time.time() - file.stat().st_mtime > seconds:
                file.unlink()
        except FileNotFoundError:
            continue


@contextmanager
def locked(path: Path, seconds: float) -> Iterator[None]:
    """Hold the lock of a file, which is made if need be and stays. Raises TimeoutError.

    It asks again and again: flock(2) cannot time out, and one stopped process would stop all others.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        deadline = time.monotonic() + seconds
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                raise TimeoutError(None, "another process does not give its lock back", str(path))
            time.sleep(random.uniform(0.0005, 0.005))  # noqa: S311 # jitter, not a secret
        yield
    finally:
        # explicitly: a child forked meanwhile has a copy of the descriptor, which would keep the lock
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _chunks(data: bytes | Path) -> Iterator[bytes]:
    if not isinstance(data, Path):
        yield data
        return
    try:
        with data.open("rb", buffering=0) as source:
            while chunk := source.read(CHUNK):
                yield chunk
    except OSError as error:
        raise unreadable_error(data, error) from error
