"""Whether the artifacts of a version lie in the store as its manifest promises."""

from __future__ import annotations

from onnxlet.errors import IntegrityError, ObjectNotFoundError
from onnxlet.registry.parallel import map_parallel
from onnxlet.store import Store
from onnxlet.values.digests import digest
from onnxlet.values.keys import version_prefix
from onnxlet.values.manifest import Artifact, Manifest

SMALL = 2**20
"""Bytes up to which an artifact is read for its digest; of a larger one its size has to do."""


def check_artifacts(store: Store, manifest: Manifest) -> None:
    """Look for every artifact in the store, without reading large ones.

    Raises IntegrityError, which names each that is gone, has another size than the manifest says, or if it is small
    another digest.
    """
    faults = _find_faults(store, manifest)
    if faults:
        raise IntegrityError(
            f"'{manifest.model}:{manifest.version}' is damaged: {'; '.join(faults)}: publish the model again",
            model=manifest.model,
            version=manifest.version,
        )


def _find_faults(store: Store, manifest: Manifest) -> list[str]:
    """What is wrong with the artifacts, one by one; empty if nothing is."""
    prefix = version_prefix(manifest.model, manifest.version)
    sizes = {entry.key: entry.size for entry in store.list(prefix)}

    def find_fault(artifact: Artifact) -> str:
        key = prefix + artifact.path
        size = sizes.get(key)
        if size is None:
            return f"{key!r} is gone"
        if size != artifact.size:
            return f"{key!r} has {size} bytes, not {artifact.size}"
        return _find_other_digest(store, key, artifact) if size <= SMALL else ""

    return [fault for fault in map_parallel(find_fault, manifest.artifacts) if fault]


def _find_other_digest(store: Store, key: str, artifact: Artifact) -> str:
    try:
        actual = digest(store.get(key).data)
    except ObjectNotFoundError:
        return f"{key!r} is gone"
    return "" if actual == artifact.digest else f"{key!r} has the digest {actual}, not {artifact.digest}"
