"""TensorFlow, loaded on the CPU and without its messages; it is an optional package."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from onnxlet.errors import MissingExtraError
from onnxlet.toolchain.workbench.extras import require

EXTRA = "tensorflow"


def load_tensorflow() -> Any:
    """TensorFlow, on the CPU and without its chatter. Raises MissingExtraError."""
    require(EXTRA, "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    try:
        with hushed():
            import tensorflow as tf
    except ImportError as error:
        raise MissingExtraError(f"TensorFlow does not start: {error}", extra=EXTRA) from error
    return tf


@contextmanager
def hushed() -> Iterator[None]:
    """Silence what the libraries say of themselves: deprecations within them, and their progress."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
