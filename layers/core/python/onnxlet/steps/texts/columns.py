"""Columns of features: those that a vocabulary knows, or that hashing gives them, and how often each occurs."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Counted = dict[int, int]
"""How often each column occurs in a text; those that hashing gives a sign may cancel out to 0."""
Count = Callable[[Sequence[str]], Counted]

MOST_REMEMBERED = 2**16
"""Features whose hashes are kept, of at most LONGEST_REMEMBERED characters each: a few MB."""
LONGEST_REMEMBERED = 64

_WORD = 2**32 - 1
_LOWEST = -(2**31)


def count_known(vocabulary: Mapping[str, int]) -> Count:
    """Counts the features that the vocabulary has."""
    column_of = vocabulary.get

    def count(features: Sequence[str]) -> Counted:
        counted: dict[Any, int] = Counter(map(column_of, features))
        counted.pop(None, None)
        return counted

    return count


class HashedCount:
    """Counts all features, in `columns` columns by their hashes; by turns with either sign where `signed`."""

    def __init__(self, columns: int, *, signed: bool) -> None:
        self._columns, self._signed = columns, signed
        self._remembered: dict[str, tuple[int, int]] = {}

    def __call__(self, features: Sequence[str]) -> Counted:
        """Raises UnicodeEncodeError for half of a surrogate pair."""
        remembered, counted = self._remembered, dict[int, int]()
        for feature, times in Counter(features).items():
            column, sign = remembered.get(feature) or self._place(feature)
            counted[column] = counted.get(column, 0) + sign * times
        return counted

    def _place(self, feature: str) -> tuple[int, int]:
        """The column, and the sign."""
        number = murmur3(feature.encode())
        # as scikit-learn does it: in 32 bits the lowest number has no opposite
        column = (2**31 - 1 - (self._columns - 1)) % self._columns if number == _LOWEST else abs(number) % self._columns
        place = column, -1 if self._signed and number < 0 else 1
        if len(feature) <= LONGEST_REMEMBERED:
            if len(self._remembered) >= MOST_REMEMBERED:
                self._remembered = {}
            self._remembered[feature] = place
        return place


def murmur3(data: bytes) -> int:
    """MurmurHash3 of 32 bits, with a sign, of seed 0."""
    size = len(data)
    whole = size & ~3
    number = 0
    for (block,) in struct.iter_unpack("<I", data[:whole]):
        number ^= _mixed(block)
        number = (((number << 13) | (number >> 19)) * 5 + 0xE6546B64) & _WORD
    if size > whole:
        number ^= _mixed(int.from_bytes(data[whole:], "little"))
    number ^= size
    number = ((number ^ (number >> 16)) * 0x85EBCA6B) & _WORD
    number = ((number ^ (number >> 13)) * 0xC2B2AE35) & _WORD
    number ^= number >> 16
    return number - 2**32 if number >= 2**31 else number


def _mixed(block: int) -> int:
    block = (block * 0xCC9E2D51) & _WORD
    return (((block << 15) | (block >> 17)) * 0x1B873593) & _WORD
