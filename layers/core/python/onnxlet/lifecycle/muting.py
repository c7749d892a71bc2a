"""What people say of a model's alarms: that somebody knows of them, and that nobody is to be told of a column's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from onnxlet.errors import InvalidInputError
from onnxlet.lifecycle.results import Listing
from onnxlet.monitor.alarms.book import AlarmBook, Change, Entry, Note
from onnxlet.monitor.alarms.ledger import read_book, read_log, turn
from onnxlet.monitor.alarms.turning import acknowledge, mute, unmute
from onnxlet.monitor.versions import read_baseline
from onnxlet.monitor.windows import list_versions
from onnxlet.registry.reading.lookup import require_model
from onnxlet.store import Store
from onnxlet.values.plain_text import check_plain
from onnxlet.values.tables import Table
from onnxlet.values.timestamps import day_of, format_timestamp, is_day, utc_now

if TYPE_CHECKING:
    from onnxlet.lifecycle.workspace import Workspace

_MOST_NAMED = 10


def acknowledge_alarms(workspace: Workspace, model: str, column: str | None = None, *, why: str) -> AlarmBook:
    """Say that somebody knows of the open alarms about a column, of all if None. They stay open until it is over.

    Raises ModelNotFoundError, InvalidInputError without a reason, or where no alarm waits for that.
    """
    store, note = _begin(workspace, model, why)
    return turn(store, model, note, lambda book: acknowledge(book, column, note))


def mute_alarms(workspace: Workspace, model: str, column: str = "", *, why: str, until: str = "") -> AlarmBook:
    """Tell nobody of alarms about a column, or any of the model, until a day (`2026-12-31`) is over, or for ever.

    Raises ModelNotFoundError, InvalidInputError without a reason, for a day that is none or past, and for a column that
    no version of the model has.
    """
    store, note = _begin(workspace, model, why)
    if until and (not is_day(until) or until < day_of(utc_now())):
        raise InvalidInputError(f"{until!r} is no day to come: write one as 2026-12-31")
    if column:
        _check_column(store, model, column)
    return turn(store, model, note, lambda book: mute(book, column, note, until))


def unmute_alarms(workspace: Workspace, model: str, column: str = "", *, why: str = "") -> AlarmBook:
    """End the mute of a column, or of the model. Raises ModelNotFoundError, InvalidInputError where there is none."""
    store, note = _begin(workspace, model, why or "no reason given")
    return turn(store, model, note, lambda book: unmute(book, column))


def list_turns(workspace: Workspace, model: str) -> Listing[Entry]:
    """Everything that happened to a model's alarms, oldest first.

    Raises ModelNotFoundError, IntegrityError where an entry is gone, or is not as it was written.
    """
    store = workspace.open_store()
    with workspace.naming_others():
        require_model(store, model)
    return Listing(read_log(store, model), describe_turns)


def describe_turns(entries: Sequence[Entry]) -> Table:
    """A row for each change."""
    rows = [
        (entry.sequence, entry.note.when, entry.note.who, change.what, _name(change), change.says, entry.note.why)
        for entry in entries
        for change in entry.changes
    ]
    return Table(("sequence", "when", "who", "what", "alarm", "says", "why"), rows)


def _name(change: Change) -> str:
    version = "" if change.version is None else f":{change.version}"
    return f"{change.kind}{version} {change.about}".strip() or "the whole model"


def _begin(workspace: Workspace, model: str, why: str) -> tuple[Store, Note]:
    if not why.strip():
        raise InvalidInputError("say why: the log of alarms keeps who said what for which reason")
    store = workspace.open_store()
    with workspace.naming_others():
        require_model(store, model)
    who = check_plain("the caller's name", workspace.who)
    return store, Note(who, format_timestamp(utc_now()), check_plain("the reason", why))


def _check_column(store: Store, model: str, column: str) -> None:
    known = set(_columns(store, model)) | {alarm.about for alarm in read_book(store, model).alarms}
    if known and column not in known:
        named = ", ".join(map(repr, sorted(filter(None, known))[:_MOST_NAMED]))
        raise InvalidInputError(f"no version of {model!r} has a column {column!r}; there are {named}")


def _columns(store: Store, model: str) -> Iterator[str]:
    for version in list_versions(store, model):
        baseline = read_baseline(store, model, version)
        if baseline is not None:
            yield from (column.name for column in (*baseline.columns, *baseline.outputs))
