"""The messages between `fit` and a probe, which is another process: a request and a result, as JSON."""

from __future__ import annotations

import msgspec

from onnxlet.values.manifest import Manifest

REQUEST = "request.json"
RESULT = "findings.json"


class ProbeRequest(msgspec.Struct, frozen=True):
    """The version to load, from files that lie in `cache` already, and whether to time its runs as well."""

    manifest: Manifest
    digest: str
    cache: str
    threads: int
    batches: tuple[int, ...]
    """Rows per run to time; none: only load."""


class RunTimes(msgspec.Struct, frozen=True):
    """What `runs` runs of `rows` rows took, in seconds."""

    rows: int
    runs: int
    median: float
    p95: float


class ProbeMeasurements(msgspec.Struct, frozen=True):
    """Seconds of each step of a cold start, the largest resident set in bytes after each, and what runs took."""

    imports: float
    verify: float
    """Hashing the artifacts; on Lambda part of fetching."""
    load: float
    first_run: float
    """The golden cases, or a first run where there are none."""
    imported_bytes: int
    loaded_bytes: int
    peak_bytes: int
    """After all runs."""
    golden: bool
    latencies: tuple[RunTimes, ...] = ()
    remarks: tuple[str, ...] = ()


class ProbeFailure(msgspec.Struct, frozen=True):
    """The error that ended a probe: its class and what it says."""

    error: str
    detail: str


class ProbeResult(msgspec.Struct, frozen=True):
    """One of the two."""

    measurements: ProbeMeasurements | None = None
    failure: ProbeFailure | None = None
