"""Metrics of what a report tells, by version and alias, in CloudWatch's embedded format on standard output."""

from __future__ import annotations

from datetime import datetime

from onnxlet import telemetry
from onnxlet.monitor.alarms.book import AlarmBook
from onnxlet.monitor.report.document import Report
from onnxlet.monitor.report.traffic import Traffic
from onnxlet.telemetry.embedded import write_tally
from onnxlet.telemetry.tallies import NONE, Series, Tally
from onnxlet.values.timestamps import day_of


def tell_metrics(function: str, report: Report, book: AlarmBook, windows: dict[int, int], now: datetime) -> None:
    """Write a line for each version that is served and each alias of it: what was measured, and the open alarms.

    `windows` are the windows of each version that this run has merged.
    """
    today = day_of(now)
    loud = [alarm.version for alarm in book.loud(today)]
    for version, values in report.measures().items():
        counted = {
            **values,
            telemetry.OPEN_ALARMS: float(loud.count(version)),
            telemetry.WINDOWS: float(windows.get(version, 0)),
        }
        for alias in aliases_of(report).get(version) or (NONE,):
            tally = Tally(latest=now.timestamp(), counts=dict(counted))
            write_tally(Series(report.model, str(version), alias), tally, function)


def aliases_of(report: Report) -> dict[int, tuple[str, ...]]:
    """The aliases that route to each version."""
    traffic = report.sections.get("traffic")
    return {each.version: each.aliases for each in traffic.versions} if isinstance(traffic, Traffic) else {}
