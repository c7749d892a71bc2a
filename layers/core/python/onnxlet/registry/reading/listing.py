"""What a store holds, model by model, version by version and alias by alias: keys are listed, documents read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from types import MappingProxyType
from typing import Literal, NamedTuple

from onnxlet.registry.parallel import map_parallel
from onnxlet.registry.reading import lookup
from onnxlet.store import Entry, Store
from onnxlet.values import keys
from onnxlet.values.aliases import Alias
from onnxlet.values.metrics import served_metrics
from onnxlet.values.refs import check_model_name
from onnxlet.values.timestamps import format_epoch_seconds

_OBJECT = re.compile(rf"{keys.MODELS}(?P<model>[^/]+)/(?P<version>[1-9][0-9]{{0,18}})/(?P<path>.+)", re.DOTALL)


@dataclass(frozen=True)
class Contents:
    """All objects below one version's prefix, by path in the version."""

    model: str
    number: int
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
    """A version in a list. `created` is RFC 3339, `size` in bytes; `aliases` are those that route to it now.

    `metrics` are those of the graph that is served; none of a version that is incomplete or was never judged.
    """

    number: int
    created: str
    size: int
    state: Literal["published", "incomplete"]
    aliases: tuple[str, ...]
    metrics: Mapping[str, float] = MappingProxyType({})


def contents(store: Store, prefix: str = keys.MODELS) -> Iterator[Contents]:
    """Every version that has any object, published or not; keys that are no version's are passed over."""
    matches = ((match, entry) for entry in store.list(prefix) if (match := _OBJECT.fullmatch(entry.key)))
    for (model, version), group in groupby(matches, key=lambda pair: pair[0].group("model", "version")):
        yield Contents(model, int(version), {match["path"]: entry for match, entry in group})


def model_of(key: str) -> str | None:
    """The model whose version a key belongs to; None for a key of no version."""
    match = _OBJECT.fullmatch(key)
    return match["model"] if match else None


def model_contents(store: Store, model: str) -> list[Contents]:
    """The versions of one model that have any object, by number."""
    return sorted(contents(store, keys.model_prefix(check_model_name(model))), key=lambda version: version.number)


def models(store: Store) -> list[str]:
    """Names with at least one published version, sorted."""
    return sorted({version.model for version in contents(store) if version.published})


def versions(store: Store, model: str) -> list[VersionSummary]:
    """The published and the incomplete versions of a model, by number. Raises ModelNotFoundError if there is none."""
    listed = [version for version in model_contents(store, model) if version.published or version.incomplete]
    if not listed:
        raise lookup.no_model_error(store, model)
    names: dict[int, list[str]] = {}
    for name, document in aliases(store, model).items():
        for route in document.routes:
            names.setdefault(route.version, []).append(name)
    return map_parallel(lambda version: _summary(store, version, tuple(names.get(version.number, ()))), listed)


def alias_names(store: Store, model: str) -> list[str]:
    """The names of all alias documents of a model, retired ones too."""
    prefix = keys.alias_prefix(check_model_name(model))
    paths = (entry.key.removeprefix(prefix) for entry in store.list(prefix))
    return [path.removesuffix(".json") for path in paths if path.endswith(".json") and "/" not in path]


def aliases(store: Store, model: str) -> dict[str, Alias]:
    """All aliases of a model that route somewhere, by name; none for a model that does not exist."""
    names = alias_names(store, model)
    documents = map_parallel(lambda name: lookup.alias(store, model, name, retired=True)[0], names)
    return {name: document for name, document in zip(names, documents, strict=True) if document.routes}


def _summary(store: Store, version: Contents, names: tuple[str, ...]) -> VersionSummary:
    number = version.number
    if version.published:
        manifest, _ = lookup.manifest(store, version.model, number)
        metrics = served_metrics(manifest)
        return VersionSummary(number, manifest.created, manifest.size, "published", names, metrics)
    return VersionSummary(number, format_epoch_seconds(version.touched), version.artifact_bytes, "incomplete", names)
