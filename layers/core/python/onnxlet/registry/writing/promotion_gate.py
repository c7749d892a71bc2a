"""The gates before promotion: an accuracy contract that holds, by a reference that will do, or a reason to do without.

Whether a version must have a contract at all, and by whose answers, is the store's own requirement.
"""

from __future__ import annotations

from collections.abc import Mapping

from onnxlet.errors import (
    ContractFailedError,
    ContractMissingError,
    InvalidInputError,
    ObjectNotFoundError,
    ReferenceRefusedError,
)
from onnxlet.registry.reading.requirements import Requirements, read_requirements
from onnxlet.registry.writing.writer import Writer
from onnxlet.store import Store
from onnxlet.values.canonical import canonical
from onnxlet.values.keys import REGISTRY_SETTINGS
from onnxlet.values.manifest import Manifest

GATE = "accuracy-contract"
REFERENCE_GATE = "reference"


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
    """How the version passes the gate, as the alias's history keeps it: `{GATE: "held"}`, and whose answers
    are the reference.

    The value is `held`, `none` for a version without a contract, or `forced: …` with what stood against it.
    Raises ContractFailedError for a contract that does not hold, ContractMissingError for none where the store requires
    one, ReferenceRefusedError for a reference that it does not take; InvalidInputError if it is forced without a
    reason.
    """
    if force and not why:
        raise InvalidInputError("forcing a version past its accuracy contract needs a reason, which the history keeps")
    requirements = read_requirements(store)
    objections = {
        gate: objection
        for gate, objection in (
            (GATE, _contract_objection(manifest, requirements)),
            (REFERENCE_GATE, _reference_objection(manifest, requirements)),
        )
        if objection
    }
    if objections and not force:
        raise _refusal(manifest, objections)
    return {**_passed(manifest), **{gate: f"forced: {objection}" for gate, objection in objections.items()}}


def _passed(manifest: Manifest) -> dict[str, str]:
    """What the gates say of a version that nothing stands against."""
    passed = {GATE: "none" if manifest.contract is None else "held"}
    return passed if manifest.reference is None else {**passed, REFERENCE_GATE: manifest.reference.kind}


def _refusal(manifest: Manifest, objections: Mapping[str, str]) -> ContractFailedError:
    contract = ContractMissingError if manifest.contract is None else ContractFailedError
    kind = contract if GATE in objections else ReferenceRefusedError
    return kind(
        f"'{manifest.model}:{manifest.version}' may not be promoted: {', and '.join(objections.values())}; to do so "
        "all the same, force it and give a reason",
        model=manifest.model,
        version=manifest.version,
    )


def _contract_objection(manifest: Manifest, requirements: Requirements) -> str:
    """What the contract has against the version; empty if it has nothing."""
    contract = manifest.contract
    if contract is not None:
        return "" if contract.holds else f"its accuracy contract does not hold ({contract.breaches})"
    return "it has no accuracy contract, and this registry requires one" if requirements.require_contract else ""


def _reference_objection(manifest: Manifest, requirements: Requirements) -> str:
    """What stands against those whose answers the version is held to; empty if nothing does."""
    wanted = {"object": ("object",), "expected": ("object", "expected"), "off": None}[requirements.require_reference]
    kind = None if manifest.reference is None else manifest.reference.kind
    if wanted is None or kind in wanted:
        return ""
    return f"its reference is {kind or 'not known'}, and this registry requires {' or '.join(wanted)}"
