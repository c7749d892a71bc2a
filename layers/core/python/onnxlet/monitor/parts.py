"""Which parts of a window were merged: for each environment, the ranges of its running numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

Ranges = tuple[tuple[int, int], ...]
"""First and last numbers, both included, in order."""
Parts = Mapping[str, Ranges]

_NAME = re.compile(r"(?P<environment>[^/]+)-(?P<sequence>[0-9]{6,18})\.json")


def part_name(environment: str, sequence: int) -> str:
    """What an environment calls its part number `sequence`."""
    return f"{environment}-{sequence:06d}.json"


def is_part(name: str) -> bool:
    """Whether it is the name of a part."""
    return _NAME.fullmatch(name) is not None


def hold(parts: Parts, name: str) -> bool:
    """Whether a part is among those that were merged."""
    found = _NAME.fullmatch(name)
    if found is None:
        return False
    return any(first <= int(found["sequence"]) <= last for first, last in parts.get(found["environment"], ()))


def add_parts(parts: Parts, names: Iterable[str]) -> dict[str, Ranges]:
    """The parts, and those of these names; names of no parts are passed over."""
    numbers: dict[str, list[tuple[int, int]]] = {environment: list(ranges) for environment, ranges in parts.items()}
    for found in filter(None, map(_NAME.fullmatch, names)):
        numbers.setdefault(found["environment"], []).append((int(found["sequence"]), int(found["sequence"])))
    return {environment: _joined(ranges) for environment, ranges in numbers.items()}


def _joined(ranges: Iterable[tuple[int, int]]) -> Ranges:
    joined: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = joined[-1][0], max(last, joined[-1][1])
        else:
            joined.append((first, last))
    return tuple(joined)
