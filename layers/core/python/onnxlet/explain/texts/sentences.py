"""Sentences: what ends with a full stop, an exclamation or question mark and a space, or with the line."""

from __future__ import annotations

import re

from onnxlet.explain.interface import Planning
from onnxlet.explain.texts.by_part import ByPart


def plan(planning: Planning) -> ByPart:
    """The method for a version."""
    return ByPart(planning, re.compile(r"\S(?:.*?[.!?。！？](?=\s|$)|.*)"))  # noqa: RUF001 - full stops of others
