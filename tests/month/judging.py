"""What the month must show: each thing that was planted is found in time, nothing before it, and nothing raw."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from month.bus import Heard
from month.hospital import DOSELESS, LATE_BY, OLDER_FROM, OTHERWISE_FROM

WINDOWS = 2
"""In so many windows (days; of labels, days on which they came) a thing is found."""
_ROW = re.compile(r"^\| \d+ \| ([^|]+) \| (\d+) \|", re.MULTILINE)


class Planted(NamedTuple):
    """Something that goes wrong on a day, and the alarm that says so; it can be known `after` days at the earliest."""

    what: str
    day: int
    kind: str
    about: str
    after: int = 0

    @property
    def due(self) -> int:
        """The last day in whose night it may be found."""
        return self.day + self.after + WINDOWS - 1


PLANTED = (
    Planted("patients of a second hospital are older", OLDER_FROM, "drift", "age"),
    Planted("a form sends no dose for four of ten patients", DOSELESS.start, "quality", "dose"),
    Planted("the illness shows otherwise, and labels come late", OTHERWISE_FROM, "accuracy", "", LATE_BY),
)


class Told(NamedTuple):
    """What was planted, and the day in whose night it was found; None if it never was."""

    planted: Planted
    found: int | None

    @property
    def in_time(self) -> bool:
        """Whether it was found when it could be, and not before it was there."""
        return self.found is not None and self.planted.day <= self.found <= self.planted.due


def judge(heard: Sequence[Heard]) -> list[Told]:
    """When each thing was found."""
    return [Told(each, _first(heard, each)) for each in PLANTED]


def documented(page: str) -> dict[str, int]:
    """The day in whose night each thing was found, as the table of docs/operations.md tells."""
    return {what: int(night) for what, night in _ROW.findall(page)}


def too_early(heard: Sequence[Heard]) -> list[Heard]:
    """Alarms of nights before anything was planted, and of a kind before anything of its kind was."""
    first = {kind: min(each.day for each in PLANTED if each.kind == kind) for kind in {each.kind for each in PLANTED}}
    begin = min(first.values())
    return [each for each in heard if each.state == "found" and each.night < first.get(each.kind, begin)]


def _first(heard: Sequence[Heard], planted: Planted) -> int | None:
    nights = [
        each.night for each in heard if (each.kind, each.about, each.state) == (planted.kind, planted.about, "found")
    ]
    return min(nights, default=None)
