"""Progress as notebooks and terminals show it: what is being done, and bars."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE = 1.0
"""Seconds after which a bar shows how far it is."""


@contextmanager
def showing_stages(first: str) -> Iterator[Callable[[str], None]]:
    """Show what is being done and for how long; call what is given with what is done next. Logs get none of it."""
    from tqdm.auto import tqdm

    with tqdm(desc=first, bar_format="{desc} … {elapsed}", mininterval=0, leave=False, disable=None) as bar:

        def begin(stage: str) -> None:
            bar.set_description_str(stage)

        yield begin


@contextmanager
def byte_bar(text: str) -> Iterator[Callable[[int, int], None]]:
    """A bar of bytes; call what is given with how many are done and how many there are. Logs get none of it."""
    from tqdm.auto import tqdm

    with tqdm(desc=text, unit="B", unit_scale=True, delay=PATIENCE, leave=False, disable=None) as bar:

        def advance(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield advance
