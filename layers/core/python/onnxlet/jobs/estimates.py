"""What scoring a large file on AWS takes: sections, time, cost. docs/operations.md works it out."""

from __future__ import annotations

import math
from typing import NamedTuple

MIB = 2**20
LEAST_SECTION = 64 * MIB
"""Bytes of a section, at least: its output should not be less than 32 MiB."""
MOST_SECTIONS = 5000
"""Sections of a file: half of what a multipart upload has parts."""
SCORED_BYTES = 43e6
"""Bytes of CSV that one function scores in a second, of 30 numbers a row by a small model: another is slower."""
READ_BYTES = 80e6
"""Bytes that one function is taken to read from S3 in a second, which is what scanning takes."""
START_SECONDS = 5.0
JOINED_PER_SECOND = 16
GB_SECOND = 0.0000166667
TRANSITION = 25e-6
"""Prices in USD, us-east-1."""
MEMORY_GB = 1.769
TRANSITIONS = 8
"""Of a section: three when its stretch is scanned, five when it is scored."""


class Estimate(NamedTuple):
    """Sections and their MiB, seconds from start to end with so many at once, and USD."""

    sections: int
    section_mib: int
    seconds: float
    usd: float


def size_sections(size: int, step: int = MIB) -> int:
    """Bytes of a section: whole steps, so that sections are cut as the whole file is."""
    return max(LEAST_SECTION, -(-size // (MOST_SECTIONS * step)) * step)


def estimate(size: int, at_once: int) -> Estimate:
    """What a file of lines of so many bytes takes."""
    section = size_sections(size)
    sections = max(1, -(-size // section))
    rounds = math.ceil(sections / at_once)
    scanning, scoring = section / READ_BYTES, section / SCORED_BYTES
    seconds = rounds * (scanning + scoring) + 2 * START_SECONDS + sections / JOINED_PER_SECOND
    usd = sections * ((scanning + scoring) * MEMORY_GB * GB_SECOND + TRANSITIONS * TRANSITION)
    return Estimate(sections, section // MIB, seconds, usd)
