"""The page on monitoring tells the metrics that there are."""

from __future__ import annotations

import re
from pathlib import Path

from onnxlet.telemetry.metrics import METRICS

PAGE = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text()


def test_the_table_is_that_of_the_code() -> None:
    found = re.findall(r"^\| `([A-Z][A-Za-z0-9]+)` \| (\w+) \| (.+) \|$", PAGE, re.MULTILINE)
    assert found == [(metric.name, metric.unit, metric.meaning) for metric in METRICS.values()]


def test_the_page_on_operations_has_every_name_of_prometheus() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    names = filter(None, (metric.prometheus for metric in METRICS.values()))
    assert [name for name in names if f"`{name}`" not in page] == []
