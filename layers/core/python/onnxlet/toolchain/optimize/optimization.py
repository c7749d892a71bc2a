"""One optimization: the ladder climbed, the choice with its reason, and the directory written."""

from __future__ import annotations

import platform
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from onnxlet.errors import InvalidInputError
from onnxlet.serving.golden import GoldenCase
from onnxlet.toolchain.optimize.calibration import FEWEST_ROWS, sample_of
from onnxlet.toolchain.optimize.candidates import Bench, Tried
from onnxlet.toolchain.optimize.evaluation_rows import rows_of
from onnxlet.toolchain.optimize.families import METHODS, Source, families
from onnxlet.toolchain.optimize.graph import simplified, survey
from onnxlet.toolchain.optimize.ladder import Ladder
from onnxlet.toolchain.optimize.selection import Choosing, Objective, rungs
from onnxlet.toolchain.workbench.comparison import compare
from onnxlet.toolchain.workbench.directory import (
    DATA,
    MODEL,
    assets_of,
    new_directory,
    read_draft,
    told_of_disks,
    write_draft,
)
from onnxlet.toolchain.workbench.evaluation import measure
from onnxlet.toolchain.workbench.evaluation_data import opened
from onnxlet.toolchain.workbench.progress import Progress
from onnxlet.toolchain.workbench.reference import carry_reference
from onnxlet.toolchain.workbench.stable_cases import choose_stable_cases
from onnxlet.toolchain.workbench.table import Targets, quoted
from onnxlet.values.contract import Bounds
from onnxlet.values.manifest import Draft, Evaluation, Tolerance
from onnxlet.values.optimization import Optimization, Rung

SMALL = 256_000
"""Bytes of a graph below which it stays exact: it loads in milliseconds as it is."""
ONNX = "onnx"
OPTIMIZED = "optimized"
MACHINES = {"x86_64": "x86-64", "AMD64": "x86-64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class Wishes:
    """What the user wants of the ladder."""

    method: str | None = None
    objective: Objective = "smallest-not-slower"
    cpu: str = "x86-64"
    search: bool = False
    slices: Sequence[str] = ()
    bounds: Bounds = Bounds()  # noqa: RUF009 - frozen


@dataclass(frozen=True)
class Climbed:
    """The ladder's end: what was chosen, if anything, and what is to be recorded."""

    reason: str
    chosen: Tried | None = None
    rungs: tuple[Rung, ...] = ()
    bench: Bench | None = None


class Optimizing:
    """A converted directory on its way to a smaller one."""

    def __init__(self, directory: Path, data: Path | None, target: Targets, wishes: Wishes, progress: Progress) -> None:
        self._directory, self._wishes, self._progress = directory, wishes, progress
        if wishes.method not in (None, *METHODS):
            raise InvalidInputError(f"there is no method {wishes.method!r}; there are {quoted(METHODS)}")
        self._draft, self._cases = read_draft(directory)
        done = self._draft.optimization
        if done is not None and done.method != "none":
            raise InvalidInputError(
                f"{str(directory)!r} is optimized already ({done.method}): convert the model again first"
            )
        engine = opened(directory / MODEL)
        self._rows = rows_of(
            directory, self._draft, self._cases, engine, data=data, target=target, slices=wishes.slices
        )

    def write(self, output: Path) -> Draft:
        """Choose, and write the directory, or nothing. Raises UnavailableError where the disk is full."""
        with (
            tempfile.TemporaryDirectory(prefix="onnxlet-") as folder,
            told_of_disks(Path(folder), output),
            new_directory(output) as filled,
        ):
            climbed = self._climbed(Path(folder))
            chosen, draft, cases = climbed.chosen, self._draft, self._cases
            if chosen is not None and chosen.path is not None:
                shutil.copyfile(chosen.path, filled / MODEL)
                draft, cases = self._with_golden(climbed, chosen, chosen.path)
            else:
                for name in (MODEL, DATA):
                    if (self._directory / name).exists():
                        shutil.copyfile(self._directory / name, filled / name)
            for name, asset in assets_of(self._directory, draft).items():
                shutil.copyfile(asset, filled / name)
            carry_reference(self._directory, filled)
            draft = msgspec.structs.replace(
                draft, evaluations=self._evaluations(climbed), optimization=self._recorded(climbed, _bytes(filled))
            )
            write_draft(filled, draft, cases)
        return draft

    def _climbed(self, folder: Path) -> Climbed:
        """The choice, or why there is none."""
        wishes, size = self._wishes, _bytes(self._directory)
        simple = folder / "simplified.onnx"
        model = simplified(self._directory / MODEL, simple)
        source = Source(simple, model, survey(model))
        reason = source.surveyed.exact()
        if reason:
            return self._exact(reason)
        if wishes.method is None and size < SMALL:
            return self._exact(
                f"a graph of {size / 1000:.0f} kB, less than {SMALL // 1000}, has nothing to gain and stays exact; "
                f"--method {METHODS[0]} quantizes it all the same"
            )
        if self._rows is None:
            return self._exact("there are no rows to compare answers on: give --data")
        if wishes.method is None and self._rows.kind == "given" and self._rows.count < FEWEST_ROWS:
            return self._exact(
                f"{self._rows.count} rows prove too little, {FEWEST_ROWS} are needed: give more --data, or a --method"
            )
        bench = Bench(self._directory / MODEL, self._draft.steps, self._rows, folder, wishes.bounds)
        ladder = Ladder(bench, folder, search=wishes.search, progress=self._progress)
        choosing = Choosing(wishes.objective, size, timed=MACHINES.get(platform.machine()) == wishes.cpu)
        tried: list[Tried] = []
        for family in families(source, sample_of(self._rows), wishes.cpu):
            if wishes.method in (None, family.method):
                held = min((each.size for each in tried if not choosing.against(each)), default=None)
                tried.extend(ladder.climb(family, held))
        chosen = choosing.choose(tried)
        return Climbed(self._why(choosing, tried, chosen), chosen, rungs(bench, choosing, tried, chosen), bench)

    def _exact(self, reason: str) -> Climbed:
        """Nothing is tried; what there is is measured all the same where there is a truth."""
        bench = None
        if self._rows is not None and self._rows.truth is not None:
            with tempfile.TemporaryDirectory(prefix="onnxlet-") as folder:
                bench = Bench(self._directory / MODEL, self._draft.steps, self._rows, Path(folder))
        return Climbed(reason, bench=bench)

    def _why(self, choosing: Choosing, tried: list[Tried], chosen: Tried | None) -> str:
        """The reason, for people."""
        if chosen is None:
            return "; ".join(f"{each.name}: {choosing.against(each)}" for each in tried)
        if chosen.judged is None or self._rows is None:
            return choosing.gain(chosen)
        known = "" if self._rows.truth is not None else ", whose truth is not known"
        return (
            f"{chosen.name}: {choosing.gain(chosen)}; the contract holds on {self._rows.count} {self._rows.kind} rows"
            f"{known}, answers move by up to {chosen.judged.distance:.2g}"
        )

    def _recorded(self, climbed: Climbed, bytes_after: int) -> Optimization:
        chosen = climbed.chosen
        return Optimization(
            method=chosen.method if chosen else "none",
            reason=climbed.reason,
            bytes_before=_bytes(self._directory),
            bytes_after=bytes_after,
            objective=self._wishes.objective,
            cpu=self._wishes.cpu,
            calibration=chosen.calibration if chosen else None,
            kept=chosen.keep if chosen else (),
            rungs=climbed.rungs,
        )

    def _with_golden(self, climbed: Climbed, chosen: Tried, path: Path) -> tuple[Draft, tuple[GoldenCase, ...]]:
        """The golden inputs with the optimized graph's answers; what was judged of the float graph no longer holds.

        Another machine's answers may be as far from these as quantization moved them, no farther.
        """
        draft = msgspec.structs.replace(self._draft, contract=None, report=None)
        golden = draft.golden
        if golden is None or chosen.judged is None or climbed.bench is None:
            return draft, ()
        moved = compare(climbed.bench.before.alone, chosen.judged.answers.alone, Tolerance()).largest_distance
        absolute = max(golden.tolerance.absolute, float(f"{moved:.1g}"))
        tolerance = msgspec.structs.replace(golden.tolerance, absolute=absolute)
        engines = (opened(path), opened(path, threads=2))
        cases = choose_stable_cases(engines, (case.inputs for case in self._cases), tolerance, draft.steps)
        if not cases:
            self._progress("there will be no golden cases, as quantization moves answers by as much as labels hang on")
        kept = msgspec.structs.replace(golden, cases=len(cases), tolerance=tolerance) if cases else None
        return msgspec.structs.replace(draft, golden=kept), cases

    def _evaluations(self, climbed: Climbed) -> tuple[Evaluation, ...]:
        """What was known, measured anew where there is a truth to measure by, and the optimized graph's figures."""
        rows, bench = self._rows, climbed.bench
        known = {
            evaluation.stage: evaluation for evaluation in self._draft.evaluations if evaluation.stage != OPTIMIZED
        }
        if rows is None or bench is None:
            return tuple(known.values())
        steps = self._draft.steps
        measured = measure(rows.truth, bench.before.batch, steps)
        old = known.get(ONNX)
        if measured:
            same = old.metrics if old is not None and old.rows == rows.count else {}
            known[ONNX] = Evaluation(ONNX, rows.count, {**same, **measured})
        if climbed.chosen is not None and climbed.chosen.judged is not None:
            after = climbed.chosen.judged.answers
            alone = compare(bench.before.alone, after.alone, Tolerance()).largest_distance
            figures = {
                **measure(rows.truth, after.batch, steps),
                **compare(bench.before.batch, after.batch, Tolerance()).metrics(),
                "largest_distance_alone": alone,
            }
            known[OPTIMIZED] = Evaluation(OPTIMIZED, rows.count, figures)
        return tuple(known.values())


def _bytes(directory: Path) -> int:
    """Bytes of the graph and its weights in a converted directory."""
    return sum(file.stat().st_size for file in (directory / MODEL, directory / DATA) if file.exists())
