"""A version held to its promises: its documents, and every artifact by size and digest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from onnxlet.errors import IntegrityError, ObjectNotFoundError
from onnxlet.registry.fsck.findings import (
    ARTIFACT_DAMAGED,
    ARTIFACT_MISSING,
    CLAIM_MISSING,
    DELETED_BUT_THERE,
    LEFTOVERS,
    MANIFEST_DAMAGED,
    NEWER_SCHEMA,
    ORPHAN,
    UNFINISHED_PUBLISH,
    Finding,
)
from onnxlet.registry.fsck.survey import is_marker
from onnxlet.registry.reading.listing import Contents
from onnxlet.store import Entry, Store
from onnxlet.values import keys
from onnxlet.values.digests import digest, parts_digest
from onnxlet.values.manifest import Artifact, Manifest, decode_manifest
from onnxlet.values.timestamps import format_epoch_seconds

OLDER_THAN = timedelta(days=1)
"""What is younger may be under way; `onnxlet gc` leaves it alone as well."""
PART = 4 * 2**20
"""Bytes of one read of an artifact; the next one begins while these are still held."""

Pins = Mapping[tuple[str, int], str]
"""The digests that manifests had when they were promoted, by model and version."""


@dataclass(frozen=True)
class Scope:
    """What is looked at.

    Publishes and scorings touched after `oldest`, seconds since the epoch, may be under way. `reading` is told of bytes
    that were read; without it sizes alone are compared.
    """

    oldest: float
    reading: Callable[[int], None] | None
    pins: Pins = field(default_factory=dict)


def examine_version(store: Store, version: Contents, scope: Scope) -> list[Finding]:
    """What is wrong with a version, published or not."""
    prefix = keys.version_prefix(version.model, version.number)
    if version.published:
        return list(_examine_published(store, version, prefix, scope))
    files = [path for path in version.objects if path not in keys.DOCUMENTS]
    if keys.TOMBSTONE in version.objects:
        return [LEFTOVERS.at(prefix + path, "the version was deleted, this is left of it") for path in files]
    if version.touched > scope.oldest:
        return []
    since = format_epoch_seconds(version.touched)
    return [UNFINISHED_PUBLISH.at(prefix, f"a publish took the number and was not finished; last touched {since}")]


def find_difference(store: Store, key: str, entry: Entry | None, promised: Artifact, scope: Scope) -> str | None:
    """How an object differs from the size and the digest promised of it, as far as it is to be read.

    Empty if it does not; None if it is not there. `entry` is how it was listed.
    """
    if entry is None:
        return None
    if entry.size != promised.size:
        return f"it has {entry.size} bytes, not {promised.size}"
    if scope.reading is None:
        return ""
    try:
        actual = parts_digest(_read_parts(store, key, scope.reading))
    except ObjectNotFoundError:
        return None
    return "" if actual == promised.digest else f"it has the digest {actual}, not {promised.digest}"


def _examine_published(store: Store, version: Contents, prefix: str, scope: Scope) -> Iterator[Finding]:
    if keys.CLAIM not in version.objects:
        yield CLAIM_MISSING.at(prefix + keys.CLAIM, "nothing holds the version's number")
    if keys.TOMBSTONE in version.objects:
        yield DELETED_BUT_THERE.at(prefix + keys.TOMBSTONE, "the version is said to be deleted and has a manifest")
    key = prefix + keys.MANIFEST
    try:
        data = store.get(key).data
        manifest = _decode(data, version, scope.pins)
    except ObjectNotFoundError:
        return  # deleted since it was listed
    except IntegrityError as error:
        kind = NEWER_SCHEMA if "schema" in error.context else MANIFEST_DAMAGED
        yield kind.at(key, error.detail)
        return
    for artifact in manifest.artifacts:
        path = prefix + artifact.path
        difference = find_difference(store, path, version.objects.get(artifact.path), artifact, scope)
        if difference is None:
            yield ARTIFACT_MISSING.at(path, "the version's manifest lists it, and it is not there")
        elif difference:
            yield ARTIFACT_DAMAGED.at(path, difference)
    for path in version.objects.keys() - keys.DOCUMENTS - {artifact.path for artifact in manifest.artifacts}:
        if not is_marker(version.objects[path]):
            yield ORPHAN.at(prefix + path, "the version's manifest does not list it")


def _decode(data: bytes, version: Contents, pins: Pins) -> Manifest:
    """The manifest, if it can be read, is this version's, lists what every version has, and was promoted so."""
    pinned = pins.get((version.model, version.number))
    if pinned is not None and digest(data) != pinned:
        raise IntegrityError(f"it has the digest {digest(data)}, but was promoted with {pinned}")
    manifest = decode_manifest(data)
    if (manifest.model, manifest.version) != (version.model, version.number):
        raise IntegrityError(f"it is the manifest of '{manifest.model}:{manifest.version}'")
    listed = {artifact.path for artifact in manifest.artifacts}
    needed = {keys.GRAPH, *([manifest.golden.path] if manifest.golden else [])}
    if needed - listed:
        raise IntegrityError(f"it does not list {', '.join(map(repr, sorted(needed - listed)))}")
    return manifest


def _read_parts(store: Store, key: str, reading: Callable[[int], None]) -> Iterator[bytes | memoryview]:
    start = 0
    while True:
        part = store.get_range(key, start, PART)
        yield part
        reading(len(part))
        start += len(part)
        if len(part) < PART:
            return
