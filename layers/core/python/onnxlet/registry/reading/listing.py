"""What a store holds, model by model and version by version, told from its keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal, NamedTuple

from onnxlet.registry.parallel import abreast
from onnxlet.registry.reading import lookup
from onnxlet.store import Entry, Store
from onnxlet.values import keys
from onnxlet.values.refs import check_model_name
from onnxlet.values.timestamps import stamp_seconds

_OBJECT = re.compile(rf"{keys.MODELS}(?P<model>[^/]+)/(?P<version>[1-9][0-9]{{0,18}})/(?P<path>.+)", re.DOTALL)


@dataclass(frozen=True)
class Contents:
    """All objects below one version's prefix, by path."""

    model: str
    version: int
    objects: dict[str, Entry] = field(default_factory=dict)

    @property
    def published(self) -> bool:
        """A version exists when its manifest does."""
        return keys.MANIFEST in self.objects

    @property
    def incomplete(self) -> bool:
        """A publish took the number and did not finish, yet or ever."""
        return not self.published and keys.TOMBSTONE not in self.objects

    @property
    def artifact_bytes(self) -> int:
        """Bytes of the files, without the registry's own documents."""
        return sum(entry.size for path, entry in self.objects.items() if path not in keys.DOCUMENTS)

    @property
    def touched(self) -> float:
        """Seconds since the epoch of the last write."""
        return max(entry.modified for entry in self.objects.values())


class VersionSummary(NamedTuple):
    """One line of a list of versions. `created` is RFC 3339; `aliases` are those that route to it now."""

    number: int
    created: str
    size: int
    state: Literal["published", "incomplete"]
    aliases: tuple[str, ...]


def contents(store: Store, prefix: str = keys.MODELS) -> Iterator[Contents]:
    """Every version that has any object, published or not; keys that are no version's are passed over."""
    matches = ((match, entry) for entry in store.list(prefix) if (match := _OBJECT.fullmatch(entry.key)))
    for (model, version), group in groupby(matches, key=lambda pair: pair[0].group("model", "version")):
        yield Contents(model, int(version), {match["path"]: entry for match, entry in group})


def model_contents(store: Store, model: str) -> list[Contents]:
    """The versions of one model that have any object, by number."""
    return sorted(contents(store, keys.model_prefix(check_model_name(model))), key=lambda found: found.version)


def models(store: Store) -> list[str]:
    """Names with at least one published version, sorted."""
    return sorted({found.model for found in contents(store) if found.published})


def versions(store: Store, model: str) -> list[VersionSummary]:
    """The published and the incomplete versions of a model, by number. Raises ModelNotFoundError if there is none."""
    listed = [found for found in model_contents(store, model) if found.published or found.incomplete]
    if not listed:
        raise lookup.no_model(store, model)
    names: dict[int, list[str]] = {}
    for name, document in lookup.aliases(store, model).items():
        for route in document.routes:
            names.setdefault(route.version, []).append(name)
    return abreast(lambda found: _summary(store, found, tuple(names.get(found.version, ()))), listed)


def _summary(store: Store, found: Contents, names: tuple[str, ...]) -> VersionSummary:
    if found.published:
        manifest, _ = lookup.manifest(store, found.model, found.version)
        return VersionSummary(found.version, manifest.created, manifest.size, "published", names)
    return VersionSummary(found.version, stamp_seconds(found.touched), found.artifact_bytes, "incomplete", names)
