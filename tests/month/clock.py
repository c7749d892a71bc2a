"""The month's clock: all that Python reads of time is it. It stands until it is set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import time_machine

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
"""The month's first day."""
DAYS = 30


class Clock:
    """Days are counted from 1."""

    def __init__(self, coordinates: time_machine.Traveller) -> None:
        self._coordinates = coordinates

    def set(self, day: int, hours: float) -> datetime:
        """Turn to an hour of a day."""
        moment = FIRST + timedelta(days=day - 1, hours=hours)
        self._coordinates.move_to(moment)
        return moment


@contextmanager
def replaced_clock() -> Iterator[Clock]:
    """Replace the clock of this process, S3's included; it goes on from wherever it is set."""
    with time_machine.travel(FIRST, tick=True) as coordinates:
        yield Clock(coordinates)


def day_name(day: int) -> str:
    """`2026-03-01` of day 1."""
    return (FIRST + timedelta(days=day - 1)).strftime("%Y-%m-%d")
