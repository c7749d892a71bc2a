"""Measuring a version here: fetch it, then have fresh processes load and run it, at 1 and 2 threads by turns."""

from __future__ import annotations

import datetime as dt
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version as installed
from itertools import product
from pathlib import Path
from statistics import median
from time import perf_counter

import msgspec

from onnxlet import errors
from onnxlet.errors import DeadlineExceededError, OnnxletError, RejectedModelError
from onnxlet.serving.artifact_cache import ArtifactCache
from onnxlet.store import Store
from onnxlet.toolchain.fit.busyness import Busyness
from onnxlet.toolchain.fit.probe_messages import REQUEST, RESULT, ProbeMeasurements, ProbeRequest, ProbeResult
from onnxlet.toolchain.fit.report import Machine, Measured, ThreadMeasurements
from onnxlet.toolchain.fit.sizing import BATCH
from onnxlet.toolchain.workbench.progress import Progress
from onnxlet.values.canonical import canonical
from onnxlet.values.manifest import Manifest

THREADS = (1, 2)
ROUNDS = 3
"""Processes per number of threads; the first also times runs."""
FETCH_SECONDS = 3600.0
PROBE_SECONDS = 1200.0


def measure(
    store: Store,
    manifest: Manifest,
    digest: str,
    *,
    layers: dict[str, int] | None,
    rounds: int = ROUNDS,
    on_progress: Progress,
) -> Measured:
    """Fetch and probe a version.

    Raises what the store and the cache raise, and what ended a probe: RejectedModelError for a crash, too,
    DeadlineExceededError if it was not done in time.
    """
    ref = f"{manifest.model}:{manifest.version}"
    with tempfile.TemporaryDirectory(prefix="onnxlet-") as folder:
        on_progress(f"fetching {ref}")
        started = perf_counter()
        cache = Path(folder) / "cache"
        ArtifactCache(store, cache).fetch(manifest, digest, deadline=FETCH_SECONDS)
        fetch = perf_counter() - started
        busyness = Busyness(wanted=max(THREADS))
        measurements: dict[int, list[ProbeMeasurements]] = {threads: [] for threads in THREADS}
        for number, threads in product(range(rounds), THREADS):
            on_progress(f"loading and running {ref} in a fresh process at {threads} thread(s)")
            request = ProbeRequest(manifest, digest, str(cache), threads, (1, BATCH) if number == 0 else ())
            measurements[threads].append(_probe(Path(folder), request))
        busy = busyness.describe()
    everything = [one for ones in measurements.values() for one in ones]
    return Measured(
        date=dt.datetime.now(dt.UTC).date(),
        machine=machine(),
        artifact_bytes=manifest.size,
        artifacts=len(manifest.artifacts),
        fetch=fetch,
        threads=tuple(_summarize(threads, ones) for threads, ones in measurements.items()),
        layers=layers,
        golden=all(one.golden for one in everything),
        remarks=(*dict.fromkeys(remark for one in everything for remark in one.remarks), *([busy] if busy else [])),
    )


def machine() -> Machine:
    """This machine, as figures that were measured on it should name it."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(_processor(), platform.machine(), cpus, platform.python_version(), installed("onnxruntime"))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _probe(folder: Path, request: ProbeRequest) -> ProbeMeasurements:
    result = folder / RESULT
    result.unlink(missing_ok=True)
    (folder / REQUEST).write_bytes(canonical(request))
    command = [sys.executable, "-P", "-m", "onnxlet.toolchain.fit.probe", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PROBE_SECONDS, check=False)  # noqa: S603 - our own
    except subprocess.TimeoutExpired as error:
        raise DeadlineExceededError(f"the model was not done after {PROBE_SECONDS:g} s and was stopped") from error
    if done.returncode != 0 or not result.exists():
        raise RejectedModelError(f"the model {_how_it_ended(done)} when it was tried in a process of its own")
    outcome = msgspec.json.decode(result.read_bytes(), type=ProbeResult)
    if outcome.measurements is None:
        raise _error_of(outcome)
    return outcome.measurements


def _error_of(outcome: ProbeResult) -> OnnxletError:
    if outcome.failure is None:
        return RejectedModelError("the process that tried the model found nothing out")
    kind = getattr(errors, outcome.failure.error, RejectedModelError)
    return kind(outcome.failure.detail)


def _how_it_ended(done: subprocess.CompletedProcess[bytes]) -> str:
    if done.returncode == -signal.SIGKILL:
        return "was killed, probably because this machine has too little memory for it,"
    if done.returncode < 0:
        return f"crashed with {signal.Signals(-done.returncode).name}"
    last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
    return f"ended with exit code {done.returncode} ({''.join(last)[:300]})"


def _summarize(threads: int, measurements: Sequence[ProbeMeasurements]) -> ThreadMeasurements:
    return ThreadMeasurements(
        threads=threads,
        processes=len(measurements),
        imports=median(one.imports for one in measurements),
        verify=median(one.verify for one in measurements),
        load=median(one.load for one in measurements),
        first_run=median(one.first_run for one in measurements),
        imported_bytes=max(one.imported_bytes for one in measurements),
        loaded_bytes=max(one.loaded_bytes for one in measurements),
        peak_bytes=max(one.peak_bytes for one in measurements),
        latencies=measurements[0].latencies,
    )
