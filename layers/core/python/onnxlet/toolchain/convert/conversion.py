"""One conversion: export the model, prove the graph, and write it with metrics and golden cases to a directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import msgspec

from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.steps import Steps, decode_steps
from onnxlet.steps.classification import PROBABILITIES
from onnxlet.toolchain.convert.accepted_values import ask_accepted
from onnxlet.toolchain.convert.background import make_background, with_background
from onnxlet.toolchain.convert.declared_columns import DeclaredColumn, with_declared_columns
from onnxlet.toolchain.convert.declared_output import Document, complete_output_steps
from onnxlet.toolchain.convert.expected import read_expected
from onnxlet.toolchain.convert.export_search import ExportSearch, VerifiedExport
from onnxlet.toolchain.convert.golden_cases import choose_golden_rows, make_golden_cases
from onnxlet.toolchain.convert.impossible import check_link, check_sums, describe_doubled_link
from onnxlet.toolchain.convert.trained_model import LeavesOut, ModelRows, TakesTensors, TellsOutputs, TrainedModel
from onnxlet.toolchain.verify.contract import judge as judge_answers
from onnxlet.toolchain.workbench.arrays import Arrays
from onnxlet.toolchain.workbench.baseline import count_rows
from onnxlet.toolchain.workbench.data import Data, Judge, Target, open_data, open_judge
from onnxlet.toolchain.workbench.directory import explain_full_disk, new_directory, source_digest, write_draft
from onnxlet.toolchain.workbench.evaluation import graph_inputs, measure, run_columns
from onnxlet.toolchain.workbench.evaluation_data import open_graph
from onnxlet.toolchain.workbench.extras import versions
from onnxlet.toolchain.workbench.progress import Progress
from onnxlet.toolchain.workbench.reference import (
    JUDGE_REFERENCE,
    ONNX,
    PROBING_REFERENCE,
    SOURCE,
    Reference,
    write_reference,
)
from onnxlet.toolchain.workbench.table import Table, count_of, quoted
from onnxlet.toolchain.workbench.task import columns_of, task_of
from onnxlet.toolchain.workbench.truth import truth_of
from onnxlet.values.keys import BASELINE, GRAPH
from onnxlet.values.manifest import (
    Draft,
    Evaluation,
    Golden,
    OutputMeaning,
    OutputsAre,
    Provenance,
    ReferenceOrigin,
    Tolerance,
)
from onnxlet.values.tensors import Tensor, Tensors

SEED = 0
BINARY = (0, 1)
MOST_DIMENSIONS = 2
"""Truth of more, [rows, …], is of images, not of rows."""


@dataclass(frozen=True)
class Declared:
    """What the caller says of columns, by name, and the output steps, as far as they are known without the model."""

    columns: Mapping[str, DeclaredColumn] = field(default_factory=dict)
    outputs: tuple[Document, ...] = ()


NOTHING_DECLARED = Declared()


@dataclass(frozen=True)
class Conversion:
    """A trained model, and what the caller said about it."""

    model: TrainedModel
    origin: Path | None
    """The file or directory with what was trained: the source, or the file of its weights; None for a live model."""
    labels: tuple[tuple[str, ...], ...]
    """Names of the classes of each target, or none."""
    tolerance: Tolerance
    training_commit: str | None
    progress: Progress
    outputs_are: OutputsAre | None = None
    """What the caller says that scores of classes are."""
    declared: Declared = NOTHING_DECLARED

    def write(
        self,
        output: Path,
        *,
        data: Data | None,
        target: Target,
        expected: Data | None,
        judge: Judge | None,
        golden_from: Literal["synthetic", "data"],
        background_from: Literal["synthetic", "data"] = "synthetic",
    ) -> Draft:
        """Convert and write. Raises ConversionError, InvalidInputError, MissingExtraError, UnavailableError."""
        table, targets = (None, ()) if data is None else self._open_data(data, target)
        rows = self._read_rows(table, targets)
        # what a network's outputs are is told by all of its answers, and so are its classes
        own = self.model.predict(rows)
        if not isinstance(self.model, TakesTensors):
            rows = ask_accepted(self.model, rows)
        labels = self._class_labels()
        classes = list(zip(self.model.classes, labels, strict=True))
        truth = truth_of(table, targets, classes, self._own_targets) if table else None
        self._name_absent_classes(truth)
        reference, answers = self._reference(expected, own, rows.count, self._known_targets(targets, labels))
        self._check_possible(own, answers, reference, rows)
        if not own.keys() <= answers.keys() and isinstance(self.model, LeavesOut):
            # nobody told what to expect of them
            self.model.leave_out()
        search = ExportSearch(self.model, rows, answers, labels, self.tolerance, self.progress, truth, self._outputs)
        with explain_full_disk(output), new_directory(output) as directory:
            verified, answers = self._find_best(search, directory / GRAPH)
            self.progress("making golden cases")
            export = verified.export
            columns, source = choose_golden_rows(rows, export, golden_from)
            engines = (verified.engine, open_graph(directory / GRAPH, threads=2))
            golden, cases = make_golden_cases(engines, export.steps, columns, source=source, tolerance=self.tolerance)
            if golden is None:
                self.progress(
                    "there will be no golden cases: answers change, or are refused, with the last digits of numbers"
                )
            evaluations = self._evaluate(verified, truth, None if reference is None else answers)
            notes = (*self._left_open(truth, labels), *(self._odd(verified, truth) if reference is None else ()))
            draft = self._declare(self._make_draft(verified, golden, reference, evaluations, notes), export.steps)
            steps = decode_steps(draft.steps, export.steps.read)
            background = make_background(rows, export, steps, verified.engine, background_from)
            draft = with_background(draft, background, directory)
            counted = self._count_rows(verified, rows, draft, steps)
            judged = None if judge is None or table is None else self._answer(judge, target, verified, table)
            for engine in engines:
                engine.close()
            draft = msgspec.structs.replace(draft, assets=(*draft.assets, *counted))
            write_draft(directory, draft, cases)
            if table is not None:
                write_reference(directory, _make_reference(table.digest, verified, rows, answers, verified.answers))
            probed = verified.probed.reference()
            if probed is not None:
                write_reference(directory, probed, PROBING_REFERENCE)
            if judged is not None:
                write_reference(directory, judged, JUDGE_REFERENCE)
            for name, contents in {**export.assets, **counted}.items():
                (directory / name).write_bytes(contents)
        return draft

    def _count_rows(self, verified: VerifiedExport, rows: ModelRows, draft: Draft, declared: Steps) -> dict[str, bytes]:
        """The baseline, by its name, with which monitoring compares live rows; none of rows that were made up."""
        if rows.source != "data":
            return {}
        self.progress("counting the data's values for monitoring")
        engine, steps = verified.engine, verified.export.steps

        def predict(part: Tensors) -> Tensors:
            return declared.finish(engine.run(graph_inputs(engine, steps, part)), draft.signature.outputs)

        return {BASELINE: count_rows(rows.served(verified.export.tabular), steps, predict).encode()}

    def _find_best(self, search: ExportSearch, path: Path) -> tuple[VerifiedExport, Tensors]:
        """The graph, and the answers that it is held to: without those that no graph gives, if they may be left out."""
        try:
            return search.find_best(path), search.expected
        except ConversionError as error:
            names = self.model.leave_out() if isinstance(self.model, LeavesOut) else ()
            if not names:
                raise
            self.progress(f"leaving out {quoted(names)}: {error.detail}")
            answers = {name: tensor for name, tensor in search.expected.items() if name not in names}
            return replace(search, expected=answers).find_best(path), answers

    def _open_data(self, data: Data, target: Target) -> tuple[Table | Arrays, tuple[str, ...]]:
        return open_data(data, target, self.model.names or (), tensors=isinstance(self.model, TakesTensors))

    def _read_rows(self, data: Table | Arrays | None, targets: tuple[str, ...]) -> ModelRows:
        if not isinstance(data, Arrays):
            return self.model.read_rows(data, targets, seed=SEED)
        if not isinstance(self.model, TakesTensors):
            raise InvalidInputError(
                f"{data.name!r} holds arrays, and a {self.model.framework} model reads columns: give --data a CSV file"
            )
        return self.model.read_arrays(data, targets, seed=SEED)

    def _answer(self, judge: Judge, target: Target, verified: VerifiedExport, data: Table | Arrays) -> Reference:
        """The model's own answers, and the graph's, to rows that only judge. Raises InvalidInputError."""
        self.progress("asking the model about the rows that judge")
        table, targets = self._open_data(*open_judge(judge, target))
        if table.digest == data.digest:
            raise InvalidInputError("--judge and --data are the same rows: those that choose cannot judge")
        rows = self._read_rows(table, targets)
        answers = run_columns(verified.engine, verified.export.steps, rows.served(verified.export.tabular))
        return _make_reference(table.digest, verified, rows, self.model.predict(rows), answers)

    def _class_labels(self) -> list[tuple[str, ...]]:
        """The names of each target's classes: those that were given, else the model's own."""
        classes = self.model.classes
        if isinstance(self.model, TakesTensors) and len(self.labels) <= 1:
            return list(self.model.labels)
        if self.labels and not classes:
            raise InvalidInputError("labels name classes, and this model is a regressor: leave --labels out")
        if self.labels and len(self.labels) != len(classes):
            raise InvalidInputError(
                f"--labels name the classes of {count_of(len(self.labels), 'target')}, the model has {len(classes)}: "
                "give the option once for each, in the model's own order"
            )
        for labels, values in zip(self.labels, classes, strict=bool(self.labels)):
            _check_labels(labels, values)
        return list(self.labels) or [()] * len(classes)

    def _name_absent_classes(self, truth: Tensor | None) -> None:
        """Say which of the classes that the caller named no row of the data is of: may be they were misnamed."""
        if truth is None or not self.labels or truth.ndim > MOST_DIMENSIONS:
            return
        if self._own_targets:
            named = zip(self._own_targets, columns_of(truth), strict=True)
            self._tell_absent([label for label, column in named if 1 not in column])
            return
        for labels, classes, column in zip(self.labels, self.model.classes, columns_of(truth), strict=False):
            known = set(column.tolist())
            self._tell_absent([label for label, value in zip(labels, classes, strict=True) if value not in known])

    def _tell_absent(self, labels: Sequence[str]) -> None:
        if labels:
            self.progress(f"no row of the data is labelled {quoted(labels)}")

    def _known_targets(
        self, targets: Sequence[str], labels: Sequence[tuple[str, ...]]
    ) -> list[tuple[str, tuple[int | str, ...], tuple[str, ...]]]:
        """A classifier's targets: name, which is empty where there is one, class values and labels."""
        classes = self.model.classes
        named = self._own_targets or targets or [f"y{index}" for index in range(len(classes))]
        names = named if len(classes) > 1 else [""] * len(classes)
        return list(zip(names, classes, labels, strict=True))

    @property
    def _own_targets(self) -> tuple[str, ...]:
        return self.model.target_names if isinstance(self.model, TakesTensors) else ()

    @property
    def _outputs(self) -> OutputMeaning | None:
        return self.model.outputs if isinstance(self.model, TellsOutputs) else None

    def _check_possible(
        self, own: Tensors, answers: Tensors, reference: ReferenceOrigin | None, rows: ModelRows
    ) -> None:
        """Raise InvalidInputError for probabilities that no classifier gives."""
        tensors = isinstance(self.model, TakesTensors)
        if self.outputs_are not in (None, "probabilities") and not tensors:
            raise InvalidInputError(
                f"a {self.model.framework} model says itself what its scores are: leave --outputs-are out"
            )
        check_sums(answers, own)
        if reference is None or reference.kind != "file" or rows.source != "data" or self.outputs_are is not None:
            return
        if isinstance(self.model, TakesTensors):
            check_link(self.model.doubled_link)
        for shares in (own[name] for name in own if name.startswith(PROBABILITIES) and not tensors):
            check_link(describe_doubled_link(shares[:, 1:] if shares.shape[1] == len(BINARY) else shares))

    def _evaluate(
        self, verified: VerifiedExport, truth: Tensor | None, expected: Tensors | None
    ) -> tuple[Evaluation, ...]:
        """The metrics of model and graph, and how far they are apart; of a graph alone, its own."""
        steps, rows = verified.export.steps, verified.comparison.rows
        onnx = measure(truth, verified.answers, steps, self._outputs)
        if expected is None:
            return (Evaluation("onnx", rows, onnx),)
        source = measure(truth, expected, steps, self._outputs)
        return (
            *([Evaluation("source", rows, source)] if source else []),
            Evaluation("onnx", rows, {**onnx, **verified.comparison.metrics()}),
        )

    def _left_open(self, truth: Tensor | None, labels: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
        """What was taken for granted of a network's outputs, as neither answers nor targets tell."""
        outputs = self._outputs
        is_told = truth is not None or outputs is None or outputs.said_by != "answers"
        if is_told or outputs is None or outputs.are != "logits" or len(labels) != 1 or len(labels[0]) <= len(BINARY):
            return ()
        note = (
            f"{quoted(labels[0])} are taken for classes of which each row has one, and no target tells: if it may have "
            "several of them, say --outputs-are independent-logits"
        )
        return (note,)

    def _odd(self, verified: VerifiedExport, truth: Tensor | None) -> tuple[str, ...]:
        """What is odd about the answers of a graph that gets no contract, which would say it."""
        if truth is None:
            return ()
        answers = verified.answers
        task = task_of(verified.export.steps, answers, truth, self._outputs)
        try:
            return judge_answers(answers, answers, truth, task, resamples=0).oddities
        except InvalidInputError:
            # answers that cannot be compared with the truth are told when they are measured
            return ()

    def _make_draft(
        self,
        verified: VerifiedExport,
        golden: Golden | None,
        reference: ReferenceOrigin | None,
        evaluations: tuple[Evaluation, ...],
        notes: tuple[str, ...],
    ) -> Draft:
        export, graph = verified.export, verified.engine.signature
        steps = export.steps
        return Draft(
            graph=graph,
            signature=steps.served(graph),
            steps=steps.documents,
            labels=steps.targets[0].labels if len(steps.targets) == 1 else (),
            provenance=Provenance(
                framework=self.model.framework,
                opset=export.opset,
                versions={**self.model.versions, **versions("onnxlet", "onnxruntime")},
                source_digest=None if self.origin is None else source_digest(self.origin),
                training_commit=self.training_commit,
            ),
            reference=reference,
            outputs=self._outputs,
            evaluations=evaluations,
            probing=verified.probed.counts if verified.probed.counts.rows else None,
            golden=golden,
            assets=tuple(sorted(export.assets)),
            notes=(*notes, *export.notes),
        )

    def _declare(self, draft: Draft, own: Steps) -> Draft:
        """The draft with the steps that the caller declares beside the model's own. Raises InvalidInputError."""
        if self.declared == NOTHING_DECLARED:
            return draft
        outputs = complete_output_steps(self.declared.outputs, own, draft.graph)
        own = with_declared_columns(self.declared.columns, own, draft.graph)
        steps = Steps((*own.each, *outputs), own.read)
        return msgspec.structs.replace(draft, steps=steps.documents, signature=steps.served(draft.graph))

    def _reference(
        self,
        expected: Data | None,
        own: Tensors,
        rows: int,
        targets: Sequence[tuple[str, Sequence[int | str], Sequence[str]]],
    ) -> tuple[ReferenceOrigin | None, Tensors]:
        """Whose answers count, and these answers: the user's, else the model's `own`. Raises InvalidInputError."""
        model = self.model
        if expected is not None:
            return ReferenceOrigin("expected", model.framework), read_expected(expected, own, rows, targets)
        if model.reference is None:
            return None, own
        return ReferenceOrigin(model.reference, model.framework, next(iter(model.versions.values()), "")), own


def _check_labels(labels: tuple[str, ...], classes: tuple[int | str, ...]) -> None:
    if len(labels) != len(classes):
        raise InvalidInputError(
            f"{len(labels)} labels were given, the model has {len(classes)} classes: {quoted(map(str, classes))}"
        )
    if any(label in classes and label != name for label, name in zip(labels, classes, strict=True)):
        raise InvalidInputError(
            f"the classes have names already, in this order: {quoted(map(str, classes))}; with --labels "
            f"{','.join(labels)} one would get another's: leave it out"
        )


def _make_reference(
    data_digest: str, verified: VerifiedExport, rows: ModelRows, expected: Tensors, answers: Tensors
) -> Reference:
    """The answers to the data, to compare with later."""
    # pictures are read again, by the step
    inputs = rows.columns if verified.export.tabular is None and verified.export.image is None else {}
    return Reference(data_digest, {SOURCE: expected, ONNX: {name: answers[name] for name in expected}}, inputs)
