"""The gate before promotion: an accuracy contract that holds, or a reason to do without.

Whether a version must have a contract at all is the store's own requirement.
"""

from __future__ import annotations

from collections.abc import Mapping

from onnxlet.errors import ContractFailedError, ContractMissingError, InvalidInputError, ObjectNotFoundError
from onnxlet.registry.reading.requirements import Requirements, read_requirements
from onnxlet.registry.writing.writer import Writer
from onnxlet.store import Store
from onnxlet.values.canonical import canonical
from onnxlet.values.keys import REGISTRY_SETTINGS
from onnxlet.values.manifest import Manifest

GATE = "accuracy-contract"


def write_requirements(writer: Writer, requirements: Requirements) -> None:
    """Set what the store requires of every version that is promoted from now on.

    Raises PreconditionFailedError if somebody else does so at the same moment.
    """
    data = canonical(requirements)
    try:
        etag = writer.store.get(REGISTRY_SETTINGS).etag
    except ObjectNotFoundError:
        writer.store.create(REGISTRY_SETTINGS, data)
    else:
        writer.store.swap(REGISTRY_SETTINGS, data, etag)


def pass_gate(store: Store, manifest: Manifest, *, force: bool, why: str) -> Mapping[str, str]:
    """How the version passes the gate, as the alias's history keeps it: `{GATE: "held"}`.

    The value is `held`, `none` for a version without a contract, or `forced: …` with what stood against it.
    Raises ContractFailedError for a contract that does not hold, ContractMissingError for none where the store requires
    one; InvalidInputError if it is forced without a reason.
    """
    if force and not why:
        raise InvalidInputError("forcing a version past its accuracy contract needs a reason, which the history keeps")
    objection = _objection(store, manifest)
    if not objection:
        return {GATE: "none" if manifest.contract is None else "held"}
    if not force:
        name = f"'{manifest.model}:{manifest.version}'"
        kind = ContractMissingError if manifest.contract is None else ContractFailedError
        raise kind(
            f"{name} may not be promoted: {objection}; to do so all the same, force it and give a reason",
            model=manifest.model,
            version=manifest.version,
        )
    return {GATE: f"forced: {objection}"}


def _objection(store: Store, manifest: Manifest) -> str:
    """Why the version may not be promoted; empty if it may."""
    contract = manifest.contract
    if contract is not None:
        return "" if contract.holds else f"its accuracy contract does not hold ({contract.breaches})"
    if read_requirements(store).require_contract:
        return "it has no accuracy contract, and this registry requires one"
    return ""
