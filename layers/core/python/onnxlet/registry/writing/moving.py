"""Moving an alias: promote, roll back, retire; the `Mover` makes each move in one write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from onnxlet.errors import (
    AliasNotFoundError,
    IntegrityError,
    NotFoundError,
    NothingToRollBackError,
    ObjectNotFoundError,
    VersionNotFoundError,
)
from onnxlet.registry.reading import listing, lookup
from onnxlet.registry.reading.artifacts import check_artifacts
from onnxlet.registry.writing.history_gate import pass_history_gate
from onnxlet.registry.writing.mover import Move, Mover
from onnxlet.registry.writing.promotion_gate import pass_gate
from onnxlet.registry.writing.writer import Writer
from onnxlet.store import Store
from onnxlet.values import keys
from onnxlet.values.aliases import Alias, Route, Routes
from onnxlet.values.digests import digest
from onnxlet.values.plain_text import check_plain
from onnxlet.values.refs import check_alias_name


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
    """Route the alias to where it was before, passing over versions that are gone or damaged; what it leaves is
    forgotten.

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
            if routes != current.routes and are_sound(mover.store, mover.model, routes):
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
            if not _route_to(routes, version) and are_sound(writer.store, model, routes):
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


def are_sound(store: Store, model: str, routes: Routes) -> bool:
    """Whether the versions that `routes` lead to exist, with artifacts that are what their manifests promise."""
    try:
        for route in routes:
            manifest, manifest_digest = lookup.manifest(store, model, route.version)
            if manifest_digest != route.digest:
                return False
            check_artifacts(store, manifest)
    except (IntegrityError, NotFoundError):
        return False
    return True


def _route_to(routes: Routes, version: int) -> bool:
    return any(route.version == version for route in routes)


def _nothing_to_roll_back_error(current: Alias) -> NothingToRollBackError:
    entry = current.entry
    where = ", ".join(f"version {route.version}" for route in current.routes) or "nothing"
    return NothingToRollBackError(
        f"'{entry.model}@{entry.alias}' has nothing to roll back to: it routes to {where} since {entry.when} and no "
        "version before it is whole; promote one",
        model=entry.model,
        alias=entry.alias,
        since=entry.when,
    )


def _require_alias(moved: Alias | None) -> Alias:
    if moved is None:
        raise IntegrityError("an alias was moved and is not there")
    return moved
