"""Taking versions away: delete, and clearing up after publishes that were never finished.

What is left of a version is its claim, which keeps its number from being taken again, and a tombstone, which says that
it is gone for good.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta

from onnxlet.errors import IntegrityError, OnnxletError, PreconditionFailedError, VersionInUseError
from onnxlet.registry.parallel import map_parallel
from onnxlet.registry.reading import listing, lookup
from onnxlet.registry.reading.listing import Contents, contents
from onnxlet.registry.reading.servable import servable_digest
from onnxlet.registry.writing.moving import take_aliases_off
from onnxlet.registry.writing.writer import Writer
from onnxlet.store import Store
from onnxlet.values import keys
from onnxlet.values.canonical import canonical

KEPT = frozenset({keys.CLAIM, keys.TOMBSTONE})
"""What stays of a version that was removed."""


def delete(writer: Writer, model: str, version: int, *, force: bool, days: float) -> None:
    """Delete a version: its manifest first, so that it ceases to exist at once, then its files.

    Refused while it is servable: an alias routes to it, or did within `days`. With `force`, aliases that route to it go
    back to where they were before, or are retired if they were nowhere; their histories say so.
    Raises ModelNotFoundError, VersionNotFoundError, VersionInUseError.
    """
    store = writer.store
    lookup.require_version(store, model, version)
    if not force and servable_digest(store, model, version, days=days, now=writer.clock()) is not None:
        raise _in_use_error(store, model, version, days)
    take_aliases_off(writer, model, version)
    store.delete(keys.manifest_key(model, version))
    take_aliases_off(writer, model, version)  # a promotion may have come in between
    _write_tombstone(writer, model, version)
    for remains in contents(store, keys.version_prefix(model, version)):
        _delete_leftovers(store, remains)


def discard_unfinished(writer: Writer, model: str, version: int, written: Collection[str]) -> bool:
    """Delete the keys that a publish wrote before it failed; return whether all of them are gone.

    A version that has a manifest is left alone. The files go before the tombstone is written, because a full disk has
    no room for that.
    """
    try:
        if lookup.object_exists(writer.store, keys.manifest_key(model, version)):
            return False
        map_parallel(writer.store.delete, written)
        _write_tombstone(writer, model, version)
    except OnnxletError:
        return False
    return True


def gc(writer: Writer, *, older_than: timedelta, dry_run: bool) -> list[str]:
    """Remove the files of publishes that nobody has touched for `older_than`, and finish deletes that were not.

    Aliases that still route to what is gone are taken off it. Returns the keys that were removed, or with `dry_run`
    would be.
    """
    oldest = (writer.clock() - older_than).timestamp()
    removed = []
    gone: dict[str, set[int]] = {}
    for version in contents(writer.store):
        if version.published or (version.incomplete and version.touched > oldest):
            continue
        if not dry_run and version.incomplete and not _give_up(writer, version):
            continue
        removed += _leftovers(version)
        gone.setdefault(version.model, set()).add(version.number)
        if not dry_run:
            _delete_leftovers(writer.store, version)
    if not dry_run:
        _take_aliases_off_all(writer, gone)
    return removed


def _in_use_error(store: Store, model: str, version: int, days: float) -> VersionInUseError:
    names = [
        name
        for name, alias in listing.aliases(store, model).items()
        if any(route.version == version for route in alias.routes)
    ]
    if names:
        why = f"{', '.join(map(repr, names))} routes to it: promote another version first"
    else:
        why = f"an alias routed to it within the last {days:g} days: wait"
    return VersionInUseError(
        f"version {version} of {model!r} is in use, {why}, or force it", model=model, version=version, aliases=names
    )


def _write_tombstone(writer: Writer, model: str, version: int) -> None:
    """Say that the version is gone for good; a tombstone that is there already will do."""
    document = {"schema": 1, "who": writer.who, "when": writer.timestamp()}
    try:
        writer.store.create(keys.tombstone_key(model, version), canonical(document))
    except PreconditionFailedError:
        return


def _give_up(writer: Writer, unfinished: Contents) -> bool:
    """Set a tombstone on an unfinished publish; False, and none, if it was finished just before."""
    _write_tombstone(writer, unfinished.model, unfinished.number)
    if not lookup.object_exists(writer.store, keys.manifest_key(unfinished.model, unfinished.number)):
        return True
    writer.store.delete(keys.tombstone_key(unfinished.model, unfinished.number))
    return False


def _take_aliases_off_all(writer: Writer, gone: Mapping[str, set[int]]) -> None:
    """Finish what a delete, or a promotion at the same moment, was killed before; damaged aliases are left to fsck."""
    for model, versions in gone.items():
        try:
            aliases = listing.aliases(writer.store, model).values()
        except IntegrityError:
            continue
        for version in {route.version for alias in aliases for route in alias.routes} & versions:
            take_aliases_off(writer, model, version)


def _leftovers(version: Contents) -> list[str]:
    return [entry.key for path, entry in version.objects.items() if path not in KEPT]


def _delete_leftovers(store: Store, version: Contents) -> None:
    map_parallel(store.delete, _leftovers(version))
