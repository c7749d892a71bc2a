"""CSV with other separators than commas: read and written as if it had commas, for the two change places.

Each byte has one that takes its place, and back, so that nothing is lost. Texts are changed back before anybody reads
them. A tab is white space around a number and may take nobody's place: a byte that is in no text does instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from onnxlet.errors import InvalidInputError

if TYPE_CHECKING:
    from onnxlet.batch.formats.ports import Source

COMMA = ","
_NO_TEXT = "\x01"


class Dialect:
    """CSV with a separator: one of `;`, `|`, a tab and a comma."""

    def __init__(self, separator: str = COMMA) -> None:
        self.separator = separator
        self.plain = separator == COMMA
        """Whether there is nothing to change."""
        self._unread = _NO_TEXT.encode() if separator == "\t" else None
        before = separator + COMMA + (_NO_TEXT if self._unread else "")
        after = COMMA + (_NO_TEXT if self._unread else "") + separator
        self._forth = bytes.maketrans(before.encode(), after.encode())
        self._back = bytes.maketrans(after.encode(), before.encode())
        self._text_forth = str.maketrans(before, after)
        self._text_back = str.maketrans(after, before)

    def to_commas(self, data: bytes | memoryview) -> bytes:
        """Bytes of the file as if it had commas. Raises InvalidInputError for a byte that is in no text."""
        data = bytes(data)
        if self.plain:
            return data
        if self._unread is not None and self._unread in data:
            raise InvalidInputError("the file has control characters (1) in it: is it text?")
        return data.translate(self._forth)

    def from_commas(self, data: bytes) -> bytes:
        """And back."""
        return data if self.plain else data.translate(self._back)

    def hide(self, text: str) -> str:
        """A text as it stands where commas separate."""
        return text if self.plain else text.translate(self._text_forth)

    def restore(self, texts: Sequence[str]) -> Sequence[str]:
        """Texts that were read there."""
        return texts if self.plain else [text.translate(self._text_back) for text in texts]


class CommaSource:
    """A source as if it had commas."""

    def __init__(self, source: Source, dialect: Dialect) -> None:
        self._source = source
        self._dialect = dialect

    @property
    def size(self) -> int:
        """Bytes that the source has."""
        return self._source.size

    def read(self, start: int, length: int) -> bytes:
        """Read `length` bytes from `start`; fewer where the source ends sooner."""
        return self._dialect.to_commas(self._source.read(start, length))
