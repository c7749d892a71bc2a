"""Moving an alias: promote, roll back, retire. Every move has one commit point, the swap of the alias document.

The mover first copies the entry that the alias holds to its history key (create-only, so that repeating it is
harmless), then swaps the alias against the ETag that it read. A mover killed in between has changed nothing. A lost
swap means that somebody else has moved the alias: the mover reads it again and tries again, after a random while.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from onnxlet.errors import (
    AliasNotFoundError,
    HistoryBrokenError,
    IntegrityError,
    NotFoundError,
    NothingToRollBackError,
    ObjectNotFoundError,
    PreconditionFailedError,
    VersionNotFoundError,
)
from onnxlet.registry.reading import listing, lookup
from onnxlet.registry.reading.artifacts import check_artifacts
from onnxlet.registry.rollback_stack import next_stack
from onnxlet.registry.writing.history_gate import pass_history_gate, rebuild_alias
from onnxlet.registry.writing.promotion_gate import pass_gate
from onnxlet.registry.writing.writer import Writer
from onnxlet.store import Store
from onnxlet.values import keys
from onnxlet.values.aliases import Alias, HistoryEntry, Route, Routes, encode
from onnxlet.values.digests import digest
from onnxlet.values.plain_text import check_plain
from onnxlet.values.refs import check_alias_name

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
            if self.store.get(key).data != data:
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
            return self.store.get(key).data == encode(attempted.entry)
        except ObjectNotFoundError:
            return False

    def _moved_by_another_error(self) -> PreconditionFailedError:
        return PreconditionFailedError(
            f"'{self.model}@{self.alias}' was moved by somebody else: read it again",
            model=self.model,
            alias=self.alias,
        )


def promote(
    mover: Mover,
    version: int,
    why: str,
    gates: Mapping[str, str],
    *,
    force: bool = False,
    on_unchanged: Callable[[], object] | None = None,
) -> Alias:
    """Route the alias to `version` alone. Where it does so already nothing is written, and `on_unchanged` is called.

    `gates` are the checks that the caller has made, by name; the history keeps them. The accuracy contract and the
    history are checked here, or with `force` gone past; the artifacts must be what the manifest promises in any case.
    Raises ModelNotFoundError, VersionNotFoundError, ContractFailedError, HistoryBrokenError, IntegrityError,
    PreconditionFailedError.
    """
    check_alias_name(mover.alias)
    check_plain("why", why)
    manifest, manifest_digest = lookup.manifest(mover.store, mover.model, version)
    gates = {**gates, **pass_gate(mover.store, manifest, force=force, why=why)}
    check_artifacts(mover.store, manifest)
    mover, history_gates = _pass_history(mover, why, force=force)
    gates |= history_gates
    target = (Route(version, 1.0, manifest_digest),)

    def decide(current: Alias | None) -> Move | None:
        if current is None or current.routes != target or history_gates:
            return Move("promote", target, why, gates)
        if on_unchanged is not None:
            on_unchanged()
        return None

    promoted = mover.move(decide)
    if not are_published(mover.store, mover.model, target):
        take_aliases_off(mover.writer, mover.model, version)
        raise VersionNotFoundError(
            f"version {version} of {mover.model!r} was deleted while it was being promoted",
            model=mover.model,
            version=version,
        )
    return _require_alias(promoted)


def rollback(mover: Mover, why: str, *, force: bool = False) -> Alias:
    """Route the alias to where it was before, passing over versions that are gone; what it leaves is forgotten.

    With `force` also where its history is broken. Raises ModelNotFoundError, AliasNotFoundError,
    NothingToRollBackError, HistoryBrokenError, PreconditionFailedError.
    """
    check_alias_name(mover.alias)
    check_plain("why", why)
    mover, gates = _pass_history(mover, why, force=force)
    if not mover.rebuilding:
        lookup.alias(mover.store, mover.model, mover.alias)

    def decide(current: Alias | None) -> Move:
        if current is None:
            raise AliasNotFoundError(f"model {mover.model!r} has no alias {mover.alias!r}", alias=mover.alias)
        for routes in current.previous:
            if routes != current.routes and are_published(mover.store, mover.model, routes):
                return Move("rollback", routes, why, gates)
        raise _nothing_to_roll_back_error(current)

    return _require_alias(mover.move(decide))


def _pass_history(mover: Mover, why: str, *, force: bool) -> tuple[Mover, Mapping[str, str]]:
    """The mover, which rebuilds the alias where it must, and what the history keeps of its own gate."""
    gates, rebuilding = pass_history_gate(mover.store, mover.model, mover.alias, force=force, why=why)
    return (replace(mover, rebuilding=True) if rebuilding else mover), gates


def take_aliases_off(writer: Writer, model: str, version: int) -> None:
    """Move every alias off a version that is to be deleted: back to where it was before, or else retire it."""
    why = f"version {version} was deleted"

    def decide(current: Alias | None) -> Move | None:
        if current is None or not _route_to(current.routes, version):
            return None
        for routes in current.previous:
            if not _route_to(routes, version) and are_published(writer.store, model, routes):
                return Move("rollback", routes, why)
        return Move("retire", (), why)

    for name in listing.alias_names(writer.store, model):
        Mover(writer, model, name).move(decide)


def are_published(store: Store, model: str, routes: Routes) -> bool:
    """Whether every version that `routes` lead to still exists, with the manifest whose digest they pin."""
    try:
        return all(digest(store.get(keys.manifest_key(model, route.version)).data) == route.digest for route in routes)
    except ObjectNotFoundError:
        return False


def _route_to(routes: Routes, version: int) -> bool:
    return any(route.version == version for route in routes)


def _nothing_to_roll_back_error(current: Alias) -> NothingToRollBackError:
    entry = current.entry
    where = ", ".join(f"version {route.version}" for route in current.routes) or "nothing"
    return NothingToRollBackError(
        f"'{entry.model}@{entry.alias}' has nothing to roll back to: it routes to {where} since {entry.when} and no "
        "version before it is left; promote one",
        model=entry.model,
        alias=entry.alias,
        since=entry.when,
    )


def _require_alias(moved: Alias | None) -> Alias:
    if moved is None:
        raise IntegrityError("an alias was moved and is not there")
    return moved
