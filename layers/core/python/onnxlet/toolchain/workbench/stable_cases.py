"""Stable cases: inputs whose answers can be held against another machine's.

Another CPU rounds otherwise, adds up in another order and runs with other threads. A case whose answer depends on that
would fail there though nothing is wrong, so such cases are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, cycle, islice, product
from time import perf_counter
from typing import cast

import numpy as np

from onnxlet.errors import ExecutionError
from onnxlet.serving.engine import Engine
from onnxlet.serving.golden import MOST_CASES, GoldenCase
from onnxlet.steps import Steps
from onnxlet.toolchain.workbench.comparison import distances
from onnxlet.values.manifest import Tolerance
from onnxlet.values.tensors import VARIABLE, Tensor, Tensors

ROUNDING = 1e-6
"""Relative change of a float that another CPU's arithmetic may make."""
PERTURBATIONS = 8
"""How often a case is run again with other rounding errors."""
SLOW = 0.5
"""Seconds of a run from which on it is perturbed only once, and not run within batches that would take as long."""
BATCHES = (8, 256)
"""Rows of the batches that a case is run in: trees are added up in other orders for few rows and for many."""
CLEAR = 2
"""By how many times the tolerance the most probable class must be ahead of the next: each may be off by one."""


def find_clear_rows(outputs: Tensors, steps: Steps, tolerance: Tolerance) -> Tensor:
    """Which rows' labels another CPU would give as well: those of all targets hang on more than the tolerance.

    `outputs` are a classifier's graph's own. Where there are no probabilities nothing is known, and all rows pass.
    """
    clear = [
        _clear_labels(outputs[target.label], outputs[target.probabilities] if target.probabilities else None, tolerance)
        for target in steps.targets
    ]
    return cast("Tensor", np.logical_and.reduce(clear))


def _clear_labels(label: Tensor, scores: Tensor | None, tolerance: Tolerance) -> Tensor:
    if scores is None or scores.shape[1] < 2:  # noqa: PLR2004 - a single class has no next one
        return np.ones(len(label), dtype=bool)
    ranked = np.sort(scores.astype(np.float64), axis=1)
    return cast("Tensor", ranked[:, -1] - ranked[:, -2] > CLEAR * _tolerated_distance(ranked[:, -1], tolerance))


def choose_stable_cases(
    engines: Sequence[Engine], candidates: Iterable[Tensors], tolerance: Tolerance, steps: Steps
) -> tuple[GoldenCase, ...]:
    """The first four candidates whose answers can be held against another machine's.

    `engines` have one graph open with different numbers of threads; the answers are the first one's. Left out are those
    whose label hangs on little, and those whose answer changes from run to run, or by more than half the tolerance with
    the number of threads, within a batch, or when the inputs change by a rounding error: they sit on an edge, and would
    fail on a CPU that rounds otherwise. Empty if all do.
    """
    random = np.random.default_rng(0)
    cases: list[GoldenCase] = []
    for inputs in candidates:
        started = perf_counter()
        outputs = engines[0].run(inputs)
        seconds = perf_counter() - started
        others = chain(
            _repeat_runs(engines, inputs, random, perturbations=PERTURBATIONS if seconds < SLOW else 1),
            _run_in_batches(engines, inputs, steps, seconds),
        )
        if find_clear_rows(outputs, steps, tolerance).all() and _is_stable(outputs, others, tolerance):
            cases.append(GoldenCase(inputs, outputs))
        if len(cases) == MOST_CASES:
            break
    return tuple(cases)


def measure_rounding(engines: Sequence[Engine], cases: Sequence[GoldenCase], tolerance: Tolerance) -> float:
    """The largest share of the tolerance that answers use up, by another number of threads or other rounding errors."""
    random = np.random.default_rng(1)
    share = 0.0
    for case in cases:
        for got in _repeat_runs(engines, case.inputs, random, perturbations=PERTURBATIONS):
            for name, output in case.outputs.items():
                if output.dtype.kind == "f":
                    shares = distances(output, got[name]) / _tolerated_distance(output, tolerance)
                    share = max(share, float(shares.max(initial=0.0)))
    return share


def _repeat_runs(
    engines: Sequence[Engine], inputs: Tensors, random: np.random.Generator, *, perturbations: int
) -> Iterator[Tensors]:
    """Each engine's answers to the inputs, and by turns to such with other rounding errors."""
    for engine in engines:
        yield engine.run(inputs)
    for engine in islice(cycle(engines), perturbations):
        yield engine.run(_perturb(inputs, random))


def _run_in_batches(engines: Sequence[Engine], inputs: Tensors, steps: Steps, seconds: float) -> Iterator[Tensors]:
    """Each engine's answers to the inputs among copies, for int8 may take its scale from the whole batch.

    Only a graph of columns, or of classes, is known to take rows that have nothing to do with each other; `seconds` is
    what one takes.
    """
    signature = engines[0].signature
    free = all(spec.shape[:1] == (VARIABLE,) for spec in (*signature.inputs, *signature.outputs))
    if not free or not (steps.columns is not None or steps.targets):
        return
    for engine, count in product(engines, BATCHES):
        if seconds * count < SLOW:
            batch = engine.run({name: np.repeat(tensor, count, axis=0) for name, tensor in inputs.items()})
            for copy in (0, count - 1):
                yield {name: tensor[copy::count] for name, tensor in batch.items()}


def _perturb(inputs: Tensors, random: np.random.Generator) -> Tensors:
    # numpy makes numbers of 0-d arrays that it computes with, and the runtime takes none
    return {
        name: np.asarray(tensor * (1 + ROUNDING * random.choice((-1.0, 1.0), tensor.shape)), dtype=tensor.dtype)
        if tensor.dtype.kind == "f"
        else tensor
        for name, tensor in inputs.items()
    }


def _is_stable(outputs: Tensors, others: Iterator[Tensors], tolerance: Tolerance) -> bool:
    try:
        return all(_agree(outputs, each, tolerance) for each in others)
    except ExecutionError:
        # an encoder of numbers may refuse any but those it knows
        return False


def _agree(outputs: Tensors, others: Tensors, tolerance: Tolerance) -> bool:
    for name, output in outputs.items():
        other = others[name]
        if output.shape != other.shape:
            return False
        if output.dtype.kind != "f":
            if not np.array_equal(output, other):
                return False
            continue
        if (distances(output, other) > _tolerated_distance(output, tolerance) / 2).any():
            return False
    return True


def _tolerated_distance(output: Tensor, tolerance: Tolerance) -> Tensor:
    """How far each float may be from another machine's."""
    size = np.abs(np.nan_to_num(output.astype(np.float64)))
    return cast("Tensor", tolerance.absolute + tolerance.relative * size)
