"""Text in one line: what people write into the registry's documents, and how it is shown to others.

Control characters, line separators and marks that turn the direction of writing could make a line in a terminal look
like another, or like two (Unicode's categories Cc, Zl, Zp and Cs; and UTS #55 for the marks).
"""

from __future__ import annotations

import re

from onnxlet.errors import InvalidInputError

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def check_plain(name: str, text: str) -> str:
    """The text itself. Raises InvalidInputError, which calls it `name`, for one with a character that is not plain."""
    unsafe = _UNSAFE.search(text)
    if unsafe:
        raise InvalidInputError(
            f"{name} holds {_escape(unsafe)} at character {unsafe.start() + 1}: write it in one line, without control "
            "characters"
        )
    return text


def escape(text: str) -> str:
    r"""The text with what is not plain written as JSON writes it: a line break as `\u000a`."""
    return _UNSAFE.sub(_escape, text)


def _escape(unsafe: re.Match[str]) -> str:
    return f"\\u{ord(unsafe[0]):04x}"
