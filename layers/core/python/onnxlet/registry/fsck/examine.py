"""The pieces of a registry at once, and a second look at each that has a finding."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from onnxlet.errors import IntegrityError
from onnxlet.registry.fsck.aliases import ExaminedAlias, examine_alias
from onnxlet.registry.fsck.findings import NEWER_SCHEMA, SETTINGS_DAMAGED, Finding
from onnxlet.registry.fsck.survey import Survey
from onnxlet.registry.fsck.versions import Scope, examine_version
from onnxlet.registry.parallel import map_parallel
from onnxlet.registry.reading.listing import Contents, contents
from onnxlet.registry.reading.requirements import read_requirements
from onnxlet.store import Store
from onnxlet.values.keys import REGISTRY_SETTINGS, version_prefix

WIDTH = 8
"""Pieces that are looked at at once; each holds two parts of an artifact in memory at most."""


@dataclass(frozen=True)
class ExaminedRegistry:
    """What was found, and how many moves of aliases were verified."""

    findings: list[Finding]
    moves: int


def examine_registry(store: Store, surveyed: Survey, scope: Scope) -> ExaminedRegistry:
    """Look at every alias, then at every version, also by the digests that aliases pinned."""
    aliases = map_parallel(lambda name: _confirm_alias(store, name), sorted(surveyed.aliases), width=WIDTH)
    pins = {
        (move.model, route.version): route.digest for alias in aliases for move in alias.moves for route in move.target
    }
    pinned = replace(scope, pins=pins)
    versions = map_parallel(lambda version: _confirm_version(store, version, pinned), surveyed.versions, width=WIDTH)
    findings = [
        *(_examine_settings(store) if surveyed.has_settings else []),
        *(finding for alias in aliases for finding in alias.findings),
        *(finding for version in versions for finding in version),
    ]
    return ExaminedRegistry(findings, sum(len(alias.moves) for alias in aliases))


def confirm(first: Iterable[Finding], look_again: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """What a second look finds too: a store in use, or a read that went wrong, shows damage that is none."""
    seen = {(finding.kind, finding.key) for finding in first}
    return [finding for finding in look_again() if (finding.kind, finding.key) in seen] if seen else []


def _confirm_alias(store: Store, name: tuple[str, str]) -> ExaminedAlias:
    examined = examine_alias(store, name)
    return ExaminedAlias(confirm(examined.findings, lambda: examine_alias(store, name).findings), examined.moves)


def _confirm_version(store: Store, version: Contents, scope: Scope) -> list[Finding]:
    def look_again() -> list[Finding]:
        prefix = version_prefix(version.model, version.number)
        return [finding for listed in contents(store, prefix) for finding in examine_version(store, listed, scope)]

    return confirm(examine_version(store, version, scope), look_again)


def _examine_settings(store: Store) -> list[Finding]:
    try:
        read_requirements(store)
    except IntegrityError as error:
        kind = NEWER_SCHEMA if "schema" in error.context else SETTINGS_DAMAGED
        return [kind.at(REGISTRY_SETTINGS, error.detail)]
    return []
