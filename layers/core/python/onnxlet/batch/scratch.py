"""Folders in which outputs are made before they are moved or uploaded; killed processes leave none for long.

Whoever does the same job again goes on in the folder that was left of it.

A folder is held by a lock (flock) on a file in it, which the kernel frees when its process ends, however it ends.
Whoever makes a folder first sweeps out those beside it that nobody holds.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = ".onnxlet-"
LOCK = "lock"
JOB = "job"


@contextmanager
def scratch_folder(parent: Path | None = None, job: str | None = None) -> Iterator[Path]:
    """A folder in `parent`, or in the system's own for temporary files, that is gone afterwards.

    It is the folder that was left when this `job` was killed, if there is one.
    """
    parent = parent or Path(tempfile.gettempdir())
    folder, lock = _sweep(parent, job) or _make(parent)
    if job is not None:
        (folder / JOB).write_text(job)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _make(parent: Path) -> tuple[Path, int]:
    """A new folder and the descriptor that holds it. A sweeper may take it before it is held: then another one."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        try:
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            continue
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / LOCK).exists():
            return folder, lock
        os.close(lock)


def _sweep(parent: Path, job: str | None) -> tuple[Path, int] | None:
    """Remove the folders that nobody holds, but for one of the job, which is held now; those of other users stay."""
    found: tuple[Path, int] | None = None
    for folder in parent.glob(PREFIX + "*"):
        with suppress(OSError):
            lock = _take(folder, None if found else job)
            found = (folder, lock) if lock is not None else found
    return found


def _take(folder: Path, job: str | None) -> int | None:
    """Remove a folder unless it is held, or hold it if it is of the job. Raises OSError if neither can be done."""
    try:
        lock = os.open(folder / LOCK, os.O_RDWR)
    except FileNotFoundError:
        folder.rmdir()  # only an empty one goes: its owner was killed, or makes another one
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if job is not None and (folder / JOB).exists() and (folder / JOB).read_text() == job:
            held, lock = lock, -1
            return held
        shutil.rmtree(folder)
    finally:
        if lock >= 0:
            os.close(lock)
    return None
