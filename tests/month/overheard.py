"""What is said beside standard output: on standard error, by whatever language, and in logs, at any level."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STDERR = 2
PLACES = ("standard error", "logs")


@contextmanager
def overheard(folder: Path) -> Iterator[None]:
    """Write standard error and all logs to files of `folder` meanwhile; tell standard error at the end."""
    handler = logging.FileHandler(folder / "logs")
    root = logging.getLogger()
    level, outside = root.level, os.dup(STDERR)
    with (folder / "standard error").open("wb") as file:
        sys.stderr.flush()
        os.dup2(file.fileno(), STDERR)
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        try:
            yield
        finally:
            root.setLevel(level)
            root.removeHandler(handler)
            handler.close()
            sys.stderr.flush()
            os.dup2(outside, STDERR)
            os.close(outside)
            os.write(STDERR, (folder / "standard error").read_bytes())


def heard_in(folder: Path) -> list[tuple[str, bytes]]:
    """The places and what was said there."""
    return [(place, (folder / place).read_bytes()) for place in PLACES]
