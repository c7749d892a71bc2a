"""Moments in time as documents write them: RFC 3339, UTC, microseconds."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


def stamp(moment: datetime) -> str:
    """`2026-11-23T14:03:00.000000Z` for an aware datetime."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def stamp_seconds(seconds: float) -> str:
    """The same for seconds since the epoch, as stores give them."""
    return stamp(datetime.fromtimestamp(seconds, UTC))
