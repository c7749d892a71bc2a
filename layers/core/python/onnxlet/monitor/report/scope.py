"""What a report is about: versions of a model and days of theirs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from onnxlet.monitor.baseline import Baseline
from onnxlet.monitor.levels import share_of_budget
from onnxlet.monitor.sketch import Sketch
from onnxlet.monitor.versions import read_baseline
from onnxlet.monitor.windows import Window, list_days, read_window
from onnxlet.store import Store
from onnxlet.values.timestamps import day_of, utc_now


class Counted(NamedTuple):
    """One day of a version: its rows in the bins of the baseline, and how many were counted in those of others."""

    day: str
    sketch: Sketch
    elsewhere: int


class Scope:
    """Versions of a model, and the days `since` … `until` (`2026-11-01`, both included; empty: no bound).

    `now` is the present moment if None. Windows and baselines are read when a section asks for them, once for all
    sections. Raises IntegrityError.
    """

    def __init__(
        self,
        store: Store,
        model: str,
        versions: Sequence[int],
        *,
        since: str = "",
        until: str = "",
        now: datetime | None = None,
    ) -> None:
        self.now = now or utc_now()
        self.store = store
        self.model = model
        self.versions = tuple(versions)
        self.since = since
        self.until = until
        self._baselines: dict[int, Baseline | None] = {}
        self._windows: dict[int, dict[str, Window]] = {}

    @property
    def closed(self) -> str:
        """The newest day that the report is about and to which nothing is added any more."""
        yesterday = day_of(self.now - timedelta(days=1))
        return min(self.until, yesterday) if self.until else yesterday

    def includes(self, day: str) -> bool:
        """Whether the report is about this day."""
        return self.since <= day and (not self.until or day <= self.until)

    def baseline(self, version: int) -> Baseline | None:
        """What a version's rows are compared with; None if there is none."""
        if version not in self._baselines:
            self._baselines[version] = read_baseline(self.store, self.model, version)
        return self._baselines[version]

    def windows(self, version: int) -> dict[str, Window]:
        """What was counted of a version, by day, oldest first."""
        if version not in self._windows:
            days = [day for day in list_days(self.store, self.model, version) if self.includes(day)]
            self._windows[version] = {day: read_window(self.store, self.model, version, day) for day in days}
        return self._windows[version]

    def budget(self, day: str) -> float:
        """The share of clean months in which one version may alarm by chance, in one kind: of those asked on a day."""
        return share_of_budget(sum(day in self.windows(version) for version in self.versions))

    def counted(self, version: int) -> list[Counted]:
        """The days of a version in the bins of its baseline; none of a version that has no baseline."""
        baseline = self.baseline(version)
        return [] if baseline is None else [_count(baseline, *each) for each in self.windows(version).items()]


def _count(baseline: Baseline, day: str, window: Window) -> Counted:
    sketch = Sketch(baseline)
    for document in window.sketches:
        if document.baseline == baseline.pinned:
            sketch.add(document)
    return Counted(day, sketch, window.rows - sketch.rows)
