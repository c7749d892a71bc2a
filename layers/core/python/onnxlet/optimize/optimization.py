"""One optimization: candidates, their sizes, answers and latencies, and the decision with its reason."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import onnx

from onnxlet.convert.directory import DATA, MODEL, new_directory, read_draft, write_draft
from onnxlet.convert.evaluation import measure
from onnxlet.engine import OnnxEngine, load_engine
from onnxlet.errors import ExecutionError, InvalidInputError, RejectedModelError
from onnxlet.golden import GoldenCase
from onnxlet.manifest import Draft, Evaluation, Optimization, Tolerance
from onnxlet.optimize.contract import Quality
from onnxlet.optimize.dynamic_int8 import METHOD, quantize, weighted_products
from onnxlet.optimize.latency import Latency, latency_of
from onnxlet.optimize.rows import Answers, Rows, answers_of, rows_of
from onnxlet.synthesis import golden_cases
from onnxlet.verify import compare

RUN_DEADLINE = 60.0
WORTHWHILE = 0.9
"""The share of the bytes that may be left at most."""
OPTIMIZED = "optimized"
ATTEMPTS = 3
"""How often a latency over the limit is measured before it is believed."""


@dataclass(frozen=True)
class Quantized:
    """A candidate that was taken."""

    path: Path
    engine: OnnxEngine
    quality: Quality


class Optimizing:
    """A converted directory on its way to a smaller one."""

    def __init__(self, directory: Path, data: Path | None, target: str | None, say: Callable[[str], None]) -> None:
        self._directory, self._say = directory, say
        self._draft, self._cases = read_draft(directory)
        done = self._draft.optimization
        if done is not None and done.method == METHOD:
            raise InvalidInputError(
                f"{str(directory)!r} is optimized already ({METHOD}): convert the model again first"
            )
        self._float = _load(directory / MODEL)
        self._rows = rows_of(self._draft, self._cases, self._float, data=data, target=target)

    def write(self, output: Path) -> Draft:
        """Choose, and write the directory."""
        with tempfile.TemporaryDirectory(prefix="onnxlet-") as folder, new_directory(output) as filled:
            before = answers_of(self._float, self._draft.steps, self._rows) if self._rows else None
            chosen, reason = self._choose(before, Path(folder))
            draft, cases = self._draft, self._cases
            shutil.copyfile(chosen.path if chosen else self._directory / MODEL, filled / MODEL)
            if chosen is not None:
                draft, cases = self._with_golden(chosen)
            elif (self._directory / DATA).exists():
                shutil.copyfile(self._directory / DATA, filled / DATA)
            done = Optimization(METHOD if chosen else "none", reason, _bytes(self._directory), _bytes(filled))
            draft = msgspec.structs.replace(draft, evaluations=self._evaluations(before, chosen), optimization=done)
            write_draft(filled, draft, cases)
        return draft

    def _choose(self, before: Answers | None, folder: Path) -> tuple[Quantized | None, str]:
        """The first candidate that is smaller, holds the contract and is not slower; else None, and why."""
        products = weighted_products(onnx.load(self._directory / MODEL))
        if not products:
            return None, "the graph has no matrix product with float32 weights to quantize"
        if self._rows is None or before is None:
            return None, "there are no rows to compare answers on: give --data"
        reasons = []
        # the first product sees the features themselves, whose outliers cost the others their precision
        for keep in [[], products[:1]][: len(products)]:
            name = "all matrix products but the first" if keep else "all matrix products"
            self._say(f"quantizing {name}")
            candidate = folder / f"{len(keep)}.onnx"
            quantize(self._directory / MODEL, candidate, keep=keep)
            quantized, said = self._judge(candidate, name, self._rows, before)
            if quantized is not None:
                return quantized, said
            reasons.append(f"with {name} in 8 bits {said}")
        return None, "; ".join(reasons)

    def _judge(self, candidate: Path, name: str, rows: Rows, before: Answers) -> tuple[Quantized | None, str]:
        """The candidate if it may be taken, and why or why not."""
        share = candidate.stat().st_size / _bytes(self._directory)
        if share > WORTHWHILE:
            return None, f"the graph keeps {share:.0%} of its bytes"
        try:
            engine = _load(candidate)
            after = answers_of(engine, self._draft.steps, rows)
        except (RejectedModelError, ExecutionError) as error:
            return None, error.detail
        quality = self._quality(rows, before, after)
        breach = quality.breach(before.batch)
        if breach:
            return None, breach
        latency = self._latency(engine, rows)
        if latency.slower:
            return None, str(latency)
        said = (
            f"{name} in 8 bits: {1 - share:.0%} smaller, {latency}, answers to "
            f"{rows.count} {rows.kind} rows move by up to {quality.alone.largest_distance:.2g} alone and "
            f"{quality.batch.largest_distance:.2g} in one batch"
        )
        return Quantized(candidate, engine, quality), said

    def _quality(self, rows: Rows, before: Answers, after: Answers) -> Quality:
        classification = self._draft.steps.classification
        return Quality(
            batch=compare(before.batch, after.batch, Tolerance()),
            alone=compare(before.alone, after.alone, Tolerance()),
            before=measure(rows.truth, before.batch, classification),
            after=measure(rows.truth, after.batch, classification),
        )

    def _latency(self, engine: OnnxEngine, rows: Rows) -> Latency:
        """The best of a few measurements; one that is not slower is believed at once."""
        for attempt in range(1, ATTEMPTS + 1):
            latency = latency_of(engine, self._float, rows.one(0))
            if not latency.slower or attempt == ATTEMPTS:
                break
        return latency

    def _with_golden(self, chosen: Quantized) -> tuple[Draft, tuple[GoldenCase, ...]]:
        """The golden inputs with the quantized graph's answers.

        Another machine's answers may be as far from these as quantization moved them, no farther.
        """
        golden = self._draft.golden
        if golden is None:
            return self._draft, ()
        absolute = max(golden.tolerance.absolute, float(f"{chosen.quality.alone.largest_distance:.1g}"))
        tolerance = msgspec.structs.replace(golden.tolerance, absolute=absolute)
        cases = golden_cases(chosen.engine, (case.inputs for case in self._cases), tolerance)
        kept = msgspec.structs.replace(golden, cases=len(cases), tolerance=tolerance) if cases else None
        return msgspec.structs.replace(self._draft, golden=kept), cases

    def _evaluations(self, before: Answers | None, chosen: Quantized | None) -> tuple[Evaluation, ...]:
        """What was known, measured anew where there is a truth to measure by, and the quantized graph's figures."""
        rows = self._rows
        known = {
            evaluation.stage: evaluation for evaluation in self._draft.evaluations if evaluation.stage != OPTIMIZED
        }
        if rows is not None and before is not None:
            measured = measure(rows.truth, before.batch, self._draft.steps.classification)
            old = known.get("onnx")
            if measured:
                same = old.metrics if old is not None and old.rows == rows.count else {}
                known["onnx"] = Evaluation("onnx", rows.count, {**same, **measured})
            if chosen is not None:
                known[OPTIMIZED] = Evaluation(OPTIMIZED, rows.count, chosen.quality.metrics())
        return tuple(known.values())


def _load(path: Path) -> OnnxEngine:
    return load_engine(path, threads=1, optimized=False, run_deadline=RUN_DEADLINE)


def _bytes(directory: Path) -> int:
    """Bytes of the graph and its weights in a converted directory."""
    return sum(file.stat().st_size for file in (directory / MODEL, directory / DATA) if file.exists())
