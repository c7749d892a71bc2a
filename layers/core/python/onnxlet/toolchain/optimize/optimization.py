"""One optimization: try the ladder, choose with a reason, write the directory."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from onnxlet.errors import InvalidInputError
from onnxlet.serving.golden import GoldenCase, architecture
from onnxlet.steps import decode_steps
from onnxlet.toolchain.optimize.calibration import FEWEST_ROWS, choose_sample
from onnxlet.toolchain.optimize.candidates import Bench, Candidate
from onnxlet.toolchain.optimize.evaluation_rows import choose_rows
from onnxlet.toolchain.optimize.families import METHODS, SourceGraph, make_families
from onnxlet.toolchain.optimize.graph import simplify, survey
from onnxlet.toolchain.optimize.ladder import Ladder
from onnxlet.toolchain.optimize.selection import Objective, Selection, record_rungs
from onnxlet.toolchain.workbench.comparison import compare
from onnxlet.toolchain.workbench.data import Data, Target
from onnxlet.toolchain.workbench.directory import asset_files, explain_full_disk, new_directory, read_draft, write_draft
from onnxlet.toolchain.workbench.evaluation import measure
from onnxlet.toolchain.workbench.evaluation_data import open_graph
from onnxlet.toolchain.workbench.progress import Progress
from onnxlet.toolchain.workbench.reference import copy_reference
from onnxlet.toolchain.workbench.stable_cases import choose_stable_cases
from onnxlet.toolchain.workbench.table import quoted
from onnxlet.values.contract import Bounds
from onnxlet.values.keys import GRAPH, GRAPH_DATA
from onnxlet.values.manifest import Draft, Evaluation, Tolerance
from onnxlet.values.optimization import Optimization, Rung

SMALL = 256_000
"""Smaller graphs, in bytes, stay exact: they load in milliseconds as they are."""
ONNX = "onnx"
OPTIMIZED = "optimized"


@dataclass(frozen=True)
class OptimizeOptions:
    """What the caller wants of the ladder; `optimize` says what each option means."""

    method: str | None = None
    objective: Objective = "smallest-not-slower"
    cpu: str = "x86-64"
    search: bool = False
    slices: Sequence[str] = ()
    bounds: Bounds = Bounds()  # noqa: RUF009 - frozen


@dataclass(frozen=True)
class LadderResult:
    """What came of the ladder: the chosen candidate if any, the reason, and the rungs to record."""

    reason: str
    chosen: Candidate | None = None
    rungs: tuple[Rung, ...] = ()
    bench: Bench | None = None


class OptimizationRun:
    """A converted directory, the rows to evaluate on, and the options."""

    def __init__(
        self, directory: Path, data: Data | None, target: Target, options: OptimizeOptions, progress: Progress
    ) -> None:
        self._directory, self._options, self._progress = directory, options, progress
        if options.method not in (None, *METHODS):
            raise InvalidInputError(f"there is no method {options.method!r}; there are {quoted(METHODS)}")
        self._draft, self._cases = read_draft(directory)
        self._steps = decode_steps(self._draft.steps)
        done = self._draft.optimization
        if done is not None and done.method != "none":
            raise InvalidInputError(
                f"{str(directory)!r} is optimized already ({done.method}): convert the model again first"
            )
        engine = open_graph(directory / GRAPH)
        self._rows = choose_rows(
            directory, self._draft, self._cases, engine, data=data, target=target, slices=options.slices
        )

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
            copy_reference(self._directory, staging)
            draft = msgspec.structs.replace(
                draft, evaluations=self._evaluations(result), optimization=self._record(result, _bytes(staging))
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
        bench = Bench(
            self._directory / GRAPH, self._steps, self._rows, folder, options.bounds, outputs=self._draft.outputs
        )
        ladder = Ladder(bench, folder, search=options.search, progress=self._progress)
        selection = Selection(options.objective, size, timed=architecture() == options.cpu)
        candidates: list[Candidate] = []
        for family in make_families(source, choose_sample(self._rows), options.cpu):
            if options.method in (None, family.method):
                smallest = min((each.size for each in candidates if not selection.reason_against(each)), default=None)
                candidates.extend(ladder.climb(family, smallest))
        chosen = selection.choose(candidates)
        return LadderResult(
            self._explain(selection, candidates, chosen),
            chosen,
            record_rungs(bench, selection, candidates, chosen),
            bench,
        )

    def _stay_exact(self, reason: str) -> LadderResult:
        """Nothing is tried; what there is is measured all the same where there is a truth."""
        bench = None
        if self._rows is not None and self._rows.truth is not None:
            with tempfile.TemporaryDirectory(prefix="onnxlet-") as folder:
                bench = Bench(
                    self._directory / GRAPH, self._steps, self._rows, Path(folder), outputs=self._draft.outputs
                )
        return LadderResult(reason, bench=bench)

    def _explain(self, selection: Selection, tried: list[Candidate], chosen: Candidate | None) -> str:
        """The reason, for people."""
        if chosen is None:
            return "; ".join(f"{each.name}: {selection.reason_against(each)}" for each in tried)
        if chosen.judgement is None or self._rows is None:
            return selection.describe_gain(chosen)
        known = "" if self._rows.truth is not None else ", whose truth is not known"
        return (
            f"{chosen.name}: {selection.describe_gain(chosen)}; the contract holds on {self._rows.count} "
            f"{self._rows.kind} rows{known}, answers move by up to {chosen.judgement.distance:.2g}"
        )

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
        )

    def _choose_golden_cases(
        self, result: LadderResult, chosen: Candidate, path: Path
    ) -> tuple[Draft, tuple[GoldenCase, ...]]:
        """The golden inputs with the optimized graph's answers; what was judged of the float graph no longer holds.

        Another machine's answers may be as far from these as quantization moved them, no farther.
        """
        draft = msgspec.structs.replace(self._draft, contract=None, report=None)
        golden = draft.golden
        if golden is None or chosen.judgement is None or result.bench is None:
            return draft, ()
        moved = compare(result.bench.before.alone, chosen.judgement.answers.alone, Tolerance()).largest_distance
        absolute = max(golden.tolerance.absolute, float(f"{moved:.1g}"))
        tolerance = msgspec.structs.replace(golden.tolerance, absolute=absolute)
        engines = (open_graph(path), open_graph(path, threads=2))
        cases = choose_stable_cases(engines, (case.inputs for case in self._cases), tolerance, self._steps)
        if not cases:
            self._progress("there will be no golden cases, as quantization moves answers by as much as labels hang on")
        kept = msgspec.structs.replace(golden, cases=len(cases), tolerance=tolerance) if cases else None
        return msgspec.structs.replace(draft, golden=kept), cases

    def _evaluations(self, result: LadderResult) -> tuple[Evaluation, ...]:
        """What was known, measured anew where there is a truth to measure by, and the optimized graph's figures."""
        rows, bench = self._rows, result.bench
        by_stage = {
            evaluation.stage: evaluation for evaluation in self._draft.evaluations if evaluation.stage != OPTIMIZED
        }
        if rows is None or bench is None:
            return tuple(by_stage.values())
        steps = self._steps
        measured = measure(rows.truth, bench.before.batch, steps, self._draft.outputs)
        old = by_stage.get(ONNX)
        if measured:
            same = old.metrics if old is not None and old.rows == rows.count else {}
            by_stage[ONNX] = Evaluation(ONNX, rows.count, {**same, **measured})
        if result.chosen is not None and result.chosen.judgement is not None:
            after = result.chosen.judgement.answers
            alone = compare(bench.before.alone, after.alone, Tolerance()).largest_distance
            figures = {
                **measure(rows.truth, after.batch, steps, self._draft.outputs),
                **compare(bench.before.batch, after.batch, Tolerance()).metrics(),
                "largest_distance_alone": alone,
            }
            by_stage[OPTIMIZED] = Evaluation(OPTIMIZED, rows.count, figures)
        return tuple(by_stage.values())


def _bytes(directory: Path) -> int:
    """Bytes of the graph and its weights in a converted directory."""
    return sum(file.stat().st_size for file in (directory / GRAPH, directory / GRAPH_DATA) if file.exists())
