"""Captured rows with their labels: what a version told of each, and what was true."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime

import msgspec

from onnxlet.errors import NotFoundError
from onnxlet.monitor.capture.labels import Label, Place
from onnxlet.monitor.capture.policy import CapturePolicy, policy_of
from onnxlet.monitor.capture.reading import CapturedRow, list_captures, read_rows
from onnxlet.monitor.capture.rules import Cell, Keep, Round
from onnxlet.monitor.capture.truths import Truth, as_number, same
from onnxlet.registry.reading import lookup
from onnxlet.steps import decode_steps
from onnxlet.store import Store
from onnxlet.values.manifest import Manifest
from onnxlet.values.metrics import metric_of_target, served_metrics


class Answers(msgspec.Struct, frozen=True):
    """Which captured outputs labels are compared with: those of a target, or a number where there is no target.

    `told` is the output of the label or number, `probability` that of the told label's probability, None where that is
    no captured number; `classes`: the labels are classes; `held_out`: how often these were right on held-out rows, if
    that is known.
    """

    told: str
    probability: str | None = None
    classes: bool = False
    held_out: float | None = None


class JoinedRow(msgspec.Struct, frozen=True):
    """An answer in one captured row. `truth` is None where it has no label; `lag` are the days from its day to its
    label.
    """

    day: str
    told: Cell
    probability: float | None
    truth: Truth | None
    lag: int | None
    slices: dict[str, str]

    @property
    def right(self) -> bool:
        """Whether what was told is what is true, be they numbers or texts."""
        return self.truth is not None and same(self.told, self.truth)


class Joinable(msgspec.Struct, frozen=True):
    """A version whose rows can be joined: its policy, and its answers, one or more. Labels that name none are those of
    the first.
    """

    policy: CapturePolicy
    answers: tuple[Answers, ...]


def joinable(store: Store, model: str, version: int) -> Joinable | None:
    """What is needed to join a version's rows; None where its policy keeps too little. Raises IntegrityError."""
    try:
        manifest, _ = lookup.manifest(store, model, version)
    except NotFoundError:
        return None
    policy = policy_of(manifest.policy)
    if policy is None or not policy.joins_labels:
        return None
    answers = tuple(_answers_of(manifest, policy))
    return Joinable(policy, answers) if answers else None


def join(
    store: Store, model: str, version: int, known: Joinable, labels: Mapping[Place, Label], *, since: str = ""
) -> Iterator[tuple[JoinedRow, ...]]:
    """The captured rows of a version, each of the answers in it with its label if it has one."""
    for each, rows in read_rows(store, list_captures(store, model, version, since=since)):
        for row in rows:
            if row.id is not None and row.version == version:
                slices = _slices(row, known.policy)
                yield tuple(
                    _joined(row, each.day, answers, _label_of(row, answers, labels, first=place == 0), slices)
                    for place, answers in enumerate(known.answers)
                )


def _answers_of(manifest: Manifest, policy: CapturePolicy) -> list[Answers]:
    numbers = [name for name, rule in policy.outputs.items() if isinstance(rule, Keep | Round)]
    measured = served_metrics(manifest)
    targets = [
        Answers(
            target.names.label,
            target.names.probability if target.names.probability in numbers else None,
            classes=True,
            held_out=measured.get(metric_of_target("accuracy", target.target)),
        )
        for target in decode_steps(manifest.steps).targets
        if isinstance(policy.outputs.get(target.names.label), Keep)
    ]
    signature = manifest.signature.outputs
    return targets or [Answers(spec.name) for spec in signature if spec.name in numbers and spec.datatype != "BYTES"]


def _label_of(row: CapturedRow, answers: Answers, labels: Mapping[Place, Label], *, first: bool) -> Label | None:
    """The label of an answer; the first's may be one that names no output. Of both the later counts."""
    assert row.id is not None  # noqa: S101 - who calls has looked
    named = [labels.get((row.id, row.row, output)) for output in (answers.told, *([""] if first else []))]
    return max((label for label in named if label is not None), key=lambda label: label.when, default=None)


def _joined(row: CapturedRow, day: str, answers: Answers, label: Label | None, slices: dict[str, str]) -> JoinedRow:
    lag = None if label is None else (datetime.fromisoformat(label.when).date() - date.fromisoformat(day)).days
    return JoinedRow(
        day,
        row.outputs.get(answers.told),
        as_number(row.outputs.get(answers.probability)) if answers.probability else None,
        None if label is None else label.label,
        lag,
        slices,
    )


def _slices(row: CapturedRow, policy: CapturePolicy) -> dict[str, str]:
    values = {**row.columns, **row.outputs}
    return {name: _named(values.get(name)) for name in policy.slices}


def _named(value: Cell) -> str:
    return "missing" if value is None else str(value)
