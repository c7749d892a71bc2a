"""The table of sections by name, in the order in which they are shown: another is one line here."""

from __future__ import annotations

from typing import Any

from onnxlet.monitor.report import alarms, drift, expected, labels, quality, traffic
from onnxlet.monitor.report.section import Section

SECTIONS: dict[str, Section[Any]] = {
    section.name: section
    for section in (
        alarms.SECTION,
        traffic.SECTION,
        expected.SECTION,
        labels.SECTION,
        drift.SECTION,
        quality.SECTION,
    )
}
