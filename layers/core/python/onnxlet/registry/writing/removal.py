"""Taking versions away: delete, and clearing up after publishes that were never finished.

What is left of a version is its claim, which keeps its number from being taken again, and a tombstone, which says that
it is gone for good.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from onnxlet.errors import OnnxletError, PreconditionFailedError, VersionInUseError
from onnxlet.registry.parallel import abreast
from onnxlet.registry.reading import lookup
from onnxlet.registry.reading.listing import Contents, contents
from onnxlet.registry.reading.servable import servable_digest
from onnxlet.registry.writing import moving
from onnxlet.store import Store
from onnxlet.values import keys
from onnxlet.values.canonical import canonical
from onnxlet.values.timestamps import stamp

Clock = Callable[[], datetime]
KEPT = frozenset({keys.CLAIM, keys.TOMBSTONE})


def delete(store: Store, model: str, version: int, *, force: bool, days: float, who: str, clock: Clock) -> None:
    """Delete a version: its manifest first, so that it ceases to exist at once, then its files.

    Refused while it is servable. With `force`, aliases that route to it go back to where they were before, or are
    retired if they were nowhere; their histories say so. Raises ModelNotFoundError, VersionNotFoundError,
    VersionInUseError.
    """
    lookup.require_version(store, model, version)
    if not force and servable_digest(store, model, version, days=days, now=clock()) is not None:
        raise _in_use(store, model, version, days)
    moving.leave(store, model, version, who, clock)
    store.delete(keys.manifest_key(model, version))
    moving.leave(store, model, version, who, clock)  # whom a promote took there meanwhile
    _bury(store, model, version, who, clock)
    for found in contents(store, keys.version_prefix(model, version)):
        _clear(store, found)


def withdraw(store: Store, model: str, version: int, written: Collection[str], *, who: str, clock: Clock) -> bool:
    """Take back what a publish wrote that failed before its manifest; whether all of it is gone.

    The files go before the tombstone is written, which a full disk has no room for.
    """
    try:
        if lookup.holds(store, keys.manifest_key(model, version)):
            return False
        abreast(store.delete, written)
        _bury(store, model, version, who, clock)
    except OnnxletError:
        return False
    return True


def gc(store: Store, *, older_than: timedelta, dry_run: bool, who: str, clock: Clock) -> list[str]:
    """Remove the files of publishes that nobody has touched for `older_than`, and what deleted versions left.

    Returns the keys that were removed, or would be.
    """
    oldest = (clock() - older_than).timestamp()
    removed = []
    for found in contents(store):
        if found.published or (found.incomplete and found.touched > oldest):
            continue
        if not dry_run and found.incomplete and not _bury_unfinished(store, found, who, clock):
            continue
        removed += _leftovers(found)
        if not dry_run:
            _clear(store, found)
    return removed


def _in_use(store: Store, model: str, version: int, days: float) -> VersionInUseError:
    names = [
        name
        for name, alias in lookup.aliases(store, model).items()
        if any(route.version == version for route in alias.routes)
    ]
    if names:
        why = f"{', '.join(map(repr, names))} routes to it: promote another version first"
    else:
        why = f"an alias routed to it within the last {days:g} days: wait"
    return VersionInUseError(
        f"version {version} of {model!r} is in use, {why}, or force it", model=model, version=version, aliases=names
    )


def _bury(store: Store, model: str, version: int, who: str, clock: Clock) -> None:
    """Write the tombstone; one that is there already will do."""
    document = {"schema": 1, "who": who, "when": stamp(clock())}
    try:
        store.create(keys.tombstone_key(model, version), canonical(document))
    except PreconditionFailedError:
        return


def _bury_unfinished(store: Store, found: Contents, who: str, clock: Clock) -> bool:
    """Whether the publish is given up: not if it was finished just before its tombstone was set."""
    _bury(store, found.model, found.version, who, clock)
    if not lookup.holds(store, keys.manifest_key(found.model, found.version)):
        return True
    store.delete(keys.tombstone_key(found.model, found.version))
    return False


def _leftovers(found: Contents) -> list[str]:
    return [entry.key for path, entry in found.objects.items() if path not in KEPT]


def _clear(store: Store, found: Contents) -> None:
    abreast(store.delete, _leftovers(found))
