"""Moments in time as documents write them: RFC 3339, UTC, microseconds."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import lru_cache

_DAY = 86_400
"""Seconds."""


def utc_now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


def format_timestamp(moment: datetime) -> str:
    """`2026-11-23T14:03:00.000000Z` for an aware datetime."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def day_of(moment: datetime) -> str:
    """`2026-11-23`, the day in UTC of an aware datetime."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d")


def day_of_seconds(seconds: float) -> str:
    """The same of seconds since the epoch."""
    return _numbered_day(int(seconds // _DAY))


@lru_cache(maxsize=16)
def _numbered_day(number: int) -> str:
    """The day so many days after the epoch; telemetry asks for the present one again and again."""
    return day_of(datetime.fromtimestamp(number * _DAY, UTC))


def is_day(text: str) -> bool:
    """Whether it is a day, written `2026-11-23`."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def format_epoch_seconds(seconds: float) -> str:
    """The same for seconds since the epoch, as stores give them."""
    return format_timestamp(datetime.fromtimestamp(seconds, UTC))
