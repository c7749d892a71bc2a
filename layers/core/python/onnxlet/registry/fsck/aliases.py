"""An alias held to its promises: its document, its chain of entries, where it routes to."""

from __future__ import annotations

from typing import NamedTuple

from onnxlet.errors import HistoryBrokenError, IntegrityError, NotFoundError
from onnxlet.registry.fsck.findings import (
    ALIAS_ASTRAY,
    ALIAS_DAMAGED,
    HISTORY_BROKEN,
    HISTORY_STRAY,
    NEWER_SCHEMA,
    Finding,
)
from onnxlet.registry.fsck.survey import AliasName
from onnxlet.registry.reading import history, lookup
from onnxlet.store import Store
from onnxlet.values import keys
from onnxlet.values.aliases import HistoryEntry, Routes

_PARTS = {"alias": ALIAS_DAMAGED, "entry": HISTORY_BROKEN, "stray": HISTORY_STRAY}


class ExaminedAlias(NamedTuple):
    """What is wrong with an alias, and its moves if its history is whole."""

    findings: list[Finding]
    moves: list[HistoryEntry]


def examine_alias(store: Store, name: AliasName) -> ExaminedAlias:
    """What is wrong with an alias, or with what is left of one."""
    try:
        moves = history.verified_entries(store, *name)
    except HistoryBrokenError as error:
        return ExaminedAlias([_broken(name, error), *_examine_routes(store, name, _read_routes(store, name))], [])
    except NotFoundError:
        return ExaminedAlias([], [])  # moved out of the store since it was listed
    return ExaminedAlias(_examine_routes(store, name, moves[-1].target), moves)


def _broken(name: AliasName, error: HistoryBrokenError) -> Finding:
    kind = NEWER_SCHEMA if "schema" in error.context else _PARTS[str(error.context["part"])]
    sequence = error.context["sequence"]
    assert isinstance(sequence, int)  # noqa: S101 - as `history` raises it
    place = keys.history_key(*name, sequence) if error.context["part"] == "entry" else keys.alias_key(*name)
    return kind.at(str(error.context["key"] or place), error.detail)


def _read_routes(store: Store, name: AliasName) -> Routes:
    """Where an alias routes to, as far as its document can be trusted."""
    try:
        return lookup.alias(store, *name)[0].routes
    except (NotFoundError, IntegrityError):
        return ()


def _examine_routes(store: Store, name: AliasName, routes: Routes) -> list[Finding]:
    """A manifest that is not the promoted one is a finding of its version."""
    return [
        ALIAS_ASTRAY.at(keys.alias_key(*name), f"it routes to version {route.version}, which is not there")
        for route in routes
        if not lookup.object_exists(store, keys.manifest_key(name[0], route.version))
    ]
