"""Words: what spaces separate."""

from __future__ import annotations

import re

from onnxlet.explain.interface import Planning
from onnxlet.explain.texts.by_part import ByPart


def plan(planning: Planning) -> ByPart:
    """The method for a version."""
    return ByPart(planning, re.compile(r"\S+"))
