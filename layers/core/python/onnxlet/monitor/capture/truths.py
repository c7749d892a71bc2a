"""What may be true of an answer, and when two values mean the same."""

from __future__ import annotations

from onnxlet.monitor.capture.rules import Cell

Truth = bool | int | float | str


def same(told: Cell, truth: Truth) -> bool:
    """Whether two values mean the same: a file of texts says `1` where JSON says 1 or 1.0, and `true` of true."""
    if isinstance(told, list) or told is None:
        return False
    if _text(told) == _text(truth):
        return True
    try:
        return float(told) == float(truth)
    except ValueError:
        return False


def as_number(value: Cell | Truth) -> float | None:
    """A number, or a text that is one."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None or isinstance(value, bool | list):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _text(value: bool | float | str) -> str:
    return str(value).lower() if isinstance(value, bool) or str(value).lower() in ("true", "false") else str(value)
