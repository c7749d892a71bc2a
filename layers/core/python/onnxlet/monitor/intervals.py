"""A figure and how far it may be off, as reports tell it."""

from __future__ import annotations

import msgspec

Z = 1.959963984540054
"""Standard deviations to either side, of a 95 % interval."""


class Interval(msgspec.Struct, frozen=True):
    """A figure, and its 95 % interval."""

    value: float
    low: float
    high: float
