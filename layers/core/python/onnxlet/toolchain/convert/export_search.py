"""The search for a graph that answers as the model does: variants of the export, tried one by one, best first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from onnxlet.errors import ConversionError, ExecutionError, InvalidInputError, RejectedModelError
from onnxlet.serving.engine import OnnxEngine
from onnxlet.steps import Steps
from onnxlet.toolchain.convert.probing import Prober, ProbingResult
from onnxlet.toolchain.convert.trained_model import Export, ModelRows, TrainedModel
from onnxlet.toolchain.verify.contract import judge
from onnxlet.toolchain.verify.findings import scaled_distances
from onnxlet.toolchain.workbench.comparison import Comparison, accept_tied_labels, compare
from onnxlet.toolchain.workbench.evaluation import run_columns
from onnxlet.toolchain.workbench.evaluation_data import open_graph
from onnxlet.toolchain.workbench.progress import Progress
from onnxlet.toolchain.workbench.task import task_of
from onnxlet.values.manifest import OutputMeaning, Tolerance
from onnxlet.values.tensors import Tensor, Tensors

CLOSE = 1e-5
"""The largest distance, on the answers' scale, with which no further variant is tried."""


@dataclass(frozen=True)
class VerifiedExport:
    """An export whose answers are the model's, within the tolerance."""

    export: Export
    engine: OnnxEngine
    answers: Tensors
    comparison: Comparison
    distance: float
    """The largest distance from the model's answers, on their scale."""
    probed: ProbingResult
    """How it did on rows made of what the model knows."""
    breaches: str
    """What the accuracy contract would find, where the truth is known: saturated probabilities lose their order."""

    @property
    def is_close(self) -> bool:
        """Whether no better variant need be tried."""
        return self.distance <= CLOSE and not self.breaches and not self.beyond

    @property
    def beyond(self) -> int:
        """Rows far beyond what the model was fitted for to which it answers otherwise."""
        return self.probed.counts.beyond

    def keep_better(self, other: VerifiedExport) -> VerifiedExport:
        """Return this one, or the other that comes after it in a finer datatype; close the one that is dropped.

        The other is better if only it keeps the contract, or if it is no worse far beyond what the model was fitted
        for, where this one is wrong.
        """
        is_better = bool(self.breaches) and not other.breaches
        is_no_worse = 0 < self.beyond >= other.beyond and (not other.breaches or bool(self.breaches))
        best, rejected = (other, self) if is_better or is_no_worse else (self, other)
        rejected.engine.close()
        return best

    def __str__(self) -> str:
        off = f"in {self.export.variant} answers are {self.distance:.1g} off"
        if self.beyond:
            off += f", and others far beyond what the model was fitted for ({self.beyond} probing rows)"
        return f"{off}, and the accuracy contract would not hold: {self.breaches}" if self.breaches else off


@dataclass(frozen=True)
class ExportSearch:
    """A model, its answers to rows, and the tolerance within which a graph must answer alike."""

    model: TrainedModel
    rows: ModelRows
    expected: Tensors
    labels: Sequence[tuple[str, ...]]
    tolerance: Tolerance
    progress: Progress
    truth: Tensor | None = None
    outputs: OutputMeaning | None = None

    def find_best(self, path: Path) -> VerifiedExport:
        """Return the first variant that is close to the model, else the first within the tolerance.

        One that keeps the accuracy contract is preferred. Its graph is written to `path`. Raises ConversionError with
        what was measured if no variant is within the tolerance.
        """
        failures: list[str] = []
        advice = ""
        best: VerifiedExport | None = None
        other_rows = [(other, self.model.predict(other)) for other in self.rows.variations]
        prober = Prober(self.model, self.rows, self.tolerance)
        for export in self._exports(failures):
            advice = export.advice
            self.progress(
                f"comparing the graph in {export.variant} with the {self.model.framework} model "
                f"on {self.rows.count} rows"
            )
            candidate = self._try(path, export, other_rows, prober, failures)
            if candidate is None:
                continue
            if candidate.is_close:
                if best is not None:
                    best.engine.close()
                    self.progress(f"taking {export.variant}: {best}")
                return candidate
            failures.append(str(candidate))
            best = candidate if best is None else best.keep_better(candidate)
        if best is None:
            raise ConversionError(
                f"the graph does not answer as the model does on {self.rows.count} rows: "
                f"{'; '.join(failures)}; {advice}"
            )
        self.progress(f"no other way to write the graph is better: {best}")
        path.write_bytes(best.export.graph)
        return best

    def _try(
        self,
        path: Path,
        export: Export,
        other_rows: list[tuple[ModelRows, Tensors]],
        prober: Prober,
        failures: list[str],
    ) -> VerifiedExport | None:
        """The export if it answers within the tolerance; else None, with a line for `failures`."""
        path.write_bytes(export.graph)
        try:
            engine = open_graph(path)
            answers = run_columns(engine, export.steps, self.rows.served(export.tabular))
            comparison = self._compare(export.steps, self.expected, answers)
            difference = (
                comparison if not comparison.within_tolerance else self._first_difference(engine, export, other_rows)
            )
        except (RejectedModelError, ExecutionError, InvalidInputError) as error:
            failures.append(f"in {export.variant} it does not run ({error.detail})")
            return None
        if difference is not None:
            engine.close()
            failures.append(f"in {export.variant} {difference}")
            return None
        probed = self._probe(engine, export, prober, failures)
        if probed is None:
            engine.close()
            return None
        distances = scaled_distances(self.expected, answers, task_of(export.steps, self.expected, None, self.outputs))
        return VerifiedExport(
            export,
            engine,
            answers,
            comparison,
            float(distances.max(initial=0.0)),
            probed,
            self._breaches(export.steps, answers),
        )

    def _probe(self, engine: OnnxEngine, export: Export, prober: Prober, failures: list[str]) -> ProbingResult | None:
        """How it does on probing rows; None, with a line for `failures`, where its answers are wrong."""
        try:
            probed = prober.compare(export, engine)
        except (ExecutionError, InvalidInputError) as error:
            failures.append(f"in {export.variant} it does not answer rows that the model answers ({error.detail})")
            return None
        if probed.near:
            failures.append(
                f"in {export.variant} it answers otherwise to {probed.near} of {probed.counts.rows} rows made of what "
                f"the model knows, first to {probed.example}"
            )
            return None
        return probed

    def _breaches(self, steps: Steps, answers: Tensors) -> str:
        if self.truth is None:
            return ""
        task = task_of(steps, self.expected, self.truth, self.outputs)
        try:
            return judge(self.expected, answers, self.truth, task, resamples=0).breaches
        except InvalidInputError:
            # answers that cannot be compared with the truth are told when they are measured
            return ""

    def _exports(self, failures: list[str]) -> Iterator[Export]:
        """The variants of the export. Raises ConversionError if the first cannot be written; others may be missing."""
        try:
            yield from self.model.export(self.rows, self.labels)
        except ConversionError as error:
            if not failures:
                raise
            failures.append(f"another way cannot be written ({error.detail})")

    def _first_difference(
        self, engine: OnnxEngine, export: Export, other_rows: list[tuple[ModelRows, Tensors]]
    ) -> Comparison | None:
        """The first comparison on inputs of other sizes that fails. Raises what the engine raises."""
        for rows, expected in other_rows:
            answers = run_columns(engine, export.steps, rows.served(export.tabular))
            comparison = self._compare(export.steps, expected, answers)
            if not comparison.within_tolerance:
                return comparison
        return None

    def _compare(self, steps: Steps, expected: Tensors, answers: Tensors) -> Comparison:
        names = [step.names for step in steps.targets]
        return compare(
            expected, accept_tied_labels(expected, answers, names, margin=2 * self.tolerance.absolute), self.tolerance
        )
