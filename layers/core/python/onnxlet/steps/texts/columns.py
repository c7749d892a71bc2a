"""Columns of features: those that a vocabulary knows, or that hashing gives them, and how often each occurs."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from onnxlet.steps.texts.analysis import Analyzer
from onnxlet.values.tensors import Tensor

Counted = tuple[Tensor, Tensor]
"""The columns that a text has something in, in order, and how often it does; signs of hashes may cancel out to 0."""
Count = Callable[[Sequence[str]], Counted]
Made = TypeVar("Made")

MOST_REMEMBERED = 2**14
"""Words that are kept with what was made of them, of at most LONGEST_REMEMBERED characters each: some MB."""
LONGEST_REMEMBERED = 32

_WORD = 2**32 - 1
_LOWEST = -(2**31)


def count_known(vocabulary: Mapping[str, int]) -> Count:
    """Counts the features that the vocabulary has."""
    column_of = vocabulary.get

    def count(features: Sequence[str]) -> Counted:
        counted: dict[Any, int] = Counter(map(column_of, features))
        counted.pop(None, None)
        return _in_order(counted)

    return count


def count_known_within_words(vocabulary: Mapping[str, int], parts_of: Analyzer) -> Count:
    """Counts the parts of words that the vocabulary has."""

    def columns_of(word: str) -> Tensor:
        columns = map(vocabulary.get, parts_of(word))
        return np.array([column for column in columns if column is not None], dtype=np.int64)

    find = remember(columns_of)

    def count(words: Sequence[str]) -> Counted:
        if not words:
            return _in_order({})
        columns, counts = np.unique(np.concatenate([find(word) for word in words]), return_counts=True)
        return columns, counts

    return count


def count_hashed(columns: int, *, signed: bool) -> Count:
    """Counts all features, in `columns` columns by their hashes; by turns with either sign where `signed`.

    What it returns raises UnicodeEncodeError for half of a surrogate pair.
    """

    def place_of(feature: str) -> tuple[int, int]:
        number = murmur3(feature.encode())
        # as scikit-learn does it: in 32 bits the lowest number has no opposite
        column = (2**31 - 1 - (columns - 1)) % columns if number == _LOWEST else abs(number) % columns
        return column, -1 if signed and number < 0 else 1

    find = remember(place_of)

    def count(features: Sequence[str]) -> Counted:
        counted = dict[int, int]()
        for feature, times in Counter(features).items():
            column, sign = find(feature)
            counted[column] = counted.get(column, 0) + sign * times
        return _in_order(counted)

    return count


def remember(make: Callable[[str], Made]) -> Callable[[str], Made]:
    """The same function, which keeps what it made of short words: a few are most of all texts."""
    kept: dict[str, Made] = {}

    def made(word: str) -> Made:
        known = kept.get(word)
        if known is not None:
            return known
        new = make(word)
        if len(word) <= LONGEST_REMEMBERED:
            if len(kept) >= MOST_REMEMBERED:
                kept.clear()
            kept[word] = new
        return new

    return made


def _in_order(counted: Mapping[int, int]) -> Counted:
    columns = sorted(counted)
    return (
        np.fromiter(columns, dtype=np.int64, count=len(columns)),
        np.fromiter(map(counted.__getitem__, columns), dtype=np.int64, count=len(columns)),
    )


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
