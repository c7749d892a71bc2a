"""The gate before every move: the history of the alias is whole, or a reason to go on from what is left of it."""

from __future__ import annotations

from collections.abc import Mapping

from onnxlet.errors import (
    AliasNotFoundError,
    HistoryBrokenError,
    IntegrityError,
    InvalidInputError,
    ObjectNotFoundError,
)
from onnxlet.registry.parallel import map_parallel
from onnxlet.registry.reading import history
from onnxlet.registry.rollback_stack import Stack, next_stack
from onnxlet.store import Store
from onnxlet.values import keys
from onnxlet.values.aliases import Alias, HistoryEntry, decode_entry, decode_unchecked_alias, encode
from onnxlet.values.digests import digest

HISTORY_GATE = "history"

Gates = Mapping[str, str]


def pass_history_gate(store: Store, model: str, alias: str, *, force: bool, why: str) -> tuple[Gates, bool]:
    """How a move passes, as the history keeps it, and whether it has to start from a rebuilt alias.

    A history that is whole, or not begun, leaves no word. Raises HistoryBrokenError for one that is not unless it is
    forced, or if a newer onnxlet wrote it; InvalidInputError if it is forced without a reason.
    """
    if force and not why:
        raise InvalidInputError("forcing a move past a gate needs a reason, which the history keeps")
    try:
        history.verify(store, model, alias)
    except AliasNotFoundError:
        return {}, False
    except HistoryBrokenError as error:
        if "schema" in error.context:
            raise
        reason = error.detail.partition(": promote")[0]
        if not force:
            detail = f"{reason}: find out who did it, and restore the document, or force the move with a reason"
            raise HistoryBrokenError(detail, **error.context) from error
        return {HISTORY_GATE: f"forced: {reason}"}, error.context["part"] != "entry"
    return {}, False


def rebuild_alias(store: Store, model: str, alias: str) -> tuple[Alias | None, str | None]:
    """An alias as its entries say, whatever its document says, and the ETag of that; None where there is nothing.

    Entries that were archived count as far as they are chained to those before them. An entry that only a document
    held which can no longer be read is lost.
    """
    newest, etag = _read_newest(store, model, alias)
    by_sequence = _read_archived(store, model, alias)
    if newest is not None:
        by_sequence.setdefault(newest.sequence, newest)
    entries: list[HistoryEntry] = []
    for _, entry in sorted(by_sequence.items()):
        beyond = newest is None or entry.sequence > newest.sequence
        if beyond and entry.predecessor != (digest(encode(entries[-1])) if entries else None):
            break
        entries.append(entry)
    if not entries:
        return None, etag
    last = entries[-1]
    return Alias(sequence=last.sequence, routes=last.target, previous=_stack(entries), entry=last), etag


def _read_newest(store: Store, model: str, alias: str) -> tuple[HistoryEntry | None, str | None]:
    """The entry that the alias document holds, if it is one of this alias, and the document's ETag."""
    try:
        blob = store.get(keys.alias_key(model, alias))
    except ObjectNotFoundError:
        return None, None
    try:
        entry = decode_unchecked_alias(blob.data).entry
    except IntegrityError:
        return None, blob.etag
    return (entry if (entry.model, entry.alias) == (model, alias) else None), blob.etag


def _read_archived(store: Store, model: str, alias: str) -> dict[int, HistoryEntry]:
    """The entries that lie in their places and can be read, by sequence."""

    def read(key: str) -> HistoryEntry | None:
        try:
            entry = decode_entry(store.get(key).data)
        except (IntegrityError, ObjectNotFoundError):
            return None
        return entry if key == keys.history_key(entry.model, entry.alias, entry.sequence) else None

    listed = (entry.key for entry in store.list(keys.history_prefix(model, alias)))
    return {entry.sequence: entry for entry in map_parallel(read, listed) if entry is not None}


def _stack(entries: list[HistoryEntry]) -> Stack:
    stack: Stack = ()
    for entry in entries:
        stack = next_stack(stack, entry) or ()
    return stack
