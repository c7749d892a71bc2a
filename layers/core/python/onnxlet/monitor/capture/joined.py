"""Captured rows with their labels: what a version told of each, and what was true."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime

import msgspec

from onnxlet.errors import NotFoundError
from onnxlet.monitor.capture.labels import Label, Place, Truth
from onnxlet.monitor.capture.policy import CapturePolicy, policy_of
from onnxlet.monitor.capture.reading import CapturedRow, list_captures, read_rows
from onnxlet.monitor.capture.rules import Cell, Keep, Round
from onnxlet.registry.reading import lookup
from onnxlet.steps import decode_steps
from onnxlet.store import Store
from onnxlet.values.manifest import Manifest


class Answers(msgspec.Struct, frozen=True):
    """Which captured outputs labels are compared with: those of the first target, or the first number of others.

    `told` is the output of the label or number, `probability` that of the told label's probability, None where that is
    no captured number; `classes`: the labels are classes.
    """

    told: str
    probability: str | None
    classes: bool


class JoinedRow(msgspec.Struct, frozen=True):
    """One captured row. `truth` is None where it has no label; `lag` are the days from its day to its label."""

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
    """A version whose rows can be joined: its policy, its answers, its accuracy on held-out rows if known."""

    policy: CapturePolicy
    answers: Answers
    held_out: float | None


def joinable(store: Store, model: str, version: int) -> Joinable | None:
    """What is needed to join a version's rows; None where its policy keeps too little. Raises IntegrityError."""
    try:
        manifest, _ = lookup.manifest(store, model, version)
    except NotFoundError:
        return None
    policy = policy_of(manifest.policy)
    if policy is None or not policy.joins_labels:
        return None
    answers = _answers_of(manifest, policy)
    if answers is None:
        return None
    measured = [each.metrics["accuracy"] for each in manifest.evaluations if "accuracy" in each.metrics]
    return Joinable(policy, answers, measured[-1] if measured and answers.classes else None)


def join(
    store: Store, model: str, version: int, known: Joinable, labels: Mapping[Place, Label], *, since: str = ""
) -> Iterator[JoinedRow]:
    """The captured rows of a version, with the labels of those that have one."""
    for each, rows in read_rows(store, list_captures(store, model, version, since=since)):
        for row in rows:
            if row.id is not None and row.version == version:
                yield _joined(row, each.day, known, labels.get((row.id, row.row)))


def same(told: Cell, truth: Truth) -> bool:
    """Whether two values mean the same: a file of texts says `1` where JSON says 1 or 1.0, and `true` of true."""
    if isinstance(told, list) or told is None:
        return False
    if _text(told) == _text(truth):
        return True
    try:
        return float(told) == float(truth)
    except ValueError:
        return False


def as_number(value: Cell | Truth) -> float | None:
    """A number, or a text that is one."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None or isinstance(value, bool | list):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _text(value: bool | float | str) -> str:
    return str(value).lower() if isinstance(value, bool) or str(value).lower() in ("true", "false") else str(value)


def _answers_of(manifest: Manifest, policy: CapturePolicy) -> Answers | None:
    numbers = [name for name, rule in policy.outputs.items() if isinstance(rule, Keep | Round)]
    for target in decode_steps(manifest.steps).targets:
        if isinstance(policy.outputs.get(target.names.label), Keep):
            probability = target.names.probability
            return Answers(target.names.label, probability if probability in numbers else None, classes=True)
    single = [spec.name for spec in manifest.signature.outputs if spec.name in numbers and spec.datatype != "BYTES"]
    return Answers(single[0], None, classes=False) if single else None


def _joined(row: CapturedRow, day: str, known: Joinable, label: Label | None) -> JoinedRow:
    values = {**row.columns, **row.outputs}
    answers = known.answers
    lag = None if label is None else (datetime.fromisoformat(label.when).date() - date.fromisoformat(day)).days
    return JoinedRow(
        day,
        row.outputs.get(answers.told),
        as_number(row.outputs.get(answers.probability)) if answers.probability else None,
        None if label is None else label.label,
        lag,
        {name: _named(values.get(name)) for name in known.policy.slices},
    )


def _named(value: Cell) -> str:
    return "missing" if value is None else str(value)
