"""Arithmetic on what was measured: packages, memory, and times by memory size. No clock, no file, no network."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Literal

from onnxlet.settings import MB_PER_VCPU, MIB
from onnxlet.toolchain.fit.limits import IMAGE, LEAST_TMP, SENSIBLE_MEMORY, UNZIPPED, UPLOAD, vcpus
from onnxlet.toolchain.fit.package import Weight
from onnxlet.toolchain.fit.report import Packaging, ThreadMeasurements

BATCH = 32
LADDER = (256, 512, 1024, MB_PER_VCPU, 2 * MB_PER_VCPU)
"""MB to estimate for, unless asked for others."""

HEADROOM = 1.25
"""Of the measured peak, for larger requests than the golden cases."""
RUNTIME_MB = 100
"""Lambda's own process, the request and the answer."""
VERSIONS_KEPT = 2
"""Versions on disk at once: an alias's move fetches the next one while the one before lies there."""
TMP_HEADROOM = 1.2
TMP_STEP = 256

OVERHEAD = 0.001
"""Seconds at one processor that each request takes besides the model's run: Lambda's runtime, JSON in and out."""
INIT_ZIP = 0.085
"""Seconds of Lambda's own start of Python 3.13, without imports."""
INIT_IMAGE = 0.160
FIRST_BYTE = 0.03
"""Seconds until S3 begins to answer."""
BYTES_PER_SECOND = 60e6
"""From S3 into a function."""
DOCUMENTS = 2
"""Read from the store before the artifacts: the alias and the manifest."""


def packaging(weight: Weight, source: str) -> Packaging:
    """How a package of this weight gets to Lambda: as a zip with layers, as an image, or not at all."""
    kind: Literal["zip", "image", "none"]
    kind = "zip" if weight.unzipped <= UNZIPPED else "image" if weight.unzipped <= IMAGE else "none"
    return Packaging(kind, weight.unzipped, UNZIPPED, weight.zipped, UPLOAD, IMAGE, source)


def tmp_mb(artifact_bytes: int) -> int:
    """MB of /tmp that the artifacts want, two versions of them."""
    wanted = artifact_bytes * VERSIONS_KEPT * TMP_HEADROOM / MIB
    return max(LEAST_TMP, ceil(wanted / TMP_STEP) * TMP_STEP)


def needed_mb(peak_bytes: int) -> int:
    """MB that a function wants whose process takes `peak_bytes` here."""
    return ceil(peak_bytes * HEADROOM / MIB) + RUNTIME_MB


def recommended_mb(needed: int) -> int | None:
    """The least sensible memory size that holds so much; None if none does."""
    return next((size for size in SENSIBLE_MEMORY if size >= needed), None)


def threads_of(memory: int) -> int:
    """Intra-op threads that the predict function runs with: one per whole processor."""
    return max(1, memory // MB_PER_VCPU)


def measured_for(memory: int, measured: Sequence[ThreadMeasurements]) -> ThreadMeasurements:
    """The measurement that stands for a memory size: that with most threads among those not over its own."""
    fitting = [at for at in measured if at.threads <= threads_of(memory)]
    return max(fitting, key=lambda at: at.threads) if fitting else measured[0]


def slowdown(memory: int) -> float:
    """How much longer a processor's second takes: below one processor, its share; above, no different."""
    return max(1.0, 1 / vcpus(memory))


def warm_seconds(memory: int, measured: Sequence[ThreadMeasurements], rows: int = 1) -> float | None:
    """Seconds of a request of so many rows to a warm function; None if such runs were not timed."""
    run = measured_for(memory, measured).latency(rows)
    return None if run is None else (run + OVERHEAD) * slowdown(memory)


def fetch_seconds(artifact_bytes: int, artifacts: int) -> float:
    """Seconds that a version takes from S3 to a function's disk."""
    return (DOCUMENTS + artifacts) * FIRST_BYTE + artifact_bytes / BYTES_PER_SECOND


def cold_seconds(
    memory: int, measured: Sequence[ThreadMeasurements], *, artifact_bytes: int, artifacts: int, image: bool = False
) -> float | None:
    """Seconds of the first request to a new function instance; None if runs were not timed.

    Lambda gives its init phase a processor whatever the memory size, so imports are not slowed down; loading is, since
    it is done in the first request.
    """
    at = measured_for(memory, measured)
    warm = warm_seconds(memory, measured)
    if warm is None:
        return None
    init = (INIT_IMAGE if image else INIT_ZIP) + at.imports
    return (
        init + fetch_seconds(artifact_bytes, artifacts) + (at.verify + at.load + at.first_run) * slowdown(memory) + warm
    )


def assumptions() -> tuple[str, ...]:
    """What the figures of this module rest on besides what was measured."""
    return (
        "a Lambda processor is as fast as one here, and code runs there as fast as under the Python here",
        f"a function has one processor per {MB_PER_VCPU} MB; below, all takes its share longer, except imports",
        "above one processor, runs are as measured at 1 or 2 threads, and more threads gain nothing further",
        f"memory: the measured peak x {HEADROOM:g}, and {RUNTIME_MB} MB for Lambda's runtime and the request",
        f"each request takes {OVERHEAD * 1e3:g} ms of a processor besides the model's run",
        f"Lambda itself starts in {INIT_ZIP * 1e3:g} ms from a zip and {INIT_IMAGE * 1e3:g} ms from an image",
        f"S3 begins to answer after {FIRST_BYTE * 1e3:g} ms and gives {BYTES_PER_SECOND / 1e6:g} MB/s",
        f"{VERSIONS_KEPT} versions x {TMP_HEADROOM:g} lie in ephemeral storage, of which {LEAST_TMP} MB cost nothing",
    )
