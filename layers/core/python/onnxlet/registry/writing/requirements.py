"""What promoting asks of a version: an accuracy contract that holds, or a reason to do without.

Whether a version must have one at all is a setting of the store, `settings/registry.json`.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from onnxlet.errors import (
    ContractFailedError,
    ContractMissingError,
    IntegrityError,
    InvalidInputError,
    ObjectNotFoundError,
)
from onnxlet.store import Store
from onnxlet.values.canonical import canonical
from onnxlet.values.keys import REGISTRY_SETTINGS
from onnxlet.values.manifest import Manifest

SCHEMA = 1
GATE = "accuracy-contract"


class Requirements(msgspec.Struct, frozen=True):
    """What a store wants of every version that is promoted."""

    schema: int = SCHEMA
    require_contract: bool = False


def read(store: Store) -> Requirements:
    """The store's requirements; nobody has set any: none. Raises IntegrityError for a document that is none."""
    try:
        data = store.get(REGISTRY_SETTINGS).data
    except ObjectNotFoundError:
        return Requirements()
    try:
        found = msgspec.json.decode(data, type=Requirements)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise IntegrityError(f"{REGISTRY_SETTINGS!r} does not hold the registry's settings: {error}") from error
    if found.schema != SCHEMA:
        raise IntegrityError(
            f"the registry's settings have schema {found.schema}, this onnxlet knows {SCHEMA}: upgrade onnxlet"
        )
    return found


def write(store: Store, requirements: Requirements) -> None:
    """Set the store's requirements."""
    store.put(REGISTRY_SETTINGS, canonical(requirements))


def gates(store: Store, manifest: Manifest, *, force: bool, why: str) -> Mapping[str, str]:
    """The gates that the version passes, for the history: its contract holds, is missing, or was forced past.

    Raises ContractFailedError for a contract that does not hold, ContractMissingError for none where the store requires
    one; InvalidInputError if it is forced without a reason.
    """
    if force and not why:
        raise InvalidInputError("forcing a version past its accuracy contract needs a reason, which the history keeps")
    failure = _failure(store, manifest)
    if not failure:
        return {GATE: "none" if manifest.contract is None else "held"}
    if not force:
        name = f"'{manifest.model}:{manifest.version}'"
        kind = ContractMissingError if manifest.contract is None else ContractFailedError
        raise kind(
            f"{name} may not be promoted: {failure}; to do so all the same, force it and give a reason",
            model=manifest.model,
            version=manifest.version,
        )
    return {GATE: f"forced: {failure}"}


def _failure(store: Store, manifest: Manifest) -> str:
    """Why the version may not be promoted; empty if it may."""
    contract = manifest.contract
    if contract is not None:
        return "" if contract.holds else f"its accuracy contract does not hold ({contract.breaches})"
    if read(store).require_contract:
        return "it has no accuracy contract, and this registry requires one"
    return ""
