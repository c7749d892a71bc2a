"""Limits of what a client may send, and of the time it may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one request may take."""

    url_bytes: int = 8 * 1024
    """Bytes of its URL; more are answered 414."""
    headers: int = 100
    """Its headers; more are answered 431."""
    header_bytes: int = 32 * 1024
    """Bytes of all its headers; more are answered 431."""
    head_seconds: float = 20.0
    """Seconds from its first byte to the end of its headers; a slower one is answered 408."""
    body_seconds: float = 60.0
    """Seconds from there to the end of its body; a slower one is answered 408."""
