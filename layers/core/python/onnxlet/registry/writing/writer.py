"""Who writes to a store, and when: what every change of the registry needs, in one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from onnxlet.store import Store
from onnxlet.values.timestamps import format_timestamp, utc_now


@dataclass(frozen=True)
class Writer:
    """A store, the name that is written into its documents, and the clock that dates them.

    `clock` returns aware datetimes; a test hands in its own.
    """

    store: Store
    who: str
    clock: Callable[[], datetime] = utc_now

    def timestamp(self) -> str:
        """The present moment as documents write it, `2026-11-23T14:03:00.000000Z`."""
        return format_timestamp(self.clock())
