"""The section of alarms: which are open, since when, and what people said of them."""

from __future__ import annotations

import msgspec

from onnxlet.monitor.alarms.book import Alarm, AlarmBook, Mute, Note
from onnxlet.monitor.alarms.ledger import read_book
from onnxlet.monitor.report.scope import Scope
from onnxlet.monitor.report.section import Section
from onnxlet.values.tables import Block, Table


class Alarms(msgspec.Struct, frozen=True):
    """The section."""

    alarms: tuple[Alarm, ...]
    mutes: tuple[Mute, ...]


def read_alarms(scope: Scope) -> Alarms | None:
    """Those of the model that are open, and what is muted; None where there is nothing. Raises IntegrityError."""
    return tell_alarms(read_book(scope.store, scope.model))


def tell_alarms(book: AlarmBook) -> Alarms | None:
    """What the section says of alarms that were read."""
    return Alarms(book.alarms, book.mutes) if book.alarms or book.mutes else None


def show_alarms(told: Alarms) -> list[Block]:
    """Two tables."""
    alarms = [
        (alarm.version, alarm.kind, alarm.about, alarm.day, alarm.says, _describe(alarm.acknowledged))
        for alarm in told.alarms
    ]
    mutes = [(mute.about or "the whole model", mute.until or "for ever", _describe(mute.note)) for mute in told.mutes]
    return [
        Table(("version", "alarm", "about", "since the rows of", "what was found", "acknowledged"), alarms),
        Table(("muted", "until", "by"), mutes),
    ]


def _describe(note: Note | None) -> str:
    return "" if note is None else f"{note.who}, {note.when[:10]}: {note.why}"


SECTION = Section("alarms", "Alarms", Alarms, read_alarms, show_alarms)
