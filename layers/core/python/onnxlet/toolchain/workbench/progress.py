"""Progress: what a tool tells its caller while it works."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str], None]
"""Called with a sentence that says what begins, such as `reading model.joblib`."""


def silent(message: str) -> None:
    """Tell nobody: the progress of who did not ask for it."""
    del message
