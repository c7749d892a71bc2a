"""Reading again what came damaged: one answer may be cut or changed on its way, and the next one whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from onnxlet.errors import IntegrityError
from onnxlet.telemetry import log

Value = TypeVar("Value")


def read_sound(read: Callable[[], Value]) -> Value:
    """What `read` returns, which is called once more, at once, if what it read is damaged.

    Raises IntegrityError if it is damaged again, and what else `read` raises.
    """
    try:
        return read()
    except IntegrityError as error:
        log(__name__).warning("reading again: %s", error.detail)
    return read()
