"""The trial: load a graph, run it, optimize it and compare, in a process of its own.

`python -m onnxlet.toolchain.prepare.trial FOLDER`: FOLDER holds `request.json`; the trial leaves `report.json` there,
the optimized graph and `golden.json`. A model that hangs or crashes leaves no report, and so the caller knows.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from time import perf_counter

import msgspec

from onnxlet.errors import ExecutionError, GoldenMismatchError, InvalidInputError, OnnxletError, RejectedModelError
from onnxlet.serving.engine import OnnxEngine, load_engine
from onnxlet.serving.golden import (
    MOST_CASES,
    MOST_SECONDS,
    GoldenCase,
    check,
    decode_cases,
    encode_cases,
    with_sent,
)
from onnxlet.steps import Classification, Column, Steps, Tabular
from onnxlet.toolchain.prepare.parity import agrees, repeatable_cases, seeded_twins_agree
from onnxlet.toolchain.workbench.offline import DATA_SUFFIX, save_frozen, save_optimized
from onnxlet.toolchain.workbench.random_inputs import random_inputs
from onnxlet.toolchain.workbench.shapes import declare_shape, observed_outputs
from onnxlet.toolchain.workbench.stable_cases import choose_stable_cases, measure_rounding
from onnxlet.values.canonical import canonical
from onnxlet.values.keys import GOLDEN
from onnxlet.values.manifest import Tolerance
from onnxlet.values.signature import Signature, TensorSpec
from onnxlet.values.tensors import Tensors

REQUEST = "request.json"
REPORT = "report.json"
FROZEN = "frozen.onnx"
MOST_GOLDEN_BYTES = 2**20
"""The most bytes of all golden cases; the first one may be larger by itself."""


class TrialRequest(msgspec.Struct, frozen=True):
    """What to try: the graph, where to write the optimized one, the deadline of a run and the memory limit."""

    model: str
    optimized: str
    weights_apart: bool
    optimize: bool
    """Whether to optimize; not where weights are stored as float16, which would become float32 in the file."""
    freeze: bool
    """Whether the file holds values of inputs, which become constants."""
    golden: str | None
    columns: tuple[Column, ...] | None
    targets: tuple[Classification, ...]
    """What the steps say of rows and of answers. The steps stay: this process may not know their kinds."""
    tolerance: Tolerance
    run_deadline: float
    memory: int


class TrialReport(msgspec.Struct, frozen=True):
    """The result: the signatures before and after, and the number of golden cases; or the error."""

    source: Signature | None = None
    graph: Signature | None = None
    runs: bool = False
    """Whether any inputs are known that it runs on."""
    cases: int = 0
    rounding: float = 1.0
    """The share of the tolerance that rounding errors use up here."""
    optimized: bool = False
    """Whether the graph was optimized: not if nothing shows that its answers stay."""
    error: str | None = None
    detail: str = ""
    """The error's, or why there are no golden cases."""


def try_out(folder: Path, request: TrialRequest) -> TrialReport:
    """Load, run, optimize, run again, compare.

    Raises RejectedModelError for what fails or changes, DeadlineExceededError for what runs too long.
    """
    plain, plain_two_threads = _load_on_one_and_two_threads(Path(request.model), request)
    known, detail = _known_cases(plain, request)
    inputs = [case.inputs for case in known]
    stable = choose_stable_cases((plain, plain_two_threads), inputs, request.tolerance, _steps(request))
    if inputs and not stable:
        detail = "its answers change from run to run, with the number of threads, or by rounding errors"
    declared = plain.signature
    outputs = observed_outputs(plain, inputs[0]) if inputs else declared.outputs
    optimized = folder / request.optimized
    optimize = _save(folder, request, plain, inputs, stable)
    plain.close()
    plain_two_threads.close()
    if outputs != declared.outputs:
        _declare_outputs(optimized, outputs)
    engine, two_threads = _load_on_one_and_two_threads(optimized, request)
    try:
        for each, case in product((engine, two_threads), stable):
            check(each, (case,), request.tolerance)
    except GoldenMismatchError as error:
        raise RejectedModelError(f"the graph answers otherwise once it is optimized: {error.detail}") from error
    cases = with_sent(_keep_quick_cases(engine, stable), known)
    if cases:
        (folder / GOLDEN).write_bytes(encode_cases(cases))
    return TrialReport(
        source=declared,
        graph=engine.signature,
        runs=bool(inputs),
        cases=len(cases),
        rounding=measure_rounding((engine, two_threads), cases, request.tolerance),
        optimized=optimize,
        detail=detail,
    )


def _save(
    folder: Path,
    request: TrialRequest,
    plain: OnnxEngine,
    inputs: Sequence[Tensors],
    stable: Sequence[GoldenCase],
) -> bool:
    """Write the graph into the folder, optimized if its answers stay; whether that is so."""
    source, optimized = Path(request.model), folder / request.optimized
    apart = request.weights_apart
    if request.freeze:
        source = folder / FROZEN
        save_frozen(Path(request.model), source, weights_apart=apart)
    if request.optimize and stable:  # the golden cases show it
        save_optimized(source, optimized, weights_apart=apart, optimize=True)
        return True
    if request.optimize and inputs:
        repeatable = repeatable_cases(plain, inputs)
        if repeatable:
            save_optimized(source, optimized, weights_apart=apart, optimize=True)
            engine = load_engine(optimized, threads=1, optimized=True, run_deadline=request.run_deadline)
            if agrees(engine, repeatable, request.tolerance):
                return True
            for written in (optimized, optimized.with_name(optimized.name + DATA_SUFFIX)):
                written.unlink(missing_ok=True)
        elif seeded_twins_agree(
            source, folder, inputs, request.tolerance, weights_apart=apart, deadline=request.run_deadline
        ):
            save_optimized(source, optimized, weights_apart=apart, optimize=True)
            return True
    save_optimized(source, optimized, weights_apart=apart, optimize=False)
    return False


def _steps(request: TrialRequest) -> Steps:
    """Steps that say the same of rows and of answers."""
    return Steps((*([] if request.columns is None else [Tabular(request.columns)]), *request.targets))


def _known_cases(plain: OnnxEngine, request: TrialRequest) -> tuple[Sequence[GoldenCase], str]:
    """The golden cases, after the graph gave their answers; or random inputs; or none, and why."""
    if request.golden:
        cases = decode_cases(Path(request.golden).read_bytes())
        try:
            check(plain, cases, request.tolerance)
        except GoldenMismatchError as error:
            raise RejectedModelError(f"the graph does not give its golden answers: {error.detail}") from error
        return cases, ""
    try:
        return [GoldenCase(random_inputs(plain, seed=seed), {}) for seed in range(MOST_CASES)], ""
    except RejectedModelError as error:
        if "alloc" in error.detail:
            raise RejectedModelError(f"the model wants more memory than it may have: {error.detail}") from error
        return [], error.detail


def main(folder: Path) -> None:
    """Try out what `request.json` asks for, and leave `report.json`."""
    request = msgspec.json.decode((folder / REQUEST).read_bytes(), type=TrialRequest)
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    memory = request.memory if most == resource.RLIM_INFINITY else min(request.memory, most)
    resource.setrlimit(resource.RLIMIT_AS, (memory, most))
    try:
        report = try_out(folder, request)
    except (ExecutionError, InvalidInputError) as error:
        report = TrialReport(
            error=RejectedModelError.__name__, detail=f"the model fails when it is tried: {error.detail}"
        )
    except MemoryError:
        report = TrialReport(error=RejectedModelError.__name__, detail="the model wants more memory than it may have")
    except OnnxletError as error:
        report = TrialReport(error=type(error).__name__, detail=error.detail)
    (folder / REPORT).write_bytes(canonical(report))


def _load_on_one_and_two_threads(path: Path, request: TrialRequest) -> tuple[OnnxEngine, OnnxEngine]:
    """The graph on one thread, and on two."""
    one, two = (
        load_engine(path, threads=threads, optimized=True, run_deadline=request.run_deadline) for threads in (1, 2)
    )
    return one, two


def _declare_outputs(path: Path, outputs: Sequence[TensorSpec]) -> None:
    """Write the outputs' shapes into the file at `path`; weights that lie apart stay where they are."""
    import onnx  # only where a declared shape is wrong

    model = onnx.load(path, load_external_data=False)
    shapes = {spec.name: spec.shape for spec in outputs}
    for value in model.graph.output:
        declare_shape(value, shapes[value.name])
    path.write_bytes(model.SerializeToString())


def _keep_quick_cases(engine: OnnxEngine, cases: tuple[GoldenCase, ...]) -> tuple[GoldenCase, ...]:
    """The first cases, as many as a cold start can check in time and a version can hold, with this engine's answers."""
    kept: list[GoldenCase] = []
    seconds = size = 0.0
    for case in cases:
        started = perf_counter()
        outputs = engine.run(case.inputs)
        seconds += perf_counter() - started
        size += sum(tensor.nbytes for tensor in (*case.inputs.values(), *case.outputs.values()))
        if kept and (seconds > MOST_SECONDS or size > MOST_GOLDEN_BYTES):
            break
        kept.append(GoldenCase(case.inputs, outputs))
    return tuple(kept)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
