"""Reading single documents of the registry: manifests by number or ref, aliases by name.

The data plane imports this module, so it needs no more than the documents themselves.
"""

from __future__ import annotations

from onnxlet.errors import (
    AliasNotFoundError,
    DigestMismatchError,
    IntegrityError,
    ModelNotFoundError,
    NotFoundError,
    ObjectNotFoundError,
    VersionNotFoundError,
)
from onnxlet.store import Blob, Store
from onnxlet.values import keys
from onnxlet.values.aliases import Alias, decode_alias
from onnxlet.values.digests import digest
from onnxlet.values.keys import PRODUCTION
from onnxlet.values.manifest import Manifest, decode_manifest
from onnxlet.values.refs import Ref, check_alias_name, check_model_name


def manifest(store: Store, model: str, version: int) -> tuple[Manifest, str]:
    """A published version and the digest of its manifest's bytes. Raises as `stored_manifest` does."""
    document, data = stored_manifest(store, model, version)
    return document, digest(data)


def stored_manifest(store: Store, model: str, version: int) -> tuple[Manifest, bytes]:
    """A published version and its manifest's bytes, as they were written.

    Raises ModelNotFoundError, VersionNotFoundError; IntegrityError if another version's manifest lies there.
    """
    try:
        data = store.get(keys.manifest_key(check_model_name(model), version)).data
    except ObjectNotFoundError as error:
        raise _no_version_error(store, model, version) from error
    document = decode_manifest(data)
    if (document.model, document.version) != (model, version):
        raise IntegrityError(
            f"the manifest of '{model}:{version}' is that of '{document.model}:{document.version}'",
            model=model,
            version=version,
        )
    return document, data


def alias(store: Store, model: str, name: str, *, retired: bool = False) -> tuple[Alias, str]:
    """An alias document and its ETag; one that routes nowhere any more only if `retired` ones are wanted.

    Raises ModelNotFoundError, AliasNotFoundError; IntegrityError if another alias's document lies there.
    """
    try:
        blob = store.get(_alias_key(model, name))
    except ObjectNotFoundError as error:
        raise _no_alias_error(store, model, name) from error
    return _decode(blob, model, name, retired=retired), blob.etag


def alias_if_changed(store: Store, model: str, name: str, etag: str) -> tuple[Alias, str] | None:
    """An alias document and its ETag, or None if it still has `etag`; an empty `etag` is no document's.

    Raises as `alias` does.
    """
    if not etag:
        return alias(store, model, name)
    try:
        blob = store.get_if_changed(_alias_key(model, name), etag)
    except ObjectNotFoundError as error:
        raise _no_alias_error(store, model, name) from error
    return None if blob is None else (_decode(blob, model, name), blob.etag)


def resolve(store: Store, ref: Ref) -> tuple[Manifest, str]:
    """The version that a ref means and the digest of its manifest; of several routes the heaviest counts.

    Raises ModelNotFoundError, VersionNotFoundError, AliasNotFoundError; DigestMismatchError if the manifest is not the
    one that was promoted.
    """
    if ref.version is not None:
        return manifest(store, ref.model, ref.version)
    name = ref.alias or PRODUCTION
    document, _ = alias(store, ref.model, name)
    route = max(document.routes, key=lambda route: route.weight)
    promoted, promoted_digest = manifest(store, ref.model, route.version)
    if promoted_digest != route.digest:
        raise DigestMismatchError(
            f"the manifest of '{ref.model}:{route.version}' has digest {promoted_digest!r}, but {name!r} was promoted "
            f"to {route.digest!r}: publish the model again and promote the new version",
            model=ref.model,
            version=route.version,
            digest=promoted_digest,
        )
    return promoted, promoted_digest


def model_exists(store: Store, model: str) -> bool:
    """Whether any version of it is published."""
    return any(entry.key.endswith("/" + keys.MANIFEST) for entry in store.list(keys.model_prefix(model)))


def require_model(store: Store, model: str) -> None:
    """Raises ModelNotFoundError unless a version of the model is published."""
    if not model_exists(store, model):
        raise no_model_error(store, model)


def no_model_error(store: Store, model: str) -> ModelNotFoundError:
    """The error for a model without a published version, which says whether anything of it was ever begun."""
    paths = [entry.key.rpartition("/")[2] for entry in store.list(keys.model_prefix(model))]
    detail = f"no model named {model!r}"
    if paths.count(keys.CLAIM) > paths.count(keys.TOMBSTONE):
        detail = f"model {model!r} has no finished version, only what a publish began"
    elif keys.TOMBSTONE in paths:
        detail = f"model {model!r} has no version left: what there was of it was deleted, or taken back unfinished"
    return ModelNotFoundError(detail, model=model)


def _no_version_error(store: Store, model: str, version: int) -> NotFoundError:
    if not model_exists(store, model):
        return no_model_error(store, model)
    if object_exists(store, keys.tombstone_key(model, version)):
        detail = f"version {version} of model {model!r} was deleted"
    elif object_exists(store, keys.claim_key(model, version)):
        detail = f"version {version} of model {model!r} is incomplete: publishing it was not finished"
    else:
        detail = f"model {model!r} has no version {version}"
    return VersionNotFoundError(detail, model=model, version=version)


def _no_alias_error(store: Store, model: str, name: str) -> NotFoundError:
    if not model_exists(store, model):
        return no_model_error(store, model)
    destination = "" if name == PRODUCTION else f" --to {name}"
    return AliasNotFoundError(
        f"model {model!r} has no alias {name!r}: promote a version with 'onnxlet promote {model}:VERSION{destination}'",
        model=model,
        alias=name,
    )


def require_version(store: Store, model: str, version: int) -> None:
    """Raises ModelNotFoundError or VersionNotFoundError unless the version is published, readable or not."""
    if not object_exists(store, keys.manifest_key(check_model_name(model), version)):
        raise _no_version_error(store, model, version)


def object_exists(store: Store, key: str) -> bool:
    """Whether there is an object under `key`."""
    try:
        store.get_range(key, 0, 1)
    except ObjectNotFoundError:
        return False
    return True


def _alias_key(model: str, name: str) -> str:
    return keys.alias_key(check_model_name(model), check_alias_name(name))


def _decode(blob: Blob, model: str, name: str, *, retired: bool = False) -> Alias:
    try:
        document = decode_alias(blob.data, retired=retired)
    except IntegrityError as error:
        detail = f"'{model}@{name}': {error.detail}"
        raise IntegrityError(detail, model=model, alias=name, **error.context) from error
    if (document.entry.model, document.entry.alias) != (model, name):
        raise IntegrityError(
            f"the alias '{model}@{name}' is that of '{document.entry.model}@{document.entry.alias}'",
            model=model,
            alias=name,
        )
    return document
