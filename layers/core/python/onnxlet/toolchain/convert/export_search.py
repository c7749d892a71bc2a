"""The search for a graph that answers as the model does: the ways to write it, tried one by one, best first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from onnxlet.errors import ConversionError, ExecutionError, InvalidInputError, RejectedModelError
from onnxlet.serving.engine import OnnxEngine
from onnxlet.steps import names_of
from onnxlet.toolchain.convert.trained_model import Export, Rows, TrainedModel
from onnxlet.toolchain.verify.contract import judge
from onnxlet.toolchain.verify.findings import scaled_distances
from onnxlet.toolchain.workbench.comparison import Comparison, compare, untie
from onnxlet.toolchain.workbench.evaluation import graph_answers
from onnxlet.toolchain.workbench.evaluation_data import opened
from onnxlet.toolchain.workbench.progress import Progress
from onnxlet.toolchain.workbench.task import task_of
from onnxlet.values.manifest import Steps, Tolerance
from onnxlet.values.tensors import Tensor, Tensors

NEAR = 1e-5
"""Of the answers' scale: single precision that is farther off gives way to double precision that is not."""


@dataclass(frozen=True)
class Faithful:
    """An export whose answers are the model's own."""

    export: Export
    engine: OnnxEngine
    answers: Tensors
    comparison: Comparison
    distance: float
    """The largest one, on the scale of the answers."""
    breaches: str
    """In what the accuracy contract would not hold, where the truth is known: saturated probabilities lose order."""

    @property
    def near(self) -> bool:
        """Whether nothing nearer need be sought."""
        return self.distance <= NEAR and not self.breaches

    def or_better(self, other: Faithful) -> Faithful:
        """This one, unless only the other keeps the contract; the one that is left is closed."""
        best, left = (other, self) if self.breaches and not other.breaches else (self, other)
        left.engine.close()
        return best

    def __str__(self) -> str:
        off = f"in {self.export.way} answers are {self.distance:.1g} off"
        return f"{off}, and the accuracy contract would not hold: {self.breaches}" if self.breaches else off


@dataclass(frozen=True)
class Search:
    """A model, what it answers to rows, and how near a graph must come."""

    model: TrainedModel
    rows: Rows
    expected: Tensors
    labels: Sequence[tuple[str, ...]]
    tolerance: Tolerance
    say: Progress
    truth: Tensor | None = None

    def faithful(self, path: Path) -> Faithful:
        """The first way that is near to the model, else the first within the tolerance, rather one that keeps the
        accuracy contract; its graph is in `path`.

        Raises ConversionError with what was measured if there is none.
        """
        found: list[str] = []
        advice = ""
        first: Faithful | None = None
        others = [(other, self.model.answers(other)) for other in self.rows.others]
        for export in self._exports(found):
            advice = export.advice
            self.say(
                f"comparing the graph in {export.way} with the {self.model.framework} model on {self.rows.count} rows"
            )
            tried = self._tried(path, export, others, found)
            if tried is None:
                continue
            if tried.near:
                if first is not None:
                    first.engine.close()
                    self.say(f"taking {export.way}: {first}")
                return tried
            found.append(str(tried))
            first = tried if first is None else first.or_better(tried)
        if first is None:
            raise ConversionError(
                f"the graph does not answer as the model does on {self.rows.count} rows: {'; '.join(found)}; {advice}"
            )
        if first.breaches:
            self.say(f"no other way to write the graph is better: {first}")
        path.write_bytes(first.export.graph)
        return first

    def _tried(
        self, path: Path, export: Export, others: list[tuple[Rows, Tensors]], found: list[str]
    ) -> Faithful | None:
        """The export if it answers within the tolerance; else what is wrong with it is `found`."""
        path.write_bytes(export.graph)
        try:
            engine = opened(path)
            answers = graph_answers(engine, export.steps, self.rows.served(export.tabular))
            comparison = self._compared(export.steps, self.expected, answers)
            worst = comparison if not comparison.within else self._elsewhere(engine, export, others)
        except (RejectedModelError, ExecutionError, InvalidInputError) as error:
            found.append(f"in {export.way} it does not run ({error.detail})")
            return None
        if worst is not None:
            engine.close()
            found.append(f"in {export.way} {worst}")
            return None
        apart = scaled_distances(self.expected, answers, task_of(export.steps, self.expected, None))
        return Faithful(
            export, engine, answers, comparison, float(apart.max(initial=0.0)), self._breaches(export.steps, answers)
        )

    def _breaches(self, steps: Steps, answers: Tensors) -> str:
        if self.truth is None:
            return ""
        task = task_of(steps, self.expected, self.truth)
        try:
            return judge(self.expected, answers, self.truth, task, resamples=0).breaches
        except InvalidInputError:
            # answers that cannot be compared with the truth are told when they are measured
            return ""

    def _exports(self, found: list[str]) -> Iterator[Export]:
        """The ways to write the graph; the first must be there, what is wrong with it is not hidden by the others."""
        try:
            yield from self.model.exports(self.rows, self.labels)
        except ConversionError as error:
            if not found:
                raise
            found.append(f"another way cannot be written ({error.detail})")

    def _elsewhere(self, engine: OnnxEngine, export: Export, others: list[tuple[Rows, Tensors]]) -> Comparison | None:
        """The first comparison on inputs of other sizes that fails. Raises as the engine does where it does not run."""
        for rows, expected in others:
            answers = graph_answers(engine, export.steps, rows.served(export.tabular))
            comparison = self._compared(export.steps, expected, answers)
            if not comparison.within:
                return comparison
        return None

    def _compared(self, steps: Steps, expected: Tensors, answers: Tensors) -> Comparison:
        names = [names_of(step.target) for step in steps.targets]
        return compare(expected, untie(expected, answers, names, margin=2 * self.tolerance.absolute), self.tolerance)
