"""The work of a probe: fetch, load, check and run one version, with times and memory measured."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

import msgspec
import numpy as np

from onnxlet.errors import DeadlineExceededError, ExecutionError, InvalidInputError, RejectedModelError
from onnxlet.serving.artifact_cache import ArtifactCache
from onnxlet.serving.engine import OnnxEngine, load_engine
from onnxlet.serving.golden import GoldenCase, check, decode_cases, tolerance_here
from onnxlet.serving.model import Model
from onnxlet.store import open_store
from onnxlet.toolchain.fit.probe_messages import REQUEST, ProbeMeasurements, ProbeRequest, ProbeResult, RunTimes
from onnxlet.values.canonical import canonical
from onnxlet.values.keys import GRAPH
from onnxlet.values.manifest import Manifest
from onnxlet.values.tensors import VARIABLE, Tensors

RUN_SECONDS = 30.0
"""A run may take so long: longer than any caller of an HTTP API waits."""
LOAD_SECONDS = 600.0
MOST_RUNS = 200
FEWEST_RUNS = 5
TIMING_SECONDS = 0.5
"""After so many seconds and FEWEST_RUNS runs, no further run is timed."""
MOST_TIMING_SECONDS = 20.0
"""After so many, none at all."""


def observe(folder: Path, imports: float) -> ProbeMeasurements:
    """Load and run what `request.json` asks for. Raises what the cache, the engine and the golden check raise."""
    imported = peak_bytes()
    request = msgspec.json.decode((folder / REQUEST).read_bytes(), type=ProbeRequest)
    manifest = request.manifest
    started = perf_counter()
    # every file lies there already: the store is never asked
    nowhere = open_store(f"memory://{uuid.uuid4().hex}")
    place = Path(ArtifactCache(nowhere, request.cache).fetch(manifest, request.digest, deadline=LOAD_SECONDS))
    verified = perf_counter()
    engine = _load(place, manifest, request.threads)
    loaded = perf_counter()
    loaded_bytes = peak_bytes()
    cases = _golden_cases(place, manifest)
    remarks: list[str] = []
    examples = _examples(engine, cases, remarks)
    first_run = _first_run(engine, manifest, cases, examples)
    latencies = tuple(_time_batches(engine, examples, request.batches, remarks)) if examples else ()
    return ProbeMeasurements(
        imports=imports,
        verify=verified - started,
        load=loaded - verified,
        first_run=first_run,
        imported_bytes=imported,
        loaded_bytes=loaded_bytes,
        peak_bytes=peak_bytes(),
        golden=bool(cases),
        latencies=latencies,
        remarks=tuple(remarks),
    )


def write_result(path: Path, result: ProbeResult) -> None:
    """Write the result for the process that waits for it."""
    path.write_bytes(canonical(result))


def peak_bytes() -> int:
    """The largest resident set of this program so far; where Linux does not tell, that of getrusage."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        # on Linux, getrusage would count what forked this program as well
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


def _load(place: Path, manifest: Manifest, threads: int) -> OnnxEngine:
    engine = load_engine(
        place / GRAPH,
        threads=threads,
        optimized=manifest.offline_optimized,
        run_deadline=RUN_SECONDS,
        load_deadline=LOAD_SECONDS,
    )
    Model(manifest, engine, lambda path: (place / path).read_bytes())
    return engine


def _first_run(engine: OnnxEngine, manifest: Manifest, cases: tuple[GoldenCase, ...], examples: list[Tensors]) -> float:
    """Seconds that the golden cases take, or a run where there are none."""
    started = perf_counter()
    if manifest.golden is not None and cases:
        check(engine, cases, tolerance_here(manifest.golden))
    elif examples:
        engine.run(examples[0])
    return perf_counter() - started


def _golden_cases(place: Path, manifest: Manifest) -> tuple[GoldenCase, ...]:
    return () if manifest.golden is None else decode_cases((place / manifest.golden.path).read_bytes())


def _examples(engine: OnnxEngine, cases: tuple[GoldenCase, ...], remarks: list[str]) -> list[Tensors]:
    """Inputs to time: the golden ones, else random ones, else none, and why."""
    if cases:
        return [case.inputs for case in cases]
    from onnxlet.toolchain.workbench.random_inputs import random_inputs

    try:
        inputs = random_inputs(engine, seed=0)
    except RejectedModelError as error:
        remarks.append(f"no run could be timed: there are no golden cases, and {error.detail}")
        return []
    remarks.append("runs are of random inputs, since the version has no golden cases")
    return [inputs]


def _time_batches(
    engine: OnnxEngine, examples: list[Tensors], batches: tuple[int, ...], remarks: list[str]
) -> Iterator[RunTimes]:
    for rows in batches:
        try:
            yield _time_runs(engine, rows, [repeat_rows(engine, inputs, rows) for inputs in examples])
        except (ExecutionError, InvalidInputError, DeadlineExceededError) as error:
            remarks.append(f"batches of {rows} rows could not be timed: {error.detail}")


def _time_runs(engine: OnnxEngine, rows: int, examples: list[Tensors]) -> RunTimes:
    times: list[float] = []
    engine.run(examples[0])
    begun = perf_counter()
    for inputs in islice(cycle(examples), MOST_RUNS):
        started = perf_counter()
        engine.run(inputs)
        now = perf_counter()
        times.append(now - started)
        spent = now - begun
        if (spent > TIMING_SECONDS and len(times) >= FEWEST_RUNS) or spent > MOST_TIMING_SECONDS:
            break
    p95 = quantiles(times, n=20, method="inclusive")[-1] if len(times) > 1 else times[0]
    return RunTimes(rows, len(times), median(times), p95)


def repeat_rows(engine: OnnxEngine, inputs: Tensors, rows: int) -> Tensors:
    """The same inputs with so many rows: the first ones, again and again.

    Raises InvalidInputError where the graph fixes how many rows it takes; a single one then means one run.
    """
    free = {
        spec.name
        for spec in engine.signature.inputs
        if inputs[spec.name].ndim and (not spec.shape or spec.shape[0] == VARIABLE)
    }
    if not free and rows > 1:
        raise InvalidInputError("the graph fixes how many rows it takes")
    return {
        name: np.ascontiguousarray(tensor[np.arange(rows) % len(tensor)]) if name in free else tensor
        for name, tensor in inputs.items()
    }
