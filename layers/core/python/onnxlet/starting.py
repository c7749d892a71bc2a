"""Starting: what a function does before it imports anything else."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def starting() -> Iterator[Mapping[str, str]]:
    """Gives the environment to a block that imports and builds what stays as long as the process does.

    None of that is garbage: the collector would look through it again and again while it grows, which takes a twelfth
    of a cold start, and whenever it looks through everything later. So it waits for the block's end, and leaves alone
    what was made in it. ONNX Runtime sends no telemetry, which is read when it is imported.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    gc.disable()
    try:
        yield os.environ
    finally:
        gc.freeze()
        gc.enable()
