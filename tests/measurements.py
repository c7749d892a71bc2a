"""Measurements of a version, as `fit` would have made them, to compute with."""

from __future__ import annotations

import datetime as dt

import msgspec

from onnxlet.toolchain.fit.fitting import obstacles
from onnxlet.toolchain.fit.prices import read_prices
from onnxlet.toolchain.fit.probe_messages import RunTimes
from onnxlet.toolchain.fit.report import Arithmetic, Machine, Measured, Report, ThreadMeasurements

MB = 2**20
DAY = dt.date(2026, 11, 1)
PRICES = read_prices()


def at(threads: int, *, run: float | None = 0.099, batch: float = 0.399) -> ThreadMeasurements:
    """What processes with so many threads measured."""
    timed = () if run is None else (RunTimes(1, 9, run, run), RunTimes(32, 9, batch, batch))
    return ThreadMeasurements(threads, 3, 0.1, 0.01, 0.2, 0.04, 60 * MB, 90 * MB, 100 * MB, timed)


def measured(*threads: ThreadMeasurements, peak: int = 100 * MB, artifact_bytes: int = 60_000_000) -> Measured:
    """A version that was measured, at 1 and 2 threads unless others are given."""
    ats = tuple(msgspec.structs.replace(one, peak_bytes=peak) for one in threads or (at(1), at(2, run=0.059)))
    return Measured(DAY, Machine("a processor", "x86_64", 2, "3.13", "1.32"), artifact_bytes, 2, 0.5, ats, None, True)


def report(measurements: Measured, computed: Arithmetic) -> Report:
    """The report of measurements and of what was computed from them."""
    against = obstacles(computed)
    return Report("diagnosis", 1, not against, against, (), measurements, computed, ())
