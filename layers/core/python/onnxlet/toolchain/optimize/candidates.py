"""Candidates of the ladder: a graph's size, its answers under the contract, and its latency beside the float graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from onnxlet.errors import DeadlineExceededError, ExecutionError, InvalidInputError, RejectedModelError
from onnxlet.serving.engine import OnnxEngine
from onnxlet.steps import Steps
from onnxlet.toolchain.optimize.evaluation_rows import (
    EvaluationRows,
    GraphAnswers,
    count_single_rows,
    run_rows,
    take_first,
)
from onnxlet.toolchain.optimize.latency import Latency, measure_latency
from onnxlet.toolchain.verify.contract import judge
from onnxlet.toolchain.workbench.evaluation_data import open_graph
from onnxlet.toolchain.workbench.inspection import stores_float16_weights
from onnxlet.toolchain.workbench.offline import save_optimized
from onnxlet.toolchain.workbench.task import task_of
from onnxlet.values.contract import Bounds, Contract
from onnxlet.values.manifest import OutputMeaning
from onnxlet.values.optimization import Calibration
from onnxlet.values.tensors import Tensors

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
    def damage(self) -> float:
        """The mean distance from the reference, else the share of changed labels: by this nodes are ranked."""
        return _finding_value(self.batch, "mean_distance", "label_change")

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


class Bench:
    """Measures candidates beside the float graph, on the evaluation rows.

    The reference is what `verify` judges by: the model's own answers, or the float graph's where these are not known.
    """

    def __init__(
        self,
        graph: Path,
        steps: Steps,
        rows: EvaluationRows,
        folder: Path,
        bounds: Bounds = Bounds(),  # noqa: B008 - frozen
        *,
        outputs: OutputMeaning | None = None,
    ) -> None:
        """Raises RejectedModelError, ExecutionError or InvalidInputError for a float graph that fails."""
        self.rows, self._steps, self._folder, self._bounds = rows, steps, folder, bounds
        self.float_graph = open_graph(graph)
        self._alone = count_single_rows(self.float_graph, rows)
        self.before = run_rows(self.float_graph, steps, rows, self._alone)
        self._reference = self.before
        if rows.source is not None:
            self._reference = GraphAnswers(rows.source, take_first(rows.source, self._alone))
        self._task = task_of(steps, self._reference.batch, rows.truth, outputs)
        self._served = self.open_as_served(graph)
        self.latency = self._latency(self._served, 1)
        self.latency_32 = self._latency(self._served, BATCH)

    def judge(self, engine: OnnxEngine, rows: EvaluationRows | None = None) -> Judgement:
        """The engine's answers to the rows, or to fewer of them. Raises as the engine does."""
        rows = rows or self.rows
        return self._judge(run_rows(engine, self._steps, rows, min(self._alone, rows.count)), rows)

    def judge_float_graph(self) -> Judgement:
        """The float graph's answers to the rows."""
        return self._judge(self.before, self.rows)

    def measure(self, candidate: Candidate) -> Candidate:
        """The candidate with its figures."""
        if candidate.path is None:
            return candidate
        size = candidate.path.stat().st_size
        try:
            judgement = self.judge(open_graph(candidate.path))
            engine = self.open_as_served(candidate.path)
            latency, latency_32 = self._latency(engine, 1), self._latency(engine, BATCH)
        except (RejectedModelError, ExecutionError, InvalidInputError, DeadlineExceededError) as error:
            return replace(candidate, size=size, broken=error.detail)
        return replace(candidate, size=size, judgement=judgement, latency=latency, latency_32=latency_32)

    def open_as_served(self, graph: Path) -> OnnxEngine:
        """The graph as it will be served: optimized offline, unless its weights are stored as float16."""
        if stores_float16_weights(onnx.load(graph, load_external_data=False)):
            return open_graph(graph)
        optimized = self._folder / "served.onnx"
        save_optimized(graph, optimized, weights_apart=False, optimize=True)
        return open_graph(optimized, optimized=True)

    def _judge(self, after: GraphAnswers, rows: EvaluationRows) -> Judgement:
        alone = rows.take_first(self._alone)
        return Judgement(
            after,
            self._contract(self._reference.batch, after.batch, rows),
            self._contract(self._reference.alone, after.alone, alone),
        )

    def _contract(self, reference: Tensors, after: Tensors, rows: EvaluationRows) -> Contract:
        """What `verify` would say, without intervals."""
        before = take_first(reference, rows.count)
        return judge(before, after, rows.truth, self._task, self._bounds, slicings=rows.slicings, resamples=0)

    def _latency(self, engine: OnnxEngine, count: int) -> Latency:
        """The latency beside the float graph; that of one row is decisive."""
        return measure_latency(engine, self._served, self.rows.repeated(count), decisive=count == 1)


def _finding_value(contract: Contract, *names: str) -> float:
    values: Sequence[float] = [finding.value for name in names for finding in contract.findings if finding.name == name]
    return values[0] if values else 0.0
