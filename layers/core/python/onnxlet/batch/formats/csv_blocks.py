"""Blocks of CSV → whole rows, as bytes, at once: up to the first quote that does not stand where quotes belong."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from onnxlet.batch.formats.csv_numbers import CARRIAGE_RETURN, COMMA, LINE_FEED, QUOTE, Octets, Places

_SEPARATES = np.zeros(256, np.bool_)
_SEPARATES[[COMMA, LINE_FEED]] = True
_LINE_ENDS = np.array([CARRIAGE_RETURN, LINE_FEED], np.uint8)


def cut_rows(block: bytes) -> tuple[list[bytes], int]:
    """The rows of whole lines, without their ends and without blank ones, and how many bytes they are.

    Fewer than there are where a quote opens within a cell, a cell goes on behind its quotes, or the block ends within
    quotes; what the rows are from there, a parser must tell.
    """
    size = len(block)
    if b'"' not in block:
        rows = block.split(b"\n")
    else:
        ends, lines = _find_row_ends(block)
        size = int(ends[-1]) + 1 if len(ends) else 0
        if lines == len(ends):
            rows = block[:size].split(b"\n")
        else:
            rows = [block[start : end - 1] for start, end in pairwise([0, *(ends + 1).tolist()])]
    if b"\r" in block:
        rows = [row.rstrip(b"\r") for row in rows]
    if rows and not rows[-1]:
        rows.pop()
    if b"" in rows:
        rows = [row for row in rows if row]
    return rows, min(size, len(block))


def _find_row_ends(block: bytes) -> tuple[Places, int]:
    """Where rows end, as far as quotes are where they belong, and how many lines that is."""
    octets: Octets = np.frombuffer(block if block.endswith(b"\n") else block + b"\n", np.uint8)
    quotes = np.flatnonzero(octets == QUOTE)
    line_ends = np.flatnonzero(octets == LINE_FEED)
    row_ends: Places = line_ends[np.searchsorted(quotes, line_ends) & 1 == 0]
    wrong = [*_find_wrong_quotes(octets, quotes), *(_find_lone_returns(octets, quotes) if b"\r" in block else [])]
    if wrong:
        row_ends = row_ends[row_ends < min(wrong)]
    return row_ends, int(np.searchsorted(line_ends, row_ends[-1])) + 1 if len(row_ends) else 0


def _find_lone_returns(octets: Octets, quotes: Places) -> list[int]:
    """The first carriage return outside quotes that ends no line: it ends the row as a faulty one."""
    returns = np.flatnonzero(octets == CARRIAGE_RETURN)
    returns = returns[np.searchsorted(quotes, returns) & 1 == 0]
    lone: Places = returns[~np.isin(octets[returns + 1], _LINE_ENDS)]
    return [int(place) for place in lone[:1]]


def _find_wrong_quotes(octets: Octets, quotes: Places) -> list[int]:
    """The first quotes that neither open nor close a cell nor are one of two within it, of either kind."""
    opening, closing = quotes[::2], quotes[1::2]
    # two in a row within quotes close and open again
    twice = opening[1:] == closing[: len(opening) - 1] + 1
    opens = _SEPARATES[octets[opening - 1]]
    opens[1:] |= twice
    behind = octets[closing + 1]
    closes = _SEPARATES[behind]
    closes |= (behind == CARRIAGE_RETURN) & (octets[np.minimum(closing + 2, len(octets) - 1)] == LINE_FEED)
    closes[: len(twice)] |= twice
    # those without a fellow are not closed
    return [*opening[~opens][:1].tolist(), *closing[~closes][:1].tolist(), *opening[len(closing) :].tolist()]
