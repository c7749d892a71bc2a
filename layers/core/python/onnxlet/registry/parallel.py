"""Many small requests to a store at once: each waits for the network, not for the processor."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

WIDTH = 16
"""Calls that run at once."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_parallel(function: Callable[[Item], Result], items: Iterable[Item], *, width: int = WIDTH) -> list[Result]:
    """`function` of each item, in the order of the items; up to `width` calls run at once, each in a thread.

    Raises the error of the first item, in their order, whose call failed; calls that have not begun are not made then.

        manifests = map_parallel(lambda key: store.get(key).data, keys)
    """
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
