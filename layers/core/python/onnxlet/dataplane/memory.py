"""glibc's allocator, told to keep the memory of a request for the next one. Elsewhere than on glibc nothing is done.

Source: mallopt(3), and malloc.h for the numbers of the parameters.
"""

from __future__ import annotations

import ctypes  # numpy has it already
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import cast

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
_LARGEST_FROM_HEAP = 32 * 2**20
"""Bytes: the most that glibc takes."""
_KEPT_MEMORY = 160 * 2**20
"""Bytes: more than reading and answering 6 MB takes (130 MB for 3 million digits). With less, nothing is kept of it."""
_MOST_MAPPED = 65_536
"""Blocks: glibc's own default."""


def keep_freed_memory() -> None:
    """Have the allocator keep what a request has freed for the next one: fetched anew from the kernel, page by page, it
    costs 150 us for a body of 150 kB, and as much as all else for one of 6 MB.
    """
    _set(_M_MMAP_THRESHOLD, _LARGEST_FROM_HEAP)
    _set(_M_TRIM_THRESHOLD, _KEPT_MEMORY)


def map_large_blocks(*, allowed: bool) -> None:
    """Whether blocks above the threshold are fetched from the kernel and go back to it, as is usual, or are taken from
    the memory that is kept, too: while a large body is read, for parsers take twelve times its bytes at once.
    """
    _set(_M_MMAP_MAX, _MOST_MAPPED if allowed else 0)


def _set(parameter: int, value: int) -> None:
    mallopt = _mallopt()
    if mallopt is not None:
        mallopt(parameter, value)


@cache
def _mallopt() -> Callable[[int, int], int] | None:
    """The C library's function, looked up once: each look leaves garbage."""
    with suppress(AttributeError, OSError, TypeError):
        return cast("Callable[[int, int], int]", ctypes.CDLL(None).mallopt)
    return None
