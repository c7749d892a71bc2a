"""Moving an alias: promote, rollback and leave. Every move has one commit point, the swap of the alias document.

The mover first copies the entry that the alias holds to its history key (create-only, so that repeating it is
harmless), then swaps the alias against the ETag that it read. A mover killed in between has changed nothing. A lost
swap means that somebody else has moved the alias: the mover reads it again and tries again, after a random while.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
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
from onnxlet.registry.reading import lookup
from onnxlet.registry.rollback_stack import stack_after
from onnxlet.registry.writing import requirements
from onnxlet.store import Store
from onnxlet.values import keys
from onnxlet.values.aliases import Alias, HistoryEntry, Route, Routes, encode
from onnxlet.values.digests import digest
from onnxlet.values.refs import check_alias_name
from onnxlet.values.timestamps import stamp

RETRIES = 200
"""Lost swaps before a mover gives up. One is lost only when another is won, so fifty at once lose at most 49 each."""
ABSENT = ""
"""The ETag of an alias that routes nowhere yet, or no more: with it as `if_match` nobody's alias is moved."""
FIRST_PAUSE = 0.02
LONGEST_PAUSE = 1.0


class Move(NamedTuple):
    """What to do with an alias, decided from what it is now."""

    action: Literal["promote", "rollback", "retire"]
    target: Routes
    why: str
    gates: Mapping[str, str] = {}


@dataclass(frozen=True)
class Mover:
    """Somebody who moves one alias of a store."""

    store: Store
    model: str
    alias: str
    who: str
    clock: Callable[[], datetime]
    if_match: str | None = None
    retries: int = RETRIES

    def move(self, decide: Callable[[Alias | None], Move | None]) -> Alias | None:
        """Do what `decide` makes of the alias as it is, as often as that takes; return the alias after it.

        `decide` may want no move: then the alias is returned as it is. With `if_match` the alias must have that ETag.
        Raises PreconditionFailedError; HistoryBrokenError if the history is not the alias's own.
        """
        tried: Alias | None = None
        for attempt in range(self.retries + 1):
            current, etag = self._read()
            if tried is not None and current is not None and self._landed(tried, current):
                return tried
            if self.if_match is not None and self.if_match != (etag if current and current.routes else ABSENT):
                raise self._lost()
            wanted = decide(current)
            if wanted is None:
                return current
            tried = self._successor(current, wanted)
            try:
                self._commit(current, etag, tried)
            except PreconditionFailedError:
                pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempt, 16))
                time.sleep(random.uniform(0, pause))  # noqa: S311 - jitter, no secret
            else:
                return tried
        raise self._lost()

    def _read(self) -> tuple[Alias | None, str | None]:
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
            who=self.who,
            when=stamp(self.clock()),
            why=move.why,
            origin=() if current is None else current.routes,
            target=move.target,
            gates=dict(move.gates),
            predecessor=None if current is None else digest(encode(current.entry)),
        )
        stack = stack_after(() if current is None else current.previous, entry)
        if stack is None:
            raise IntegrityError(f"{move.action} cannot lead to {move.target!r} from here", alias=self.alias)
        return Alias(sequence=entry.sequence, routes=move.target, previous=stack, entry=entry)

    def _commit(self, current: Alias | None, etag: str | None, successor: Alias) -> None:
        key = keys.alias_key(self.model, self.alias)
        if current is None or etag is None:
            self._require_no_history()
            self.store.create(key, encode(successor))
        else:
            self._archive(current.entry)
            self.store.swap(key, encode(successor), etag)

    def _require_no_history(self) -> None:
        """An alias that was never there has none; one that another mover has just made may."""
        for found in self.store.list(keys.history_prefix(self.model, self.alias)):
            if self._read()[0] is not None:
                raise self._lost()
            raise HistoryBrokenError(
                f"'{self.model}@{self.alias}' has a history ({found.key!r}) but no document: restore the document or "
                "move the history away",
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

    def _landed(self, tried: Alias, current: Alias) -> bool:
        """Whether the swap that seemed lost was won: an answer can get lost on its way, and the request be repeated."""
        if current.sequence <= tried.sequence:
            return current.entry == tried.entry
        key = keys.history_key(self.model, self.alias, tried.sequence)
        try:
            return self.store.get(key).data == encode(tried.entry)
        except ObjectNotFoundError:
            return False

    def _lost(self) -> PreconditionFailedError:
        return PreconditionFailedError(
            f"'{self.model}@{self.alias}' was moved by somebody else: read it again",
            model=self.model,
            alias=self.alias,
        )


def promote(mover: Mover, version: int, why: str, gates: Mapping[str, str], *, force: bool = False) -> Alias:
    """Route the alias to `version` alone. A version that it routes to already is recorded again and changes no route.

    `gates` were passed elsewhere; that of the accuracy contract is passed here, or with `force` gone around.
    Raises ModelNotFoundError, VersionNotFoundError, ContractFailedError, PreconditionFailedError.
    """
    check_alias_name(mover.alias)
    manifest, found = lookup.manifest(mover.store, mover.model, version)
    gates = {**gates, **requirements.gates(mover.store, manifest, force=force, why=why)}
    target = (Route(version, 1.0, found),)
    moved = mover.move(lambda _: Move("promote", target, why, gates))
    if not stands(mover.store, mover.model, target):
        leave(mover.store, mover.model, version, mover.who, mover.clock)
        raise VersionNotFoundError(
            f"version {version} of {mover.model!r} was deleted while it was being promoted",
            model=mover.model,
            version=version,
        )
    return _moved(moved)


def rollback(mover: Mover, why: str) -> Alias:
    """Route the alias to where it was before, passing over versions that are gone; what it leaves is forgotten.

    Raises ModelNotFoundError, AliasNotFoundError, NothingToRollBackError, PreconditionFailedError.
    """
    lookup.alias(mover.store, mover.model, mover.alias)

    def decide(current: Alias | None) -> Move:
        if current is None:
            raise AliasNotFoundError(f"model {mover.model!r} has no alias {mover.alias!r}", alias=mover.alias)
        for routes in current.previous:
            if routes != current.routes and stands(mover.store, mover.model, routes):
                return Move("rollback", routes, why)
        raise _nothing_to_roll_back(current)

    return _moved(mover.move(decide))


def leave(store: Store, model: str, version: int, who: str, clock: Callable[[], datetime]) -> None:
    """Take every alias off a version that is to be deleted: back to where it was before, or out of service."""
    why = f"version {version} was deleted"

    def decide(current: Alias | None) -> Move | None:
        if current is None or not _routes_to(current.routes, version):
            return None
        for routes in current.previous:
            if not _routes_to(routes, version) and stands(store, model, routes):
                return Move("rollback", routes, why)
        return Move("retire", (), why)

    for name in lookup.alias_names(store, model):
        Mover(store, model, name, who, clock).move(decide)


def stands(store: Store, model: str, routes: Routes) -> bool:
    """Whether every version that is routed to is still there, and the very one."""
    try:
        return all(digest(store.get(keys.manifest_key(model, to.version)).data) == to.digest for to in routes)
    except ObjectNotFoundError:
        return False


def _routes_to(routes: Routes, version: int) -> bool:
    return any(route.version == version for route in routes)


def _nothing_to_roll_back(current: Alias) -> NothingToRollBackError:
    entry = current.entry
    where = ", ".join(f"version {route.version}" for route in current.routes) or "nothing"
    return NothingToRollBackError(
        f"'{entry.model}@{entry.alias}' has nothing to roll back to: it routes to {where} since {entry.when} and no "
        "version before it is left; promote one",
        model=entry.model,
        alias=entry.alias,
        since=entry.when,
    )


def _moved(alias: Alias | None) -> Alias:
    if alias is None:
        raise IntegrityError("an alias was moved and is not there")
    return alias
