"""What a section of the report is: a file that reads it, and says how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

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


def find_nothing(_: msgspec.Struct) -> Sequence[Finding]:
    """What a section finds that raises no alarms."""
    return ()


@dataclass(frozen=True)
class Section(Generic[Told]):
    """One section: `read` says what is known of a scope, or None where there is nothing; the rest is said of that.

    `name` is its key in the document, `title` what people read. `document` is what `read` gives: a frozen Struct that
    JSON can say, and that holds nothing of fewer than five rows. `show` gives its tables and plots, for terminals,
    notebooks and the page alike; `find` what is wrong on the newest day of each version.
    """

    name: str
    title: str
    document: type[Told]
    read: Callable[[Scope], Told | None]
    show: Callable[[Told], list[Block]]
    find: Callable[[Told], Sequence[Finding]] = find_nothing
