"""TensorFlow, loaded on the CPU and without its messages; it is an optional package."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from onnxlet.errors import MissingExtraError
from onnxlet.toolchain.workbench.extras import require

EXTRA = "tensorflow"
STDERR = 2
"""The file descriptor of standard error."""


def load_tensorflow() -> Any:
    """Load TensorFlow on the CPU, without its messages. Raises MissingExtraError if it is missing or does not start."""
    require(EXTRA, "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    try:
        with silence_tensorflow(), _discard_native_messages():
            import tensorflow as tf
    except ImportError as error:
        raise MissingExtraError(f"TensorFlow does not start: {error}", extra=EXTRA) from error
    return tf


@contextmanager
def _discard_native_messages() -> Iterator[None]:
    """Discard what C++ writes to standard error: TensorFlow 2.21 ignores its own log level until it is loaded."""
    sys.stderr.flush()
    kept, nowhere = os.dup(STDERR), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STDERR)
    try:
        yield
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def silence_tensorflow() -> Iterator[None]:
    """Silence what TensorFlow and Keras log about themselves: deprecations within them, and their progress."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
