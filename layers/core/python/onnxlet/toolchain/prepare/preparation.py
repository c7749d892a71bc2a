"""One preparation: inspect the file, try the graph in another process, and draw up the draft."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from onnxlet import errors
from onnxlet.errors import DeadlineExceededError, InvalidInputError, OnnxletError, RejectedModelError
from onnxlet.serving.golden import ARCHITECTURES, architecture
from onnxlet.steps import Steps
from onnxlet.toolchain.prepare.folding import fold_outputs
from onnxlet.toolchain.prepare.served_cases import add_served
from onnxlet.toolchain.prepare.tables import add_tables
from onnxlet.toolchain.prepare.trial import REPORT, REQUEST, TrialReport, TrialRequest
from onnxlet.toolchain.workbench.directory import asset_files, graph_digest, read_draft, read_steps
from onnxlet.toolchain.workbench.extras import versions
from onnxlet.toolchain.workbench.inspection import OLDEST_OPSET, GraphInspection, inspect
from onnxlet.toolchain.workbench.progress import Progress
from onnxlet.values.canonical import canonical
from onnxlet.values.digests import file_digest
from onnxlet.values.keys import BACKGROUND, GOLDEN, GRAPH, GRAPH_DATA
from onnxlet.values.manifest import Draft, Golden, Provenance, Tolerance
from onnxlet.values.signature import Signature

APART_FROM = 32 * 2**20
"""Models of at least so many bytes get their weights in a file of their own."""
MARGIN = 20
"""How many times the measured rounding errors answers may be off on the same architecture."""
NARROWEST = 0.1
"""The smallest share of the declared tolerance that is asked for."""
WIDER = 3.0
"""How many times the declared tolerance holds on the other architecture, where nothing was measured."""
MOST_NAMED = 3
"""Optional inputs that are named one by one."""
MEMORY = 4 * 2**30
"""Bytes of address space of a trial; six times the model's bytes are added."""


class Preparation:
    """A model file or converted directory, and the folder to write into."""

    def __init__(self, path: Path, workdir: Path, progress: Progress) -> None:
        self._workdir, self._progress = workdir, progress
        self._draft: Draft | None = None
        self._steps = Steps()
        self._model = path
        self._golden: Path | None = None
        self._assets: dict[str, Path] = {}
        if path.is_dir():
            self._draft, cases = read_draft(path)
            self._steps = read_steps(path, self._draft)
            self._assets = asset_files(path, self._draft)
            _check_contract(path, self._draft)
            self._model = path / GRAPH
            self._golden = path / GOLDEN if cases else None
        elif not path.is_file():
            raise InvalidInputError(f"there is no file or directory {str(path)!r}", path=str(path))
        self._tolerance = self._draft.golden.tolerance if self._draft and self._draft.golden else Tolerance()

    def finish(self, *, trial_deadline: float, run_deadline: float, force: bool) -> tuple[Draft, dict[str, Path]]:
        """The draft and the files. Raises as prepare does."""
        self._progress(f"checking {self._model.name}")
        inspected = inspect(self._model)
        self._workdir.mkdir(parents=True, exist_ok=True)
        self._progress("optimizing the graph and trying it out")
        request = TrialRequest(
            model=str(self._model.resolve()),
            optimized=GRAPH,
            # ONNX Runtime would leave those that lay apart where they were
            weights_apart=inspected.size >= APART_FROM or bool(inspected.weights),
            optimize=not inspected.float16_weights,
            freeze=bool(inspected.filled_inputs),
            golden=str(self._golden.resolve()) if self._golden else None,
            columns=self._steps.columns,
            targets=self._steps.targets,
            tolerance=self._tolerance,
            run_deadline=run_deadline,
            memory=MEMORY + 6 * inspected.size,
        )
        report = self._try_out(request, trial_deadline)
        if report.source is None or report.graph is None:
            raise _error_of(report, inspected)
        if not (report.runs or force or self._draft):
            raise RejectedModelError(
                f"{self._model.name!r} runs on none of the inputs that were tried ({report.detail}): give rows that "
                f"it runs on with `onnxlet convert {self._model.name} --data ROWS -o DIRECTORY` and publish DIRECTORY, "
                "or force it"
            )
        draft = self._draw_up(inspected, report, report.source, report.graph)
        if draft.golden is not None:
            self._steps = fold_outputs(self._workdir, GRAPH, draft.golden, self._steps, draft.graph)
            draft = msgspec.structs.replace(draft, steps=self._steps.documents) if self._draft else draft
            add_served(self._workdir / GOLDEN, self._steps, draft.signature)
        files = {name: self._workdir / name for name in (GRAPH, GRAPH_DATA, GOLDEN)}
        draft, tables = add_tables(
            draft, self._steps, self._workdir / GRAPH, self._assets.get(BACKGROUND), self._workdir
        )
        return draft, {name: file for name, file in files.items() if file.exists()} | self._assets | tables

    def _try_out(self, request: TrialRequest, deadline: float) -> TrialReport:
        """The trial's report. Raises RejectedModelError if it died, DeadlineExceededError if it had to be killed."""
        (self._workdir / REQUEST).write_bytes(canonical(request))
        command = [sys.executable, "-P", "-m", "onnxlet.toolchain.prepare.trial", str(self._workdir.resolve())]
        try:
            done = subprocess.run(command, capture_output=True, timeout=deadline, check=False)  # noqa: S603 - our own
        except subprocess.TimeoutExpired as error:
            raise DeadlineExceededError(
                f"{self._model.name!r} was not done after {deadline:g} s and was stopped: it may never end"
            ) from error
        report = self._workdir / REPORT
        if done.returncode != 0 or not report.exists():
            raise RejectedModelError(f"{self._model.name!r} {_how_it_ended(done)} when it was tried")
        return msgspec.json.decode(report.read_bytes(), type=TrialReport)

    def _draw_up(self, inspected: GraphInspection, report: TrialReport, source: Signature, graph: Signature) -> Draft:
        draft = self._draft
        if draft is None:
            provenance = Provenance(
                framework=inspected.producer or "onnx",
                opset=inspected.opset,
                versions={
                    **({inspected.producer: inspected.producer_version} if inspected.producer_version else {}),
                    **versions("onnxlet", "onnxruntime"),
                },
            )
            draft = Draft(graph=graph, signature=graph, provenance=provenance)
        elif not draft.graph.agrees(source):
            raise RejectedModelError(f"the graph takes {source}, its draft says {draft.graph}: convert the model again")
        self._steps.check(graph, draft.signature)
        lacking = set(self._steps.artifacts) - self._assets.keys()
        if lacking:
            raise RejectedModelError(f"the steps read {', '.join(map(repr, sorted(lacking)))}, which are no assets")
        for name in self._steps.signature_names:
            self._steps.preprocessor(name, graph)
        origin = draft.golden.source if draft.golden and self._golden else "random"
        golden = Golden(
            path=GOLDEN,
            source=origin,
            cases=report.cases,
            tolerance=self._tolerance,
            tolerances=_tolerances(self._tolerance, 1.0 if inspected.quantized else report.rounding),
        )
        digest = draft.provenance.source_digest or file_digest(self._model)
        return msgspec.structs.replace(
            draft,
            graph=graph,
            golden=golden if report.cases else None,
            provenance=msgspec.structs.replace(draft.provenance, source_digest=digest),
            offline_optimized=report.optimized,
            notes=(*draft.notes, *_notes(inspected, report)),
        )


def _notes(inspected: GraphInspection, report: TrialReport) -> Iterator[str]:
    """What to mind of the version."""
    if not report.cases:
        yield f"it has no golden cases, so that nothing checks it where it is loaded: {report.detail}"
    if inspected.replaceable and inspected.filled_inputs:
        names = list(map(repr, inspected.filled_inputs))
        listed = ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more" if names[MOST_NAMED:] else "")
        yield (
            f"nobody can give its optional inputs {listed}: they keep the values that the file holds, unless these are "
            "taken out of its initializers"
        )


def _tolerances(declared: Tolerance, rounding: float) -> dict[str, Tolerance]:
    """What was declared, narrowed on this architecture to what was measured here, and widened on the other.

    `rounding` is the share of the tolerance that rounding errors use up. Integers may saturate on one processor of an
    architecture and not on the next, so that for them nothing is narrowed.
    """
    here, share = architecture(), min(1.0, max(NARROWEST, MARGIN * rounding))
    scales = {name: share if name == here else WIDER for name in sorted({*ARCHITECTURES.values(), here})}
    return {
        name: Tolerance(float(f"{scale * declared.absolute:.3g}"), float(f"{scale * declared.relative:.3g}"))
        for name, scale in scales.items()
    }


def _check_contract(directory: Path, draft: Draft) -> None:
    """Raises RejectedModelError if the contract was made for another graph."""
    if draft.contract is not None and draft.contract.graph_digest != graph_digest(directory):
        raise RejectedModelError(
            f"the graph in {str(directory)!r} is not the one that was verified: verify it again, with onnxlet verify"
        )


def _error_of(report: TrialReport, inspected: GraphInspection) -> OnnxletError:
    kind = getattr(errors, report.error or "", RejectedModelError)
    opset = inspected.opset.get("ai.onnx", OLDEST_OPSET)
    if opset >= OLDEST_OPSET:
        return kind(report.detail)
    return kind(
        f"{report.detail}; the file uses opset {opset}, ONNX Runtime promises to run those from {OLDEST_OPSET}: export "
        "the model with a newer one, or use onnx.version_converter"
    )


def _how_it_ended(done: subprocess.CompletedProcess[bytes]) -> str:
    if done.returncode < 0:
        return f"crashed with {signal.Signals(-done.returncode).name}"
    last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
    return f"ended with exit code {done.returncode} ({''.join(last)[:300]})"
