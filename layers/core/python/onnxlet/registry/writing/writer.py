"""Who writes to a store, and when: what every change of the registry needs, in one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from onnxlet.store import Store
from onnxlet.values.plain_text import check_plain
from onnxlet.values.timestamps import format_timestamp, utc_now


@dataclass(frozen=True)
class Writer:
    """A store, the caller's name, and the clock that dates what is written.

    `clock` returns aware datetimes; a test hands in its own.
    """

    store: Store
    name: str
    clock: Callable[[], datetime] = utc_now

    @property
    def who(self) -> str:
        """The name, to be written. Raises InvalidInputError for one that could forge a line where it is shown."""
        return check_plain("the caller's name", self.name)

    def timestamp(self) -> str:
        """The present moment as documents write it, `2026-11-23T14:03:00.000000Z`."""
        return format_timestamp(self.clock())
