"""What the alarms of a model become: they open and close as findings come and go, and people acknowledge and mute them.

Each function says what changes, or None where nothing does; the ledger writes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from onnxlet.errors import InvalidInputError
from onnxlet.monitor.alarms.book import Alarm, AlarmBook, Change, Mute, Note, What
from onnxlet.monitor.alarms.events import AlarmEvent
from onnxlet.monitor.report.section import Finding


class Turn(NamedTuple):
    """The alarms and mutes that there are now, what changed, and whom to tell what."""

    alarms: tuple[Alarm, ...]
    mutes: tuple[Mute, ...]
    changes: tuple[Change, ...]
    events: tuple[AlarmEvent, ...] = ()


def settle(
    book: AlarmBook, model: str, findings: Iterable[Finding], aliases: Mapping[int, tuple[str, ...]], now: str
) -> Turn | None:
    """Open an alarm for each finding that has none, close those of which nothing is found any more, end old mutes.

    `aliases` are those that route to a version, `now` is RFC 3339. What is muted is told to nobody; if it is still open
    when the mute ends, it is told then.
    """
    today = now[:10]
    found = {(finding.kind, finding.version, finding.about): finding for finding in findings}
    current = msgspec.structs.replace(book, mutes=tuple(mute for mute in book.mutes if mute.lasts(today)))
    closed = [alarm for alarm in book.alarms if alarm.key not in found]
    still = [alarm for alarm in book.alarms if alarm.key in found]
    late = [alarm for alarm in still if not alarm.announced and not current.is_muted(alarm.about, today)]
    known = {alarm.key for alarm in still}
    fresh = [
        Alarm(*key, finding.day, now, finding.says, announced=not current.is_muted(finding.about, today))
        for key, finding in found.items()
        if key not in known
    ]
    changes = (
        *(Change("unmuted", mute.about, says="its time is over") for mute in book.mutes if not mute.lasts(today)),
        *(_change("closed", alarm) for alarm in closed),
        *(_change("announced", alarm) for alarm in late),
        *(_change("opened", alarm) for alarm in fresh),
    )
    if not changes:
        return None
    alarms = (*(msgspec.structs.replace(alarm, announced=True) if alarm in late else alarm for alarm in still), *fresh)
    over = [alarm for alarm in closed if alarm.announced]
    begun = [*late, *(alarm for alarm in fresh if alarm.announced)]

    def tell(number: int, alarm: Alarm) -> AlarmEvent:
        is_over = alarm in over
        return AlarmEvent(
            id=f"{model}-{book.sequence + 1}-{number}",
            time=now,
            model=model,
            version=alarm.version,
            aliases=aliases.get(alarm.version, ()),
            kind=alarm.kind,
            about=alarm.about,
            state="over" if is_over else "found",
            day=today if is_over else alarm.day,
            says=f"over: {alarm.says}" if is_over else alarm.says,
        )

    events = tuple(tell(number, alarm) for number, alarm in enumerate([*over, *begun], 1))
    return Turn(alarms, current.mutes, changes, events)


def acknowledge(book: AlarmBook, about: str | None, note: Note) -> Turn:
    """Say of the open alarms about a column, of all if None, that somebody knows and cares.

    Raises InvalidInputError where there is none that nobody has acknowledged.
    """
    chosen = {alarm.key for alarm in book.alarms if about in {None, alarm.about} and alarm.acknowledged is None}
    if not chosen:
        raise InvalidInputError(_nothing_to_acknowledge(book, about))
    alarms = tuple(
        msgspec.structs.replace(alarm, acknowledged=note) if alarm.key in chosen else alarm for alarm in book.alarms
    )
    changes = tuple(_change("acknowledged", alarm) for alarm in book.alarms if alarm.key in chosen)
    return Turn(alarms, book.mutes, changes)


def mute(book: AlarmBook, about: str, note: Note, until: str = "") -> Turn:
    """Tell nobody of alarms about a column, or all of the model if `about` is empty, until a day, or for ever."""
    others = tuple(each for each in book.mutes if each.about != about)
    says = f"until {until}" if until else ""
    return Turn(book.alarms, (*others, Mute(about, note, until)), (Change("muted", about, says=says),))


def unmute(book: AlarmBook, about: str) -> Turn:
    """End a mute. Raises InvalidInputError where there is none."""
    others = tuple(each for each in book.mutes if each.about != about)
    if others == book.mutes:
        known = ", ".join(repr(each.about) if each.about else "the whole model" for each in book.mutes)
        what = repr(about) if about else "the whole model"
        raise InvalidInputError(f"{what} is not muted" + (f"; muted are {known}" if known else ""))
    return Turn(book.alarms, others, (Change("unmuted", about),))


def _change(what: What, alarm: Alarm) -> Change:
    return Change(what, alarm.about, alarm.kind, alarm.version, alarm.says)


def _nothing_to_acknowledge(book: AlarmBook, about: str | None) -> str:
    known = sorted({repr(alarm.about or "(the version)") for alarm in book.alarms if alarm.acknowledged is None})
    where = "" if about is None else f" about {about!r}"
    return f"no open alarm{where} waits for somebody" + (f"; those about {', '.join(known)} do" if known else "")
