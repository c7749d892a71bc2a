"""The output of ONNX Runtime's quantizers: they print, log to the root logger, and raise all kinds of errors."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from onnxlet.errors import RejectedModelError
from onnxlet.serving.engine import FOREIGN

RAISED: tuple[type[Exception], ...] = (*FOREIGN, AssertionError, LookupError, AttributeError)
"""What the quantizers raise on graphs that they do not support."""

_WARNING, _FATAL = 2, 4
"""ONNX Runtime's severities, the first one its default."""


@contextmanager
def contain_quantizer() -> Iterator[None]:
    """Keep a quantizer's output from stdout and the root logger. Raises RejectedModelError where it fails."""
    import onnxruntime  # after the engine, which silences its telemetry

    root = logging.getLogger()
    nowhere = logging.NullHandler()

    def only_others(record: logging.LogRecord) -> bool:
        return "onnxruntime" not in record.pathname

    root.addHandler(nowhere)
    root.addFilter(only_others)
    # sessions of the quantizers' own warn on stderr of what the quantizers did
    onnxruntime.set_default_logger_severity(_FATAL)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    except OSError:
        # a disk's fault, not the graph's
        raise
    except RAISED as error:
        raise RejectedModelError(f"the graph cannot be quantized so: {error}") from error
    finally:
        onnxruntime.set_default_logger_severity(_WARNING)
        root.removeFilter(only_others)
        root.removeHandler(nowhere)
