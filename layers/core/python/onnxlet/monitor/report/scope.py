"""What a report is about: versions of a model and days of theirs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property

import msgspec

from onnxlet.monitor.baseline import Baseline
from onnxlet.monitor.levels import share_of_budget
from onnxlet.monitor.sketch import Sketch
from onnxlet.monitor.versions import read_baseline
from onnxlet.monitor.windows import Window, list_days, read_window
from onnxlet.store import Store
from onnxlet.values.canonical import canonical
from onnxlet.values.digests import digest
from onnxlet.values.timestamps import day_of, utc_now
from onnxlet.version import __version__

Sections = Mapping[str, msgspec.Struct]


class Counted:
    """One day of a version: its rows in the bins of the baseline, and how many were counted in those of others.

    `basis` is a digest of all that the day's verdict follows from: its parts, which never change, the baseline, the
    budget and this onnxlet.
    """

    def __init__(self, day: str, window: Window, baseline: Baseline, budget: float) -> None:
        pinned = baseline.pinned
        self.day = day
        self.basis = digest(canonical((__version__, day, pinned, budget, window.parts)))
        self.elsewhere = sum(each.rows for each in window.sketches if each.baseline != pinned)
        self.rows = window.rows - self.elsewhere
        self._documents = [each for each in window.sketches if each.baseline == pinned]
        self._baseline = baseline

    @cached_property
    def sketch(self) -> Sketch:
        """The counts, which are put together when somebody first asks for them."""
        sketch = Sketch(self._baseline)
        for document in self._documents:
            sketch.add(document)
        return sketch


class Scope:
    """Versions of a model, and the days `since` … `until` (`2026-11-01`, both included; empty: no bound).

    `now` is the present moment if None. `told` are the sections of an earlier report: what it says of a day stands as
    long as its basis does. Windows and baselines are read when a section asks for them, once for all sections. Raises
    IntegrityError.
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
        told: Sections | None = None,
    ) -> None:
        self.now = now or utc_now()
        self.store = store
        self.model = model
        self.versions = tuple(versions)
        self.since = since
        self.until = until
        self.told = told or {}
        self._baselines: dict[int, Baseline | None] = {}
        self._windows: dict[int, dict[str, Window]] = {}
        self._counted: dict[int, list[Counted]] = {}

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
        if version not in self._counted:
            self._counted[version] = list(self._count(version))
        return self._counted[version]

    def _count(self, version: int) -> Iterator[Counted]:
        baseline = self.baseline(version)
        if baseline is not None:
            for day, window in self.windows(version).items():
                yield Counted(day, window, baseline, self.budget(day))
