"""HTML as tests read it: the tables of a page, which must be well formed and hold no element that is not expected."""

from __future__ import annotations

from html.parser import HTMLParser

KNOWN = frozenset({"table", "thead", "tbody", "tr", "th", "td", "p", "pre"})


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: list[list[list[str]]] = []
        self.paragraphs: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in KNOWN, f"<{tag}> in the markup"
        assert not attrs
        self._open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")
        elif tag == "p":
            self.paragraphs.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        assert self._open, f"{data!r} stands alone"
        if self._open[-1] == "p":
            self.paragraphs[-1] += data
        else:
            self.tables[-1][-1][-1] += data

    def close(self) -> None:
        super().close()
        assert not self._open


def tables(html: str) -> list[list[list[str]]]:
    """The cells of every table, row by row, heads too."""
    return _read(html).tables


def paragraphs(html: str) -> list[str]:
    """The texts of all paragraphs."""
    return _read(html).paragraphs


def _read(html: str) -> _Reader:
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader
