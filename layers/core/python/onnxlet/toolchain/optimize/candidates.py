"""Candidates of the ladder: a graph's size, its answers under the contract, and its latency beside the float graph."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from onnxlet.errors import DeadlineExceededError, ExecutionError, InvalidInputError, RejectedModelError
from onnxlet.serving.engine import OnnxEngine
from onnxlet.steps import Steps
from onnxlet.toolchain.optimize.evaluation_rows import (
    EvaluationRows,
    GraphAnswers,
    count_single_rows,
    join,
    run_rows,
    take,
)
from onnxlet.toolchain.optimize.latency import Latency, measure_latency
from onnxlet.toolchain.verify.contract import judge
from onnxlet.toolchain.workbench.evaluation import run_graph
from onnxlet.toolchain.workbench.evaluation_data import open_graph
from onnxlet.toolchain.workbench.inspection import stores_float16_weights
from onnxlet.toolchain.workbench.offline import save_optimized
from onnxlet.toolchain.workbench.task import task_of
from onnxlet.values.contract import Bounds, Contract
from onnxlet.values.manifest import OutputMeaning
from onnxlet.values.optimization import Calibration
from onnxlet.values.tensors import Tensor, Tensors

BATCH = 32
"""Rows of the second latency."""


@dataclass(frozen=True)
class Judgement:
    """A candidate's answers under the contract: to all rows at once, and to the first ones run alone."""

    answers: GraphAnswers
    batch: Contract
    alone: Contract

    @property
    def breach(self) -> str:
        """In what the contract does not hold; empty if it does."""
        return self.batch.breaches or self.alone.breaches

    @property
    def distance(self) -> float:
        """The largest distance from the reference on the contract's scale, else the share of changed labels."""
        return max(_finding_value(contract, "distance", "label_change") for contract in (self.batch, self.alone))

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics by the truth, or the cosine to the reference's embeddings."""
        return {name: estimate.value for name, estimate in self.batch.stages[-1].metrics.items()}


@dataclass(frozen=True)
class Candidate:
    """A variant of the graph and its figures. `broken` says why there are none."""

    name: str
    method: str
    keep: tuple[str, ...] = ()
    calibration: Calibration | None = None
    path: Path | None = None
    size: int = 0
    judgement: Judgement | None = None
    latency: Latency | None = None
    latency_32: Latency | None = None
    broken: str = ""

    @property
    def holds(self) -> bool:
        """Whether it keeps the contract."""
        return self.judgement is not None and not self.judgement.breach


@dataclass(frozen=True)
class Measurement:
    """A graph's size, its answers to each part of the rows, and its latencies. `broken` says why there are none."""

    path: Path
    size: int = 0
    answers: tuple[GraphAnswers, ...] = ()
    latency: Latency | None = None
    latency_32: Latency | None = None
    broken: str = ""


class Bench:
    """Runs graphs beside the float graph, on each part of the evaluation rows by itself.

    A batch may change the answers to its rows: parts that judge must not be in one with parts that choose.
    """

    def __init__(self, graph: Path, steps: Steps, rows: EvaluationRows, parts: Sequence[Tensor], folder: Path) -> None:
        """Raises RejectedModelError, ExecutionError or InvalidInputError for a float graph that fails."""
        self.rows, self.parts, self.steps, self._folder = rows, tuple(parts), steps, folder
        self.float_graph = open_graph(graph)
        alone = -(-count_single_rows(self.float_graph, rows) // len(self.parts))
        self.alone = tuple(part[:alone] for part in self.parts)
        self.before = self.answer(self.float_graph)
        self._served = self.open_as_served(graph)
        self.latency = self._latency(self._served, 1)
        self.latency_32 = self._latency(self._served, BATCH)
        self._measured: dict[Hashable, Measurement] = {}
        self._tried: dict[Hashable, tuple[Tensors, ...]] = {}

    def answer(self, engine: OnnxEngine) -> tuple[GraphAnswers, ...]:
        """The engine's answers to each part. Raises as the engine does."""
        return tuple(
            run_rows(engine, self.steps, self.rows.take(part), len(alone))
            for part, alone in zip(self.parts, self.alone, strict=True)
        )

    def measure(self, name: Hashable, path: Path, write: Callable[[Path], None]) -> Measurement:
        """What is measured of the graph that `write` writes to `path`; of one name once."""
        if name not in self._measured:
            self._measured[name] = self._measure(path, write)
        return self._measured[name]

    def is_measured(self, name: Hashable) -> bool:
        """Whether a graph of this name was measured before."""
        return name in self._measured

    def first_rows(self, count: int) -> tuple[Tensor, ...]:
        """Some `count` rows: the first ones of each part."""
        each = -(-count // len(self.parts))
        return tuple(part[:each] for part in self.parts)

    def answer_first(
        self, name: Hashable, rows: Sequence[Tensor], path: Path, write: Callable[[Path], None]
    ) -> tuple[Tensors, ...]:
        """The answers to these rows of the graph that `write` writes; none where it fails; of one name once."""
        if name not in self._tried:
            try:
                write(path)
                engine = open_graph(path)
                self._tried[name] = tuple(run_graph(engine, self.steps, self.rows.take(part).inputs) for part in rows)
            except (RejectedModelError, ExecutionError, InvalidInputError, DeadlineExceededError):
                self._tried[name] = ()
        return self._tried[name]

    def open_as_served(self, graph: Path) -> OnnxEngine:
        """The graph as it will be served: optimized offline, unless its weights are stored as float16."""
        if stores_float16_weights(onnx.load(graph, load_external_data=False)):
            return open_graph(graph)
        optimized = self._folder / "served.onnx"
        save_optimized(graph, optimized, weights_apart=False, optimize=True)
        return open_graph(optimized, optimized=True)

    def _measure(self, path: Path, write: Callable[[Path], None]) -> Measurement:
        try:
            write(path)
        except (RejectedModelError, ExecutionError) as error:
            return Measurement(path, broken=error.detail)
        size = path.stat().st_size
        try:
            answers = self.answer(open_graph(path))
            engine = self.open_as_served(path)
            latency, latency_32 = self._latency(engine, 1), self._latency(engine, BATCH)
        except (RejectedModelError, ExecutionError, InvalidInputError, DeadlineExceededError) as error:
            return Measurement(path, size, broken=error.detail)
        return Measurement(path, size, answers, latency, latency_32)

    def _latency(self, engine: OnnxEngine, count: int) -> Latency:
        """The latency beside the float graph; that of one row is decisive."""
        return measure_latency(engine, self._served, self.rows.repeated(count), decisive=count == 1)


class Judge:
    """Judges answers by the parts of the rows that choose.

    The reference is what `verify` judges by: the model's own answers, or the float graph's where these are not known.
    """

    def __init__(
        self,
        bench: Bench,
        choosing: Sequence[int],
        bounds: Bounds = Bounds(),  # noqa: B008 - frozen
        outputs: OutputMeaning | None = None,
    ) -> None:
        self.bench, self._choosing, self._bounds = bench, tuple(choosing), bounds
        self.rows = bench.rows.take(self._positions(bench.parts))
        self._rows_alone = bench.rows.take(self._positions(bench.alone))
        self.before = self._join(bench.before)
        self._reference = self.before
        if self.rows.source is not None and self._rows_alone.source is not None:
            self._reference = GraphAnswers(self.rows.source, self._rows_alone.source)
        self._task = task_of(bench.steps, self._reference.batch, self.rows.truth, outputs)

    @property
    def knows_model(self) -> bool:
        """Whether the reference is the model's own answers."""
        return self._reference is not self.before

    def judge(self, measurement: Measurement) -> Judgement:
        """What was measured, under the contract."""
        return self._judge(self._join(measurement.answers))

    def judge_float_graph(self) -> Judgement:
        """The float graph's answers to the rows."""
        return self._judge(self.before)

    def damage(self, rows: Sequence[Tensor], answers: Sequence[Tensors]) -> float:
        """How far answers to some rows of each part are from the reference in the mean; infinite for no answers."""
        if not answers:
            return float("inf")
        positions = self._positions(rows)
        batch = join([answers[part] for part in self._choosing])
        source = self.bench.rows.source
        before = take(source, positions) if source is not None else self._float_answers(rows)
        return _finding_value(
            self._contract(before, batch, self.bench.rows.take(positions)), "mean_distance", "label_change"
        )

    def _float_answers(self, rows: Sequence[Tensor]) -> Tensors:
        return join([take(self.bench.before[part].batch, np.arange(len(rows[part]))) for part in self._choosing])

    def _positions(self, parts: Sequence[Tensor]) -> Tensor:
        return np.concatenate([parts[part] for part in self._choosing])

    def _join(self, answers: Sequence[GraphAnswers]) -> GraphAnswers:
        kept = [answers[part] for part in self._choosing]
        return GraphAnswers(join([each.batch for each in kept]), join([each.alone for each in kept]))

    def _judge(self, after: GraphAnswers) -> Judgement:
        return Judgement(
            after,
            self._contract(self._reference.batch, after.batch, self.rows),
            self._contract(self._reference.alone, after.alone, self._rows_alone),
        )

    def _contract(self, before: Tensors, after: Tensors, rows: EvaluationRows) -> Contract:
        """What `verify` would say, without intervals."""
        return judge(before, after, rows.truth, self._task, self._bounds, slicings=rows.slicings, resamples=0)


def _finding_value(contract: Contract, *names: str) -> float:
    values: Sequence[float] = [finding.value for name in names for finding in contract.findings if finding.name == name]
    return values[0] if values else 0.0
