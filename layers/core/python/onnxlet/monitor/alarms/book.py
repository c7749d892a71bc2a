"""The alarms of one model as they are stored: open ones, mutes, events that nobody took yet, and the newest entry."""

from __future__ import annotations

from typing import Literal, TypeVar

import msgspec

from onnxlet.errors import IntegrityError
from onnxlet.monitor.alarms.events import AlarmEvent
from onnxlet.values.canonical import canonical

SCHEMA = 1
What = Literal["opened", "closed", "announced", "acknowledged", "muted", "unmuted"]


class Note(msgspec.Struct, frozen=True):
    """Who said it, when (RFC 3339), and why."""

    who: str
    when: str
    why: str


class Alarm(msgspec.Struct, frozen=True):
    """One open alarm. `day` is the day of rows it was found on, `opened` when (RFC 3339), `says` what was said then.

    `announced`: its event was made; one that opened while it was muted has none until it is muted no more.
    """

    kind: str
    version: int
    about: str
    day: str
    opened: str
    says: str
    announced: bool = True
    acknowledged: Note | None = None

    @property
    def key(self) -> tuple[str, int, str]:
        """What makes two findings the same alarm."""
        return self.kind, self.version, self.about


class Mute(msgspec.Struct, frozen=True):
    """Alarms about a column, or all of a model where `about` is empty, that nobody is told of.

    `until` is the last day (`2026-12-31`) of it, empty for ever.
    """

    about: str
    note: Note
    until: str = ""

    def covers(self, about: str, today: str) -> bool:
        """Whether it is about this column, today."""
        return self.about in {"", about} and self.lasts(today)

    def lasts(self, today: str) -> bool:
        """Whether it holds today."""
        return not self.until or today <= self.until


class Change(msgspec.Struct, frozen=True):
    """One thing that an entry did: to the alarm of a kind and version, or to the mute of a column."""

    what: What
    about: str
    kind: str = ""
    version: int | None = None
    says: str = ""


class Entry(msgspec.Struct, frozen=True):
    """One turn of a model's alarms: who did what, when and why. `predecessor` is the digest of the entry before."""

    model: str
    sequence: int
    note: Note
    changes: tuple[Change, ...]
    predecessor: str | None
    schema: int = SCHEMA


class AlarmBook(msgspec.Struct, frozen=True):
    """The alarms of a model. `outbox` are events that were made and that nobody has taken yet."""

    alarms: tuple[Alarm, ...] = ()
    mutes: tuple[Mute, ...] = ()
    outbox: tuple[AlarmEvent, ...] = ()
    entry: Entry | None = None
    schema: int = SCHEMA

    @property
    def sequence(self) -> int:
        """How many entries there are."""
        return 0 if self.entry is None else self.entry.sequence

    def is_muted(self, about: str, today: str) -> bool:
        """Whether alarms about a column are told to nobody today."""
        return any(mute.covers(about, today) for mute in self.mutes)

    def loud(self, today: str) -> list[Alarm]:
        """The open alarms that nobody has acknowledged or muted."""
        return [alarm for alarm in self.alarms if not alarm.acknowledged and not self.is_muted(alarm.about, today)]


Document = TypeVar("Document", AlarmBook, Entry)


def encode(document: AlarmBook | Entry) -> bytes:
    """Canonical JSON."""
    return canonical(document)


def decode_book(data: bytes) -> AlarmBook:
    """The alarms that were written. Raises IntegrityError if they are none, or a newer onnxlet's."""
    return _decode(data, AlarmBook, "these are no alarms")


def decode_entry(data: bytes) -> Entry:
    """An entry of the log. Raises IntegrityError if it is none, or a newer onnxlet's."""
    return _decode(data, Entry, "this is no entry of alarms")


def _decode(data: bytes, kind: type[Document], refusal: str) -> Document:
    try:
        document = msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise IntegrityError(f"{refusal}: {error}") from error
    if document.schema != SCHEMA:
        raise IntegrityError(f"the alarms have schema {document.schema}, this onnxlet reads {SCHEMA}: upgrade onnxlet")
    return document
