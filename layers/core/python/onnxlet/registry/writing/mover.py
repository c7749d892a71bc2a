"""The mover of an alias: one commit point, the swap of the alias document.

The mover first copies the entry that the alias holds to its history key (create-only, so that repeating it is
harmless), then swaps the alias against the ETag that it read. A mover killed in between has changed nothing. A lost
swap means that somebody else has moved the alias: the mover reads it again and tries again, after a random while.
What a move keeps of the entry before it stays for good, so the alias is read twice: a read that went wrong must not
become history.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from onnxlet.errors import (
    HistoryBrokenError,
    IntegrityError,
    NotFoundError,
    ObjectNotFoundError,
    PreconditionFailedError,
)
from onnxlet.registry.reading import lookup
from onnxlet.registry.rollback_stack import next_stack
from onnxlet.registry.writing.history_gate import rebuild_alias
from onnxlet.registry.writing.writer import Writer
from onnxlet.store import Store
from onnxlet.values import keys
from onnxlet.values.aliases import Alias, HistoryEntry, Routes, encode
from onnxlet.values.digests import digest

RETRIES = 200
"""Lost swaps before a mover gives up. One is lost only when another is won, so fifty at once lose at most 49 each."""
MUST_BE_NEW = ""
"""As `if_match`: the alias must route nowhere yet, or no more, so that nobody's alias is moved."""
FIRST_PAUSE = 0.02
"""Seconds to wait at most after the first lost swap; twice as many after each further one."""
LONGEST_PAUSE = 1.0


class Move(NamedTuple):
    """What to do with an alias, decided from what it is now."""

    action: Literal["promote", "rollback", "retire"]
    target: Routes
    why: str
    gates: Mapping[str, str] = {}


@dataclass(frozen=True)
class Mover:
    """Moves one alias. With `if_match` it must have that ETag; lost swaps are tried again up to `retries` times.

    `rebuilding` starts from what the alias's entries say where its document does not.
    """

    writer: Writer
    model: str
    alias: str
    if_match: str | None = None
    retries: int = RETRIES
    rebuilding: bool = False

    @property
    def store(self) -> Store:
        """The store that the alias lies in."""
        return self.writer.store

    def move(self, decide: Callable[[Alias | None], Move | None]) -> Alias | None:
        """Make the move that `decide` returns for the alias as it is; return the alias after it.

        `decide` is asked again after each lost swap. If it returns None nothing moves, and the alias is returned as it
        is. Raises PreconditionFailedError; HistoryBrokenError if the history is not the alias's own.
        """
        attempted: Alias | None = None
        for attempt in range(self.retries + 1):
            current, etag = self._read()
            if attempted is not None and current is not None and self._was_written(attempted, current):
                return attempted
            if self.if_match is not None and self.if_match != (etag if current and current.routes else MUST_BE_NEW):
                raise self._moved_by_another_error()
            move = decide(current)
            if move is None:
                return current
            attempted = self._successor(current, move)
            try:
                self._commit(current, etag, attempted)
            except PreconditionFailedError:
                pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempt, 16))
                time.sleep(random.uniform(0, pause))  # noqa: S311 - jitter, no secret
            else:
                return attempted
        raise self._moved_by_another_error()

    def _read(self) -> tuple[Alias | None, str | None]:
        if self.rebuilding:
            return rebuild_alias(self.store, self.model, self.alias)
        try:
            return lookup.alias(self.store, self.model, self.alias, retired=True)
        except NotFoundError:
            return None, None

    def _successor(self, current: Alias | None, move: Move) -> Alias:
        entry = HistoryEntry(
            model=self.model,
            alias=self.alias,
            sequence=1 if current is None else current.sequence + 1,
            action=move.action,
            who=self.writer.who,
            when=self.writer.timestamp(),
            why=move.why,
            origin=() if current is None else current.routes,
            target=move.target,
            gates=dict(move.gates),
            predecessor=None if current is None else digest(encode(current.entry)),
        )
        stack = next_stack(() if current is None else current.previous, entry)
        if stack is None:
            raise IntegrityError(f"{move.action} cannot lead to {move.target!r} from here", alias=self.alias)
        return Alias(sequence=entry.sequence, routes=move.target, previous=stack, entry=entry)

    def _commit(self, current: Alias | None, etag: str | None, successor: Alias) -> None:
        key = keys.alias_key(self.model, self.alias)
        if current is not None:
            if self._read() != (current, etag):
                raise self._moved_by_another_error()
            self._archive(current.entry)
        elif not self.rebuilding:
            self._require_no_history()
        if etag is None:
            self.store.create(key, encode(successor))
        else:
            self.store.swap(key, encode(successor), etag)

    def _require_no_history(self) -> None:
        """An alias that was never there has none; one that another mover has just made may."""
        for archived in self.store.list(keys.history_prefix(self.model, self.alias)):
            if self._read()[0] is not None:
                raise self._moved_by_another_error()
            raise HistoryBrokenError(
                f"'{self.model}@{self.alias}' has a history ({archived.key!r}) but no document: restore the document "
                "or move the history away",
                model=self.model,
                alias=self.alias,
            )

    def _archive(self, entry: HistoryEntry) -> None:
        key = keys.history_key(self.model, self.alias, entry.sequence)
        data = encode(entry)
        try:
            self.store.create(key, data)
        except PreconditionFailedError:
            if not self._holds(key, data):
                raise HistoryBrokenError(
                    f"{key!r} is not the entry that '{self.model}@{self.alias}' holds, which would be lost: find out "
                    "who wrote it and move it away",
                    model=self.model,
                    alias=self.alias,
                    sequence=entry.sequence,
                ) from None

    def _was_written(self, attempted: Alias, current: Alias) -> bool:
        """Whether the swap that seemed lost was won: an answer can get lost on its way, and the request be repeated."""
        if current.sequence <= attempted.sequence:
            return current.entry == attempted.entry
        key = keys.history_key(self.model, self.alias, attempted.sequence)
        try:
            return self._holds(key, encode(attempted.entry))
        except ObjectNotFoundError:
            return False

    def _holds(self, key: str, data: bytes) -> bool:
        """Whether the object is this; one that seems to be another is read again."""
        return self.store.get(key).data == data or self.store.get(key).data == data

    def _moved_by_another_error(self) -> PreconditionFailedError:
        return PreconditionFailedError(
            f"'{self.model}@{self.alias}' was moved by somebody else: read it again",
            model=self.model,
            alias=self.alias,
        )
