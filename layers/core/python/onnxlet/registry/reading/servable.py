"""Which versions answer over HTTP: those that an alias routes to, or did within some days.

The data plane imports this module, so it needs no more than the documents themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from onnxlet.errors import IntegrityError, ObjectNotFoundError
from onnxlet.registry.reading.lookup import object_exists
from onnxlet.store import Store
from onnxlet.values import keys
from onnxlet.values.aliases import Alias, HistoryEntry, Route, decode_alias, decode_entry

MOST_MOVES = 100
"""Past moves of an alias that are read, so that one request for an old version cannot cause thousands of reads."""


def servable_digest(store: Store, model: str, version: int, *, days: float, now: datetime) -> str | None:
    """The digest of a version's manifest if an alias routes to it or did within `days`, and it still exists."""
    if not object_exists(store, keys.manifest_key(model, version)):
        return None
    for route in _routes(store, model, now - timedelta(days=days)):
        if route.version == version:
            return route.digest
    return None


def servable_versions(store: Store, model: str, *, days: float, now: datetime) -> dict[int, str]:
    """All servable versions of a model with the digests of their manifests, by number."""
    routed = {route.version: route.digest for route in _routes(store, model, now - timedelta(days=days))}
    return {
        version: routed[version]
        for version in sorted(routed)
        if object_exists(store, keys.manifest_key(model, version))
    }


def _routes(store: Store, model: str, since: datetime) -> Iterator[Route]:
    """Every route that an alias of the model has or had at any moment from `since` on; a route may come twice."""
    latest_entries = []
    for listed in store.list(keys.alias_prefix(model)):
        alias = _read_alias(store, listed.key)
        yield from alias.routes
        latest_entries.append(alias.entry)
    for entry in latest_entries:
        for move in _moves(store, entry, since):
            yield from move.origin


def _read_alias(store: Store, key: str) -> Alias:
    try:
        return decode_alias(store.get(key).data, retired=True)
    except IntegrityError as error:
        raise IntegrityError(f"{key!r}: {error.detail}", **error.context) from error


def _moves(store: Store, entry: HistoryEntry, since: datetime) -> Iterator[HistoryEntry]:
    """Moves of an alias from `since` on, newest first: what a move left was routed to until then."""
    for _ in range(MOST_MOVES):
        if datetime.fromisoformat(entry.when) < since:
            return
        yield entry
        try:
            data = store.get(keys.history_key(entry.model, entry.alias, entry.sequence - 1)).data
        except ObjectNotFoundError:
            return
        entry = decode_entry(data)
