"""One verification: run the graph on the evaluation data, judge it, and write contract and report beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from onnxlet.errors import InvalidInputError
from onnxlet.steps import decode_steps
from onnxlet.store.files import replace_whole
from onnxlet.toolchain.verify.contract import judge
from onnxlet.toolchain.verify.plots import make_plots
from onnxlet.toolchain.verify.report import REPORT, render_report
from onnxlet.toolchain.workbench.data import Data, Target
from onnxlet.toolchain.workbench.directory import DRAFT, graph_digest, read_draft
from onnxlet.toolchain.workbench.evaluation import run_graph
from onnxlet.toolchain.workbench.evaluation_data import EvaluationData, open_graph, read_evaluation_data
from onnxlet.toolchain.workbench.progress import Progress
from onnxlet.toolchain.workbench.reference import ONNX, SOURCE
from onnxlet.toolchain.workbench.task import task_of
from onnxlet.values.canonical import canonical
from onnxlet.values.contract import Bounds, Contract
from onnxlet.values.keys import GRAPH
from onnxlet.values.tensors import Tensors

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

    def write(self, copy: Path | None) -> Contract:
        """Judge, and write. Raises as `verify` does."""
        draft, _ = read_draft(self.directory)
        steps = decode_steps(draft.steps)
        engine = open_graph(self.directory / GRAPH)
        try:
            evaluation = read_evaluation_data(self.directory, draft, engine, self.data, self.target)
            stages = self._answers_at_conversion(evaluation)
            slicings = evaluation.slicings(self.slices)
            self.progress(f"running the model on {evaluation.rows} rows")
            candidate = run_graph(engine, steps, evaluation.inputs)
        finally:
            engine.close()
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
        contract = msgspec.structs.replace(contract, graph_digest=graph_digest(self.directory))
        drawn = make_plots(task, {SOURCE: stages[SOURCE], **between, name: candidate}, evaluation.truth)
        page = render_report(draft, contract, drawn)
        _write(self.directory / REPORT, page.encode())
        judged = msgspec.structs.replace(draft, contract=contract, report=REPORT)
        _write(self.directory / DRAFT, canonical(judged) + b"\n")
        if copy is not None:
            _write(copy, page.encode())
        return contract

    def _answers_at_conversion(self, evaluation: EvaluationData) -> Mapping[str, Tensors]:
        """What was answered at conversion. Raises InvalidInputError if it is not known for this data."""
        if evaluation.reference is None:
            name = evaluation.cells.name
            raise InvalidInputError(
                f"what the model itself answers to {name!r} is not known: convert it with this --data, then "
                "optimize and verify what comes out",
                data=name,
            )
        return evaluation.reference.stages


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all. Raises InvalidInputError where that cannot be."""
    try:
        replace_whole(path, data)
    except OSError as error:
        raise InvalidInputError(f"cannot write {str(path)!r}: {error.strerror}", path=str(path)) from error
