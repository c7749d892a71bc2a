"""The control plane's use cases: what the registry does, under the conditions that HTTP callers state."""

from __future__ import annotations

from typing import NamedTuple

from onnxlet.controlplane.etags import etag_matches
from onnxlet.controlplane.schemas import AliasList, History, ModelOverview, Promotion, Rollback, Version, VersionList
from onnxlet.errors import AliasNotFoundError, IntegrityError, PreconditionFailedError, PreconditionRequiredError
from onnxlet.registry.registry import Registry
from onnxlet.registry.writing.mover import MUST_BE_NEW
from onnxlet.values.aliases import Alias
from onnxlet.values.keys import alias_key


class Moved(NamedTuple):
    """An alias after its move, its ETag unless somebody has moved it on since, and whether this made it."""

    alias: Alias
    etag: str | None
    created: bool = False


def versions(registry: Registry, model: str) -> VersionList:
    """A model's versions. Raises ModelNotFoundError."""
    listed = registry.versions(model)
    return VersionList(
        model, [Version(line.number, line.created, line.size, line.state, line.aliases) for line in listed]
    )


def aliases(registry: Registry, model: str) -> AliasList:
    """A model's aliases. Raises ModelNotFoundError."""
    aliases_by_name = registry.aliases(model)
    if not aliases_by_name:
        registry.versions(model)  # which raises for a model that does not exist
    return AliasList(model, aliases_by_name)


def overview(registry: Registry, model: str) -> ModelOverview:
    """A model's versions and aliases. Raises ModelNotFoundError."""
    return ModelOverview(model, versions(registry, model).versions, registry.aliases(model))


def history(registry: Registry, model: str, alias: str, *, verify: bool) -> History:
    """The moves of an alias, proven on request. Raises ModelNotFoundError, AliasNotFoundError, HistoryBrokenError."""
    verified = registry.verify_history(model, alias) if verify else None
    return History(model, alias, registry.history(model, alias), verified)


def promote(
    registry: Registry,
    model: str,
    alias: str,
    promotion: Promotion,
    *,
    if_match: str | None,
    if_none_match: str | None,
) -> Moved:
    """Route an alias to a version, if it is what the caller thinks it is.

    Raises PreconditionRequiredError if the caller says nothing about an alias that exists, PreconditionFailedError,
    ModelNotFoundError, VersionNotFoundError, ContractFailedError.
    """
    etag = _etag(registry, model, alias)
    if if_none_match is not None and etag_matches(if_none_match, etag, weakly=True):
        raise PreconditionFailedError(f"alias {alias!r} of {model!r} exists already: send If-Match to move it")
    if if_match is None and if_none_match is None and etag is not None:
        raise PreconditionRequiredError(
            f"alias {alias!r} of {model!r} exists: send If-Match with the ETag that a GET of it answers"
        )
    _require(model, alias, etag, if_match)
    moved = registry.promote(
        model, promotion.version, alias=alias, why=promotion.why, if_match=etag or MUST_BE_NEW, force=promotion.force
    )
    return _with_etag(registry, moved)._replace(created=etag is None and moved.sequence == 1)


def roll_back(registry: Registry, model: str, rollback: Rollback, *, if_match: str | None) -> Moved:
    """Route an alias to where it was before, if it is what the caller thinks it is.

    Raises PreconditionFailedError, NothingToRollBackError, ModelNotFoundError, AliasNotFoundError.
    """
    etag = None
    if if_match is not None:
        etag = _etag(registry, model, rollback.alias)
        _require(model, rollback.alias, etag, if_match)
    moved = registry.rollback(model, alias=rollback.alias, why=rollback.why, if_match=etag, force=rollback.force)
    return _with_etag(registry, moved)


def _etag(registry: Registry, model: str, alias: str) -> str | None:
    try:
        return registry.alias(model, alias)[1]
    except AliasNotFoundError:
        return None
    except IntegrityError:
        # a document that is not as it was written is still one that a forced move replaces
        return registry.store.get(alias_key(model, alias)).etag


def _require(model: str, alias: str, etag: str | None, if_match: str | None) -> None:
    if if_match is not None and not etag_matches(if_match, etag):
        raise PreconditionFailedError(
            f"alias {alias!r} of {model!r} is not what If-Match says: GET it again and decide anew"
        )


def _with_etag(registry: Registry, moved: Alias) -> Moved:
    # a move returns no ETag, so the alias is read again; if somebody has moved it since, its sequence is another
    try:
        document, etag = registry.alias(moved.entry.model, moved.entry.alias)
    except AliasNotFoundError:
        return Moved(moved, None)
    return Moved(moved, etag if document.sequence == moved.sequence else None)
