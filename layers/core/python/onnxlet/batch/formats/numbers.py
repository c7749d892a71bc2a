"""Text of numbers → arrays of them, many at once and exactly: simdjson reads the text as one JSON list, or not at all.

Whoever uses it knows how many numbers there must be, and where. A list within the list would be flattened, so no
further bracket is let through.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import simdjson

Numbers = np.ndarray[tuple[int], np.dtype[np.float64]]

_NEGATIVE_ZERO = re.compile(rb"-0(?<![eE]-0)(?=[,\s\]])")


class NumberReader:
    """Reads lists of numbers, one after the other."""

    def __init__(self) -> None:
        self._parser: Any = simdjson.Parser()

    def read(self, text: bytes) -> Numbers | None:
        """The numbers of a JSON list that holds nothing else; None for any other text.

        Numbers are those that `float()` makes of the same words, in double precision.
        """
        numbers = self._parse(text)
        if numbers is None or numbers.all() or b"-" not in text or not _NEGATIVE_ZERO.search(text):
            return numbers
        # an integer to simdjson, and so without its sign
        return self._parse(_NEGATIVE_ZERO.sub(b"-0.0", text))

    def _parse(self, text: bytes) -> Numbers | None:
        if text.find(b"[", 1) >= 0:
            return None
        try:
            # no name holds the document: the parser reads no other one while somebody does
            return np.frombuffer(self._parser.parse(text).as_buffer(of_type="d"), np.float64)
        except (ValueError, TypeError, RuntimeError):
            return None
