"""One optimization: try the ladder, choose with a reason, write the directory."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from onnxlet.errors import InvalidInputError
from onnxlet.serving.golden import GoldenCase, architecture, with_sent
from onnxlet.toolchain.optimize.calibration import FEWEST_ROWS, choose_sample
from onnxlet.toolchain.optimize.candidates import Bench, Candidate, Judge
from onnxlet.toolchain.optimize.choice import Agreement, Choice, explain_choice, explain_disagreement, find_agreement
from onnxlet.toolchain.optimize.evaluation_rows import EvaluationRows, choose_rows
from onnxlet.toolchain.optimize.families import METHODS, SourceGraph, make_families
from onnxlet.toolchain.optimize.figures import OPTIMIZED, evaluate_stages
from onnxlet.toolchain.optimize.graph import simplify, survey
from onnxlet.toolchain.optimize.ladder import Ladders
from onnxlet.toolchain.optimize.selection import Objective, Selection, record_rungs
from onnxlet.toolchain.optimize.split import RowSplit, cut, keep_whole, tighten
from onnxlet.toolchain.workbench.comparison import compare
from onnxlet.toolchain.workbench.data import Data, Target, open_judge
from onnxlet.toolchain.workbench.data import Judge as JudgingRows
from onnxlet.toolchain.workbench.directory import (
    asset_files,
    explain_full_disk,
    new_directory,
    read_draft,
    read_steps,
    write_draft,
)
from onnxlet.toolchain.workbench.evaluation_data import Group, open_graph, read_evaluation_data, unknown_answers
from onnxlet.toolchain.workbench.judging_rows import write_judging_rows
from onnxlet.toolchain.workbench.progress import Progress
from onnxlet.toolchain.workbench.reference import copy_references
from onnxlet.toolchain.workbench.stable_cases import choose_stable_cases
from onnxlet.toolchain.workbench.table import count_of, quoted
from onnxlet.values.contract import Bounds
from onnxlet.values.keys import GRAPH, GRAPH_DATA
from onnxlet.values.manifest import Draft, Evaluation, Tolerance
from onnxlet.values.optimization import Optimization, Rung, Split
from onnxlet.values.tensors import Tensor

SMALL = 256_000
"""Smaller graphs, in bytes, stay exact: they load in milliseconds as they are."""


@dataclass(frozen=True)
class OptimizeOptions:
    """What the caller wants of the ladder; `optimize` says what each option means."""

    method: str | None = None
    objective: Objective = "smallest-not-slower"
    cpu: str = "x86-64"
    search: bool = False
    slices: Sequence[str] = ()
    bounds: Bounds = Bounds()  # noqa: RUF009 - frozen
    group: Group | None = None
    judge: JudgingRows | None = None
    seed: int = 0


@dataclass(frozen=True)
class LadderResult:
    """What came of the ladder: the reason, the rungs to record, and what was chosen on which rows if anything was."""

    reason: str
    chosen: Candidate | None = None
    rungs: tuple[Rung, ...] = ()
    judge: Judge | None = None
    split: Split | None = None
    judging: Tensor | None = None
    """The positions of the rows that judge; None for all."""


class OptimizationRun:
    """A converted directory, the rows to evaluate on, and the options."""

    def __init__(
        self, directory: Path, data: Data | None, target: Target, options: OptimizeOptions, progress: Progress
    ) -> None:
        self._directory, self._options, self._progress = directory, options, progress
        if options.method not in (None, *METHODS):
            raise InvalidInputError(f"there is no method {options.method!r}; there are {quoted(METHODS)}")
        self._draft, self._cases = read_draft(directory)
        self._steps = read_steps(directory, self._draft).of_model
        done = self._draft.optimization
        if done is not None and done.method != "none":
            raise InvalidInputError(
                f"{str(directory)!r} is optimized already ({done.method}): convert the model again first"
            )
        self._float_graph = open_graph(directory / GRAPH)
        self._rows = choose_rows(
            directory,
            self._draft,
            self._cases,
            self._float_graph,
            data=data,
            target=target,
            slices=options.slices,
            group=options.group,
        )
        self._judge_digest = None if options.judge is None else self._check_judge(options.judge)

    def write(self, output: Path) -> Draft:
        """Choose, and write the directory, or nothing. Raises UnavailableError where the disk is full."""
        with (
            tempfile.TemporaryDirectory(prefix="onnxlet-") as folder,
            explain_full_disk(Path(folder), output),
            new_directory(output) as staging,
        ):
            result = self._climb(Path(folder))
            chosen, draft, cases = result.chosen, self._draft, self._cases
            if chosen is not None and chosen.path is not None:
                shutil.copyfile(chosen.path, staging / GRAPH)
                draft, cases = self._choose_golden_cases(result, chosen, chosen.path)
            else:
                for name in (GRAPH, GRAPH_DATA):
                    if (self._directory / name).exists():
                        shutil.copyfile(self._directory / name, staging / name)
            for name, asset in asset_files(self._directory, draft).items():
                shutil.copyfile(asset, staging / name)
            copy_references(self._directory, staging)
            if result.judging is not None and self._rows is not None:
                write_judging_rows(staging, self._rows.digest, result.judging)
            draft = msgspec.structs.replace(
                draft, evaluations=self._evaluate(result), optimization=self._record(result, _bytes(staging))
            )
            write_draft(staging, draft, cases)
        return draft

    def _climb(self, folder: Path) -> LadderResult:
        """The choice, or why there is none."""
        options, size = self._options, _bytes(self._directory)
        simplified_path = folder / "simplified.onnx"
        model = simplify(self._directory / GRAPH, simplified_path)
        source = SourceGraph(simplified_path, model, survey(model))
        reason = source.survey.reason_to_stay_exact()
        if reason:
            return self._stay_exact(reason)
        if options.method is None and size < SMALL:
            return self._stay_exact(
                f"a graph of {size / 1000:.0f} kB, less than {SMALL // 1000}, has nothing to gain and stays exact; "
                f"--method {METHODS[0]} quantizes it all the same"
            )
        if self._rows is None:
            return self._stay_exact("there are no rows to compare answers on: give --data")
        if options.method is None and self._rows.kind == "given" and self._rows.count < FEWEST_ROWS:
            return self._stay_exact(
                f"{self._rows.count} rows prove too little, {FEWEST_ROWS} are needed: give more --data, or a --method"
            )
        return self._choose(self._rows, source, Selection(options.objective, size, self._is_timed), folder)

    @property
    def _is_timed(self) -> bool:
        return architecture() == self._options.cpu

    def _choose(self, rows: EvaluationRows, source: SourceGraph, selection: Selection, folder: Path) -> LadderResult:
        """What the ladder gives on the rows that choose, fold by fold, and what most folds choose."""
        options = self._options
        whole = rows.kind != "given" or self._judge_digest is not None
        split = keep_whole(rows) if whole else cut(rows, options.seed)
        bench = Bench(self._directory / GRAPH, self._steps, rows, split.parts, folder)
        sample = choose_sample(rows.take(split.parts[0]))
        families = [
            each for each in make_families(source, sample, options.cpu) if options.method in (None, each.method)
        ]
        bounds = tighten(options.bounds) if rows.kind == "given" else options.bounds
        judges = [Judge(bench, fold.choosing, bounds, self._draft.outputs) for fold in split.folds]
        ladders = Ladders(families, selection, folder, search=options.search, progress=self._progress)
        choices = [Choice(fold, judge, *ladders.climb(judge)) for fold, judge in zip(split.folds, judges, strict=True)]
        agreement = find_agreement(choices)
        if agreement is None:
            rungs = record_rungs(choices[0].judge, selection, choices[0].candidates, None)
            return LadderResult(explain_disagreement(choices), rungs=rungs)
        choice = agreement.choice
        return LadderResult(
            explain_choice(selection, choice, self._describe_rows(rows, split, agreement)),
            choice.chosen,
            record_rungs(choice.judge, selection, choice.candidates, choice.chosen),
            choice.judge,
            self._record_split(rows, split, agreement) if rows.kind == "given" else None,
            None if whole or choice.chosen is None else agreement.judging,
        )

    def _record_split(self, rows: EvaluationRows, split: RowSplit, agreement: Agreement) -> Split:
        group = self._options.group
        return Split(
            seed=self._options.seed,
            choosing=split.count_choosing(agreement.choice.fold),
            judging=len(agreement.judging),
            data_digest=rows.digest,
            splits=len(split.folds),
            agreeing=agreement.agreeing,
            group="" if group is None else group if isinstance(group, str) else "given",
            judge_digest=self._judge_digest,
        )

    def _describe_rows(self, rows: EvaluationRows, split: RowSplit, agreement: Agreement) -> str:
        """The rows that the choice was made on, for people."""
        chosen_on = f"{split.count_choosing(agreement.choice.fold)} {rows.kind} rows"
        known = "" if rows.truth is not None else ", whose truth is not known"
        folds = len(split.folds)
        return f"{chosen_on}{known}" + (f", and {agreement.agreeing} of {folds} splits choose it" if folds > 1 else "")

    def _check_judge(self, judge: JudgingRows) -> str:
        """The digest of the rows of one's own. Raises InvalidInputError where they are unfit, or chose themselves."""
        rows, options = self._rows, self._options
        if rows is None or rows.kind != "given":
            raise InvalidInputError("rows that judge need --data, rows that choose")
        data, target = open_judge(judge, None)
        evaluation = read_evaluation_data(self._directory, self._draft, self._float_graph, data, target)
        if evaluation.digest == rows.digest:
            raise InvalidInputError("--judge and --data are the same rows: those that choose cannot judge")
        if evaluation.reference is None:
            raise unknown_answers(evaluation, "--judge")
        if rows.groups is not None and isinstance(options.group, str):
            both = set(evaluation.groups(options.group).astype(str)) & set(rows.groups.astype(str))
            if both:
                raise InvalidInputError(
                    f"{count_of(len(both), 'value')} of {options.group!r} stand in --data and in --judge: rows of one "
                    "group must not choose and judge"
                )
        return evaluation.digest

    def _stay_exact(self, reason: str) -> LadderResult:
        """Nothing is tried."""
        return LadderResult(reason)

    def _evaluate(self, result: LadderResult) -> tuple[Evaluation, ...]:
        """What is known of each stage, on the rows that did not choose."""
        rows, chosen = self._rows, result.chosen
        known = {each.stage: each for each in self._draft.evaluations if each.stage != OPTIMIZED}
        if rows is not None and (chosen is not None or rows.truth is not None):
            judging = rows if result.judging is None else rows.take(result.judging)
            optimized = None if chosen is None or chosen.path is None else open_graph(chosen.path)
            meaning = self._draft.outputs
            known |= evaluate_stages(self._float_graph, optimized, self._steps, judging, known=known, outputs=meaning)
        return tuple(known.values())

    def _record(self, result: LadderResult, bytes_after: int) -> Optimization:
        chosen = result.chosen
        return Optimization(
            method=chosen.method if chosen else "none",
            reason=result.reason,
            bytes_before=_bytes(self._directory),
            bytes_after=bytes_after,
            objective=self._options.objective,
            cpu=self._options.cpu,
            calibration=chosen.calibration if chosen else None,
            kept=chosen.keep if chosen else (),
            rungs=result.rungs,
            split=result.split if chosen else None,
        )

    def _choose_golden_cases(
        self, result: LadderResult, chosen: Candidate, path: Path
    ) -> tuple[Draft, tuple[GoldenCase, ...]]:
        """The golden inputs with the optimized graph's answers; what was judged of the float graph no longer holds.

        Another machine's answers may be as far from these as quantization moved them, no farther.
        """
        draft = msgspec.structs.replace(self._draft, contract=None, report=None)
        golden = draft.golden
        if golden is None or chosen.judgement is None or result.judge is None:
            return draft, ()
        moved = compare(result.judge.before.alone, chosen.judgement.answers.alone, Tolerance()).largest_distance
        absolute = max(golden.tolerance.absolute, float(f"{moved:.1g}"))
        tolerance = msgspec.structs.replace(golden.tolerance, absolute=absolute)
        engines = (open_graph(path), open_graph(path, threads=2))
        cases = choose_stable_cases(engines, (case.inputs for case in self._cases), tolerance, self._steps)
        if not cases:
            self._progress("there will be no golden cases, as quantization moves answers by as much as labels hang on")
        kept = msgspec.structs.replace(golden, cases=len(cases), tolerance=tolerance) if cases else None
        return msgspec.structs.replace(draft, golden=kept), with_sent(cases, self._cases)


def _bytes(directory: Path) -> int:
    """Bytes of the graph and its weights in a converted directory."""
    return sum(file.stat().st_size for file in (directory / GRAPH, directory / GRAPH_DATA) if file.exists())
