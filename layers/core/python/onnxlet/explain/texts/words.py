"""Words: what spaces separate."""

from __future__ import annotations

import re

from onnxlet.explain.interface import Planning
from onnxlet.explain.texts.by_part import ByPart

_PATTERN = re.compile(r"\S+")


def plan(planning: Planning) -> ByPart:
    """The method for a version."""
    return ByPart(planning, lambda text: [match.span() for match in _PATTERN.finditer(text)])
