"""What a section of the report is: a file that reads it, and says how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import msgspec

from onnxlet.monitor.report.scope import Scope
from onnxlet.values.tables import Block

Told = TypeVar("Told", bound=msgspec.Struct)


class Finding(msgspec.Struct, frozen=True):
    """Something wrong with a version on its newest day, of which an alarm is raised.

    `kind` is a word that programs know it by (`drift`), `about` what it is of: a column, or nothing for the whole
    version. `says` is one line for people, without a value of a row.
    """

    kind: str
    version: int
    day: str
    about: str
    says: str


MOST_ALIKE = 20
"""Findings of one kind and version that are told one by one."""
_MOST_NAMED = 5


def join_findings(findings: Iterable[Finding]) -> list[Finding]:
    """The findings; of more than twenty of one kind and version, one about the whole version."""
    alike: dict[tuple[str, int], list[Finding]] = {}
    for finding in findings:
        alike.setdefault((finding.kind, finding.version), []).append(finding)
    return [
        finding
        for (kind, version), found in alike.items()
        for finding in (found if len(found) <= MOST_ALIKE else [_join(kind, version, found)])
    ]


def _join(kind: str, version: int, found: Sequence[Finding]) -> Finding:
    named = ", ".join(finding.about for finding in found[:_MOST_NAMED])
    return Finding(kind, version, max(each.day for each in found), "", f"{kind} in {len(found)} columns: {named} …")


def find_nothing(_: msgspec.Struct) -> Sequence[Finding]:
    """What a section finds that raises no alarms."""
    return ()


class Measure(NamedTuple):
    """A value of a metric of `onnxlet.telemetry.metrics`, of one version."""

    version: int
    metric: str
    value: float


def measure_nothing(_: msgspec.Struct) -> Sequence[Measure]:
    """What a section measures that has no metrics."""
    return ()


@dataclass(frozen=True)
class Section(Generic[Told]):
    """One section: `read` says what is known of a scope, or None where there is nothing; the rest is said of that.

    `name` is its key in the document, `title` what people read. `document` is what `read` gives: a frozen Struct that
    JSON can say, and that holds nothing of fewer than five rows. `show` gives its tables and plots, for terminals,
    notebooks and the page alike; `find` what is wrong on the newest day of each version, `measure` what metrics say of
    it.
    """

    name: str
    title: str
    document: type[Told]
    read: Callable[[Scope], Told | None]
    show: Callable[[Told], list[Block]]
    find: Callable[[Told], Sequence[Finding]] = find_nothing
    measure: Callable[[Told], Iterable[Measure]] = measure_nothing
