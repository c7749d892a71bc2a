"""Folders in which outputs are made before they are moved or uploaded; killed processes leave none for long.

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


@contextmanager
def scratch_folder(parent: Path | None = None) -> Iterator[Path]:
    """A folder in `parent`, or in the system's own for temporary files, that is gone afterwards."""
    parent = parent or Path(tempfile.gettempdir())
    _sweep(parent)
    folder, lock = _make(parent)
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


def _sweep(parent: Path) -> None:
    """Remove the folders that nobody holds; those of other users stay."""
    for folder in parent.glob(PREFIX + "*"):
        with suppress(OSError):
            _remove_unless_held(folder)


def _remove_unless_held(folder: Path) -> None:
    try:
        lock = os.open(folder / LOCK, os.O_RDWR)
    except FileNotFoundError:
        folder.rmdir()  # only an empty one goes: its owner was killed, or makes another one
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    finally:
        os.close(lock)
