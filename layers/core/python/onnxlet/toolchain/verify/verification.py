"""One verification: run the graph on the evaluation data, judge it, and write contract and report beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from onnxlet.errors import ExecutionError, InvalidInputError
from onnxlet.serving.engine import Engine
from onnxlet.store.files import replace_whole
from onnxlet.toolchain.verify.contract import judge
from onnxlet.toolchain.verify.decisions import Decided, Decisions
from onnxlet.toolchain.verify.importance import Importance, errors_of, importance_of, in_data
from onnxlet.toolchain.verify.plots import make_plots
from onnxlet.toolchain.verify.report import REPORT, Subject, render_report
from onnxlet.toolchain.workbench.agreement import compare_rows
from onnxlet.toolchain.workbench.data import Data, Target
from onnxlet.toolchain.workbench.directory import DRAFT, graph_digest, read_draft, read_steps
from onnxlet.toolchain.workbench.evaluation import run_columns
from onnxlet.toolchain.workbench.evaluation_data import (
    EvaluationData,
    open_graph,
    read_evaluation_data,
    unknown_answers,
)
from onnxlet.toolchain.workbench.judging_rows import read_judging_rows
from onnxlet.toolchain.workbench.progress import Progress
from onnxlet.toolchain.workbench.reference import ONNX, PROBING_REFERENCE, SOURCE, read_reference
from onnxlet.toolchain.workbench.task import Task, task_of
from onnxlet.values.canonical import canonical
from onnxlet.values.contract import Bounds, Contract, Finding
from onnxlet.values.keys import GRAPH
from onnxlet.values.manifest import Draft, Tolerance
from onnxlet.values.optimization import Split
from onnxlet.values.tensors import Tensor, Tensors
from onnxlet.values.timestamps import format_timestamp, utc_now

OPTIMIZED = "optimized"


@dataclass(frozen=True)
class Verification:
    """A converted directory, the data that it is judged on, and the bounds."""

    directory: Path
    data: Data
    target: Target
    slices: Sequence[str]
    bounds: Bounds
    progress: Progress
    model: str
    """The name that the report has."""
    explain_rows: int = 0
    """How many of the rows that are answered worst the report explains one by one."""

    def write(self, copy: Path | None) -> Contract:
        """Judge, and write. Raises as `verify` does."""
        draft, _ = read_draft(self.directory)
        if draft.reference is None:
            raise InvalidInputError(
                f"there is nothing to judge {str(self.directory)!r} by: a graph does not know the model that it was "
                "made of; convert it with --expected, what that model answers to the data"
            )
        declared = read_steps(self.directory, draft)
        steps = declared.of_model
        engine = open_graph(self.directory / GRAPH)
        try:
            evaluation = read_evaluation_data(self.directory, draft, engine, self.data, self.target)
            if evaluation.reference is None:
                raise unknown_answers(evaluation)
            slicings = evaluation.slicings(self.slices)
            judging = read_judging_rows(self.directory, draft.optimization, evaluation.digest, evaluation.cells.name)
            if judging is not None:
                evaluation, slicings = evaluation.take(judging), [each.take(judging) for each in slicings]
            optimized = draft.optimization is not None and draft.optimization.method != "none"
            probed = None if optimized else self._probe(engine, draft)
            self.progress(f"running the model on {evaluation.rows} rows")
            candidate = evaluation.run(engine, steps)
        finally:
            engine.close()
        stages = {} if evaluation.reference is None else evaluation.reference.stages
        name = ONNX if draft.optimization is None or draft.optimization.method == "none" else OPTIMIZED
        between = {ONNX: stages[ONNX]} if name == OPTIMIZED and ONNX in stages else {}
        task = task_of(steps, stages[SOURCE], evaluation.truth, draft.outputs)
        self.progress("judging the answers")
        contract = judge(
            stages[SOURCE],
            candidate,
            evaluation.truth,
            task,
            self.bounds,
            stages=(SOURCE, name),
            between=between,
            slicings=slicings,
            data_digest=evaluation.digest,
        )
        if probed is not None:
            findings = (*contract.findings, probed)
            contract = msgspec.structs.replace(contract, findings=findings, holds=all(each.ok for each in findings))
        decided = Decisions(declared, draft.graph, stages[SOURCE], candidate, evaluation.truth).judge(self.bounds)
        if decided is not None:
            contract = _with_decisions(contract, decided)
        split = draft.optimization.split if draft.optimization is not None and name == OPTIMIZED else None
        own = split is not None and split.judge_digest == evaluation.digest
        importance = self._importance(draft, evaluation, stages[SOURCE], candidate, task)
        if not isinstance(importance, str) and judging is not None:
            importance = in_data(importance, judging)
        contract = msgspec.structs.replace(
            contract,
            graph_digest=graph_digest(self.directory),
            notes=(*_note_split(split, judging, own=own), *_note_rows(importance), *contract.notes),
        )
        drawn = make_plots(task, {SOURCE: stages[SOURCE], **between, name: candidate}, evaluation.truth)
        subject = Subject(self.model, format_timestamp(utc_now()), evaluation.targets)
        page = render_report(subject, draft, contract, drawn, importance)
        _write(self.directory / REPORT, page.encode())
        judged = msgspec.structs.replace(draft, contract=contract, report=REPORT)
        _write(self.directory / DRAFT, canonical(judged) + b"\n")
        if copy is not None:
            _write(copy, page.encode())
        return contract

    def _importance(
        self, draft: Draft, evaluation: EvaluationData, reference: Tensors, candidate: Tensors, task: Task
    ) -> Importance | str:
        """What the answers hang on, or why that cannot be told."""
        self.progress("explaining some of the answers")
        errors = errors_of(reference, candidate, evaluation.truth, task)
        engine = open_graph(self.directory / GRAPH)
        try:
            return importance_of(
                self.directory, draft, engine, evaluation.given, errors, explain_rows=self.explain_rows
            )
        finally:
            engine.close()

    def _probe(self, engine: Engine, draft: Draft) -> Finding | None:
        """To how many rows made of what the model knows the graph answers otherwise; None if there are none.

        Conversion compared these. A graph that was optimized is another, and is not held to them.
        """
        kept = read_reference(self.directory, PROBING_REFERENCE)
        if kept is None:
            return None
        self.progress("running the model on rows made of what it knows")
        steps, expected = read_steps(self.directory, draft).of_model, kept.stages[SOURCE]
        tolerance = draft.golden.tolerance if draft.golden is not None else Tolerance()
        names = [step.names for step in steps.targets]
        try:
            answers = run_columns(engine, steps, kept.inputs)
            wrong = int(compare_rows(expected, answers, names, tolerance).differ.sum())
        except (ExecutionError, InvalidInputError):
            wrong = len(next(iter(expected.values())))
        return Finding("wrong_probing_rows", wrong, 0, wrong == 0)


def _with_decisions(contract: Contract, decided: Decided) -> Contract:
    return msgspec.structs.replace(
        contract,
        findings=(*contract.findings, decided.finding),
        holds=contract.holds and decided.finding.ok,
        notes=(*contract.notes, *decided.notes),
    )


def _note_rows(importance: Importance | str) -> tuple[str, ...]:
    """That rows are told of one by one."""
    if isinstance(importance, str) or not importance.each:
        return ()
    count = len(importance.each)
    return (f"its report explains {count} rows of the data one by one: who has the model may work out their values",)


def _note_split(split: Split | None, judging: Tensor | None, *, own: bool) -> tuple[str, ...]:
    """Which rows chose the graph, and that these are others."""
    if split is None or (judging is None and not own):
        return ()
    if judging is None:
        return (f"the graph was chosen on {split.choosing} other rows, all of the data",)
    if split.splits == 1:
        return (f"the graph was chosen on {split.choosing} other rows of the data (seed {split.seed})",)
    note = (
        f"each row judges what the others chose: {split.agreeing} of {split.splits} splits of the data chose this "
        f"graph, on {split.choosing} rows or so each (seed {split.seed}), and their other rows judge it"
    )
    return (note,)


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all. Raises InvalidInputError where that cannot be."""
    try:
        replace_whole(path, data)
    except OSError as error:
        raise InvalidInputError(f"cannot write {str(path)!r}: {error.strerror}", path=str(path)) from error
