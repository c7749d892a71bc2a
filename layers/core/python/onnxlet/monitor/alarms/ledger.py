"""The alarms of a model in a store: one document, and a log of entries that only grows.

There is one commit point, as for aliases: who changes something first copies the entry that the document holds to the
log (create-only, so that repeating it is harmless), then swaps the document against the ETag that was read. A lost swap
is read again and decided again; who is killed in between has changed nothing.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

import msgspec

from onnxlet.errors import IntegrityError, ObjectNotFoundError, PreconditionFailedError
from onnxlet.monitor.alarms.book import AlarmBook, Entry, Note, decode_book, decode_entry, encode
from onnxlet.monitor.alarms.events import AlarmEvent
from onnxlet.monitor.alarms.turning import Turn
from onnxlet.registry.parallel import map_parallel
from onnxlet.store import Store
from onnxlet.values.digests import digest
from onnxlet.values.keys import alarm_book_key, alarm_entry_key, alarm_log_prefix

MOST_WAITING = 1000
"""Events that wait for somebody to take them; the oldest go first."""
_RETRIES = 20
_PAUSE = 0.02


def read_book(store: Store, model: str) -> AlarmBook:
    """The alarms of a model; empty where nothing was ever found. Raises IntegrityError."""
    return _read(store, model)[0]


def turn(store: Store, model: str, note: Note, decide: Callable[[AlarmBook], Turn | None]) -> AlarmBook:
    """Write what `decide` makes of the alarms as they are, with an entry in the log; return them as they are then.

    `decide` is asked again after each lost swap. Raises PreconditionFailedError if others keep winning.
    """

    def change(book: AlarmBook) -> AlarmBook | None:
        decided = decide(book)
        if decided is None:
            return None
        entry = Entry(model, book.sequence + 1, note, decided.changes, None)
        outbox = (*book.outbox, *decided.events)[-MOST_WAITING:]
        return AlarmBook(decided.alarms, decided.mutes, outbox, entry)

    return _swap(store, model, change)


def take_out(store: Store, model: str, taken: Sequence[AlarmEvent]) -> AlarmBook:
    """Forget events that somebody has taken. Raises PreconditionFailedError if others keep winning."""
    gone = {event.id for event in taken}

    def change(book: AlarmBook) -> AlarmBook | None:
        left = tuple(event for event in book.outbox if event.id not in gone)
        return None if left == book.outbox else msgspec.structs.replace(book, outbox=left)

    return _swap(store, model, change)


def read_log(store: Store, model: str) -> list[Entry]:
    """Every entry, oldest first. Raises IntegrityError if one is gone, or is not as it was written."""
    book = read_book(store, model)
    if book.entry is None:
        return []
    last = alarm_entry_key(model, book.sequence)
    past = [entry.key for entry in store.list(alarm_log_prefix(model)) if entry.key < last]
    written = [*map_parallel(lambda key: store.get(key).data, past), encode(book.entry)]
    entries = [decode_entry(data) for data in written]
    before = [None, *map(digest, written)]
    for sequence, (entry, predecessor) in enumerate(zip(entries, before, strict=False), 1):
        if (entry.sequence, entry.predecessor) != (sequence, predecessor):
            raise IntegrityError(f"the log of alarms of {model!r} breaks at entry {sequence}", model=model)
    return entries


def _read(store: Store, model: str) -> tuple[AlarmBook, str | None]:
    try:
        blob = store.get(alarm_book_key(model))
    except ObjectNotFoundError:
        return AlarmBook(), None
    return decode_book(blob.data), blob.etag


def _swap(store: Store, model: str, change: Callable[[AlarmBook], AlarmBook | None]) -> AlarmBook:
    key = alarm_book_key(model)
    attempted: AlarmBook | None = None
    for attempt in range(_RETRIES):
        book, etag = _read(store, model)
        if attempted is not None and book == attempted:  # it was written, and only the answer was lost
            return book
        changed = change(book)
        if changed is None:
            return book
        try:
            if book.entry is not None and changed.entry is not None and changed.entry.sequence > book.sequence:
                entry = msgspec.structs.replace(changed.entry, predecessor=_archive(store, book.entry))
                changed = msgspec.structs.replace(changed, entry=entry)
            attempted = changed
            store.create(key, encode(changed)) if etag is None else store.swap(key, encode(changed), etag)
        except PreconditionFailedError:
            time.sleep(random.uniform(0, _PAUSE * 2 ** min(attempt, 6)))  # noqa: S311 - jitter, no secret
        else:
            return changed
    raise PreconditionFailedError(f"others keep changing the alarms of {model!r}: try again", key=key)


def _archive(store: Store, entry: Entry) -> str:
    """Copy an entry to the log, and return the digest of what lies there: an onnxlet whose entries had fewer fields may
    have been stopped after it wrote it. Raises PreconditionFailedError if another does: the document is an old one.
    """
    key, data = alarm_entry_key(entry.model, entry.sequence), encode(entry)
    try:
        store.create(key, data)
    except PreconditionFailedError:
        data = store.get(key).data
        if decode_entry(data) != entry:
            raise
    return digest(data)
