"""Golden rows: inputs made up from statistics, so that no row of anybody's data travels with a version.

Each feature is drawn on its own from binned statistics: quantile bins that hold at least FEWEST rows, the outermost
per cent left out, a fresh uniform draw within a bin; or, of columns with few values, values that FEWEST rows share. A
row that equals one of the data is thrown away. A graph of which nothing is known gets random inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, cycle, islice, product
from time import perf_counter
from typing import cast

import numpy as np

from onnxlet.errors import ExecutionError, InvalidInputError, RejectedModelError
from onnxlet.serving.engine import Engine
from onnxlet.serving.golden import MOST_CASES, GoldenCase
from onnxlet.toolchain.workbench.comparison import distances
from onnxlet.values.manifest import Steps, Tolerance
from onnxlet.values.signature import Signature, TensorSpec
from onnxlet.values.tensors import DATATYPES, VARIABLE, Tensor, Tensors

FEWEST = 5
"""A bin or a category stands for at least so many rows."""
MOST_BINS = 10
FEW_VALUES = 12
"""A column of so many distinct values or fewer is treated as categories."""
OFF = 0.3
"""How far from a whole number a feature is moved: away from it, and from the middle to the next."""
ROUNDING = 1e-6
"""Relative change of a float that another CPU's arithmetic may make."""
JOLTS = 8
"""How often a case is tried with other rounding errors."""
SLOW = 0.5
"""Seconds of a run from which on it is only tried with one, and not within batches that would take as long."""
BATCHES = (8, 256)
"""Rows of the batches that a case is tried in: trees are added up in other orders for few rows and for many."""
CLEAR = 2
"""By how many times the tolerance the most probable class must be ahead of the next: both may be so far off."""
INTEGERS = 10
"""Random integers are smaller: they may be positions in a short vocabulary."""
SIZES = (16, 1, 8, 32, 2, 64, 224)
"""What is tried for free dimensions other than rows."""


def synthetic_rows(columns: Tensors, count: int, *, seed: int) -> Tensors:
    """Up to `count` rows drawn from the columns' binned statistics, none of them equal to a row of theirs."""
    random = np.random.default_rng(seed)
    drawn = {name: _draw(column, count, random) for name, column in columns.items()}
    known = set(zip(*(column.tolist() for column in columns.values()), strict=True))
    fresh = [row not in known for row in zip(*(column.tolist() for column in drawn.values()), strict=True)]
    return {name: column[fresh] for name, column in drawn.items()}


def synthetic_tensors(tensors: Tensors, count: int, *, seed: int) -> Tensors:
    """`count` rows of tensors of any rank, each element drawn on its own from the statistics of all of its tensor's."""
    random = np.random.default_rng(seed)
    return {
        name: _draw(tensor.ravel(), count * tensor[0].size, random).reshape(count, *tensor.shape[1:])
        for name, tensor in tensors.items()
    }


def arbitrary_rows(columns: Tensors, count: int, *, seed: int) -> Tensors:
    """`count` rows of the columns' types that owe nothing to their values."""
    random = np.random.default_rng(seed)
    arbitrary: Tensors = {}
    for name, column in columns.items():
        if column.dtype.kind == "O":
            arbitrary[name] = np.array([f"text {value}" for value in random.integers(0, INTEGERS, count)], dtype=object)
        else:
            arbitrary[name] = (random.standard_normal(count) * INTEGERS).astype(column.dtype)
    return arbitrary


def between_whole_numbers(columns: Tensors) -> Tensors:
    """The rows with floats that are whole moved off: trees split at whole numbers, or halfway between two."""
    return {
        name: np.where(column == np.round(column), column + OFF, column).astype(column.dtype)
        if column.dtype.kind == "f"
        else column
        for name, column in columns.items()
    }


def _draw(column: Tensor, count: int, random: np.random.Generator) -> Tensor:
    if column.dtype.kind == "O":
        return _draw_value(column, count, random)
    finite = column[np.isfinite(column)] if column.dtype.kind == "f" else column
    if len(finite) == 0:
        return np.zeros(count, dtype=column.dtype)
    if len(np.unique(finite)) <= FEW_VALUES:
        return _draw_value(finite, count, random)
    bins = max(1, min(MOST_BINS, len(finite) // FEWEST))
    edges = np.quantile(finite.astype(np.float64), np.linspace(0.01, 0.99, bins + 1))
    chosen = random.integers(0, bins, count)
    drawn = random.uniform(edges[chosen], edges[chosen + 1])
    whole = bool((finite == np.floor(finite)).all())
    return (np.round(drawn) if whole else drawn).astype(column.dtype)


def _draw_value(column: Tensor, count: int, random: np.random.Generator) -> Tensor:
    """One of the values that enough rows share, as often as they do; of the most frequent one if none is."""
    values, counts = np.unique(column, return_counts=True)
    frequent = counts >= min(FEWEST, counts.max())
    return random.choice(values[frequent], count, p=counts[frequent] / counts[frequent].sum())


def telling_order(label: Tensor | None, scores: Tensor | None) -> list[int]:
    """Rows by what they would tell of a change: the nearest to the boundary, one of each class, then the next nearest.

    `scores` are a classifier's probabilities [N, classes] if it has any, or predictions, of which the middle and the
    extremes tell.
    """
    if label is None:
        if scores is None:
            return []
        by_value = np.argsort(scores.reshape(len(scores), -1)[:, 0], kind="stable")
        return list(dict.fromkeys([*by_value[[len(by_value) // 2, 0, -1]].tolist(), *by_value.tolist()]))
    nearest = list(range(len(label)))
    if scores is not None and scores.shape[1] > 1:
        ranked = np.sort(scores, axis=1)
        nearest = np.argsort(ranked[:, -1] - ranked[:, -2], kind="stable").tolist()
    one_of_each = np.unique(label, return_index=True)[1].tolist()
    return list(dict.fromkeys(nearest[:1] + one_of_each[: MOST_CASES - 1] + nearest))


def row_cases(inputs: Tensors, order: Sequence[int]) -> Iterator[Tensors]:
    """The rows of graph inputs one by one, in this order."""
    for index in order:
        yield {name: tensor[index : index + 1] for name, tensor in inputs.items()}


def clear_rows(outputs: Tensors, steps: Steps, tolerance: Tolerance) -> Tensor:
    """Which rows' labels another CPU would give as well: those of all targets hang on more than the tolerance.

    `outputs` are a classifier's graph's own. Where there are no probabilities nothing is known, and all rows pass.
    """
    clear = [
        _clear(outputs[target.label], outputs[target.probabilities] if target.probabilities else None, tolerance)
        for target in steps.targets
    ]
    return cast("Tensor", np.logical_and.reduce(clear))


def _clear(label: Tensor, scores: Tensor | None, tolerance: Tolerance) -> Tensor:
    if scores is None or scores.shape[1] < 2:  # noqa: PLR2004 - a single class has no next one
        return np.ones(len(label), dtype=bool)
    ranked = np.sort(scores.astype(np.float64), axis=1)
    return cast("Tensor", ranked[:, -1] - ranked[:, -2] > CLEAR * _allowed(ranked[:, -1], tolerance))


def golden_cases(
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
            _again(engines, inputs, random, jolts=JOLTS if seconds < SLOW else 1),
            _within_batches(engines, inputs, steps, seconds),
        )
        if clear_rows(outputs, steps, tolerance).all() and _steady(outputs, others, tolerance):
            cases.append(GoldenCase(inputs, outputs))
        if len(cases) == MOST_CASES:
            break
    return tuple(cases)


def rounding_share(engines: Sequence[Engine], cases: Sequence[GoldenCase], tolerance: Tolerance) -> float:
    """The largest share of the tolerance that answers use up, by another number of threads or other rounding errors."""
    random = np.random.default_rng(1)
    share = 0.0
    for case in cases:
        for got in _again(engines, case.inputs, random, jolts=JOLTS):
            for name, output in case.outputs.items():
                if output.dtype.kind == "f":
                    shares = distances(output, got[name]) / _allowed(output, tolerance)
                    share = max(share, float(shares.max(initial=0.0)))
    return share


def _again(engines: Sequence[Engine], inputs: Tensors, random: np.random.Generator, *, jolts: int) -> Iterator[Tensors]:
    """Each engine's answers to the inputs, and by turns to such with other rounding errors."""
    for engine in engines:
        yield engine.run(inputs)
    for engine in islice(cycle(engines), jolts):
        yield engine.run(_jolted(inputs, random))


def _within_batches(engines: Sequence[Engine], inputs: Tensors, steps: Steps, seconds: float) -> Iterator[Tensors]:
    """Each engine's answers to the inputs among copies, for int8 may take its scale from the whole batch.

    Only a graph of columns, or of classes, is known to take rows that have nothing to do with each other; `seconds` is
    what one takes.
    """
    signature = engines[0].signature
    free = all(spec.shape[:1] == (VARIABLE,) for spec in (*signature.inputs, *signature.outputs))
    if not free or not (steps.tabular or steps.targets):
        return
    for engine, count in product(engines, BATCHES):
        if seconds * count < SLOW:
            batch = engine.run({name: np.repeat(tensor, count, axis=0) for name, tensor in inputs.items()})
            for copy in (0, count - 1):
                yield {name: tensor[copy::count] for name, tensor in batch.items()}


def _jolted(inputs: Tensors, random: np.random.Generator) -> Tensors:
    return {
        name: (tensor * (1 + ROUNDING * random.choice((-1.0, 1.0), tensor.shape))).astype(tensor.dtype)
        if tensor.dtype.kind == "f"
        else tensor
        for name, tensor in inputs.items()
    }


def _steady(outputs: Tensors, others: Iterator[Tensors], tolerance: Tolerance) -> bool:
    try:
        return all(_near(outputs, each, tolerance) for each in others)
    except ExecutionError:
        # an encoder of numbers may refuse any but those it knows
        return False


def _near(outputs: Tensors, others: Tensors, tolerance: Tolerance) -> bool:
    for name, output in outputs.items():
        other = others[name]
        if output.shape != other.shape:
            return False
        if output.dtype.kind != "f":
            if not np.array_equal(output, other):
                return False
            continue
        if (distances(output, other) > _allowed(output, tolerance) / 2).any():
            return False
    return True


def _allowed(output: Tensor, tolerance: Tolerance) -> Tensor:
    """How far each float may be from another machine's."""
    size = np.abs(np.nan_to_num(output.astype(np.float64)))
    return cast("Tensor", tolerance.absolute + tolerance.relative * size)


def random_inputs(engine: Engine, *, seed: int, rows: int = 1) -> Tensors:
    """Random tensors within the signature that the graph runs on; free dimensions are tried in several sizes.

    Raises RejectedModelError if it fails on all of them.
    """
    said = ""
    for size, integers in product(SIZES, (INTEGERS, 1)):
        inputs = draw_inputs(engine.signature, rows=rows, size=size, integers=integers, seed=seed)
        try:
            engine.run(inputs)
        except (ExecutionError, InvalidInputError) as error:
            said = said or error.detail
            continue
        return inputs
    raise RejectedModelError(f"the model fails on random inputs within its own signature: {said}")


def draw_inputs(signature: Signature, *, rows: int, size: int, integers: int, seed: int) -> Tensors:
    """Random tensors of the signature's shapes: `rows` for a free first dimension, `size` for other free ones."""
    random = np.random.default_rng(seed)
    return {spec.name: _draw_tensor(spec, _shape(spec, rows, size), integers, random) for spec in signature.inputs}


def _shape(spec: TensorSpec, rows: int, size: int) -> tuple[int, ...]:
    free = (rows if axis == 0 else size for axis in range(len(spec.shape)))
    return tuple(
        chosen if declared == VARIABLE else declared for declared, chosen in zip(spec.shape, free, strict=True)
    )


def _draw_tensor(spec: TensorSpec, shape: Sequence[int], integers: int, random: np.random.Generator) -> Tensor:
    datatype = DATATYPES[spec.datatype]
    if datatype.kind == "f":
        return random.standard_normal(shape).astype(datatype.numpy)
    if datatype.kind == "b":
        return random.integers(0, 2, shape).astype(bool)
    whole = random.integers(0, integers, shape)
    if datatype.kind == "s":
        return np.array([f"text {value}" for value in whole.ravel()], dtype=object).reshape(shape)
    return whole.astype(datatype.numpy)
