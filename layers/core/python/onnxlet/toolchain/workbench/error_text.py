"""What another library's error says, short enough for a message of ours."""

from __future__ import annotations

MOST_LETTERS = 300


def first_line(error: BaseException) -> str:
    """The first line of the error's message without its full stop; the error's class where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0][:MOST_LETTERS].rstrip(".") if lines else type(error).__name__


def one_line(error: BaseException) -> str:
    """The beginning of the error's message with its lines joined."""
    return " ".join(str(error).split())[:MOST_LETTERS]
