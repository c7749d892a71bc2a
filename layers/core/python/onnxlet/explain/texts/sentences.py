"""Sentences: what ends with a full stop, an exclamation or question mark and a space, or with the line."""

from __future__ import annotations

import re

from onnxlet.explain.interface import Planning
from onnxlet.explain.texts.by_part import ByPart

_PATTERN = re.compile(r"\S(?:.*?[.!?。！？](?=\s|$)|.*)")  # noqa: RUF001 - full stops of others


def plan(planning: Planning) -> ByPart:
    """The method for a version."""
    return ByPart(planning, lambda text: [match.span() for match in _PATTERN.finditer(text)])
