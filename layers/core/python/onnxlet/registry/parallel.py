"""Many small requests to a store at once: each waits for the network, not for us."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

WIDTH = 16

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def abreast(function: Callable[[Item], Answer], items: Iterable[Item], *, width: int = WIDTH) -> list[Answer]:
    """`function` of each item, `width` at a time, in the items' order. Raises what the first failure raised."""
    listed = list(items)
    if len(listed) <= 1:
        return [function(item) for item in listed]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(width, len(listed)), "onnxlet-registry") as pool:
        futures = [pool.submit(function, item) for item in listed]
        try:
            return [future.result() for future in futures]
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
