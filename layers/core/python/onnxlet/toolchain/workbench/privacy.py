"""Values of the data in messages: there are none, since messages end in logs, unless the caller asks for them.

Rows and columns are named instead. Names of columns are values too where a file lacks its header.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_shown: ContextVar[bool] = ContextVar("show_values", default=False)


class WithheldError(Exception):
    """Stands in a traceback for another library's error, whose message may hold values of the data."""


@contextmanager
def showing_values(*, shown: bool) -> Iterator[None]:
    """Let messages name values of the data while the block runs, or not."""
    token = _shown.set(shown)
    try:
        yield
    finally:
        _shown.reset(token)


def values_are_shown() -> bool:
    """Whether the caller asked for values."""
    return _shown.get()


def describe_cell(cell: object) -> str:
    """A cell's value in quotes, or of what kind it is."""
    return repr(cell) if _shown.get() else "a text"


def without_values(error: BaseException) -> BaseException:
    """A cause for `raise … from`: the error, or one that has its traceback and says nothing."""
    if _shown.get():
        return error
    cause = WithheldError(f"a {type(error).__name__}, whose message may hold values of the data")
    return cause.with_traceback(error.__traceback__)
