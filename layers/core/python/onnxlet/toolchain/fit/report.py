"""The report: what was measured, what was computed from it, and what was assumed for that, each apart."""

from __future__ import annotations

import datetime as dt
from typing import Literal

import msgspec

from onnxlet.settings import MIB
from onnxlet.toolchain.fit.limits import Architecture
from onnxlet.toolchain.fit.prices import PriceTag
from onnxlet.toolchain.fit.probe_messages import RunTimes


class Machine(msgspec.Struct, frozen=True):
    """Where it was measured."""

    processor: str
    architecture: str
    cpus: int
    python: str
    onnxruntime: str


class ThreadMeasurements(msgspec.Struct, frozen=True):
    """What fresh processes with so many intra-op threads measured: medians in seconds, the largest in bytes."""

    threads: int
    processes: int
    imports: float
    verify: float
    load: float
    first_run: float
    imported_bytes: int
    loaded_bytes: int
    peak_bytes: int
    latencies: tuple[RunTimes, ...]

    def latency(self, rows: int) -> float | None:
        """Median seconds of a run of so many rows, if it was timed."""
        return next((latency.median for latency in self.latencies if latency.rows == rows), None)


class Measured(msgspec.Struct, frozen=True):
    """What was measured here. `layers` are bytes of what `make build` left here, None if that is not here."""

    date: dt.date
    machine: Machine
    artifact_bytes: int
    artifacts: int
    fetch: float
    """Seconds from the store to this machine's disk."""
    threads: tuple[ThreadMeasurements, ...]
    layers: dict[str, int] | None
    golden: bool
    remarks: tuple[str, ...] = ()

    @property
    def peak_bytes(self) -> int:
        """The most memory that any of the processes took."""
        return max(at.peak_bytes for at in self.threads)


class Packaging(msgspec.Struct, frozen=True):
    """How the function gets to Lambda; bytes of it with its layers. `source` says where they come from."""

    kind: Literal["zip", "image", "none"]
    unzipped: int
    unzipped_limit: int
    zipped: int
    upload_limit: int
    image_limit: int
    source: str


class Size(msgspec.Struct, frozen=True):
    """What a memory size in MB gives: estimated seconds, and `currency` per million predictions.

    Without enough memory there is nothing to estimate, nor is there where runs were not timed.
    """

    memory: int
    enough: bool
    vcpus: float
    threads: int
    warm: float | None = None
    cold: float | None = None
    per_million: float | None = None
    """One prediction per request."""
    per_million_in_batches: float | None = None
    """BATCH rows per request."""


class Arithmetic(msgspec.Struct, frozen=True):
    """What follows from the measurements, the limits and the prices."""

    architecture: Architecture
    packaging: Packaging
    tmp_mb: int
    needed_mb: int
    recommended_mb: int | None
    sizes: tuple[Size, ...]
    prices: PriceTag

    @property
    def recommended(self) -> Size | None:
        """The figures of the recommended memory size."""
        return next((size for size in self.sizes if size.memory == self.recommended_mb), None)


class Report(msgspec.Struct, frozen=True):
    """Whether a version will run on Lambda, and if not why; how fast and for how much."""

    model: str
    version: int
    fits: bool
    obstacles: tuple[str, ...]
    warnings: tuple[str, ...]
    measured: Measured
    arithmetic: Arithmetic
    assumptions: tuple[str, ...]


def summary(report: Report) -> str:
    """The report in one line."""
    if not report.fits:
        return "does not fit: " + "; ".join(report.obstacles)
    peak = report.measured.peak_bytes / MIB
    parts = [f"fits: {report.arithmetic.packaging.kind}, {report.arithmetic.recommended_mb} MB (peak {peak:.0f} MB)"]
    size = report.arithmetic.recommended
    if size is not None and size.warm is not None and size.cold is not None:
        parts.append(f"estimated warm {seconds(size.warm)}, cold {seconds(size.cold)}")
    if size is not None and size.per_million is not None:
        tag = report.arithmetic.prices
        parts.append(f"{money(size.per_million)} {tag.currency} per million ({tag})")
    return "; ".join(parts)


def seconds(value: float) -> str:
    """Seconds as people read them: `3.2 ms`, `1.4 s`."""
    if value < 1:
        return f"{value * 1e3:.3g} ms"
    return f"{value:.1f} s"


def money(value: float) -> str:
    """An amount to the cent, below one to two digits, from ten on to three: estimates know no more."""
    if value < 1:
        return f"{value:.2g}"
    return f"{value:.2f}" if value < 10 else f"{float(f'{value:.3g}'):.10g}"  # noqa: PLR2004 - as the docstring says
