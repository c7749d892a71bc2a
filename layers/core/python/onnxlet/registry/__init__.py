"""The registry: names to versions. Every document in it is written conditionally, so that any number of writers may.

publishing    a draft and its files become a version: claim, artifacts, manifest
lookup        a ref to a manifest, an alias to its document
listing       which models and versions there are
moving        promote, rollback and leave: an alias moves, with one commit point
requirements  what promoting asks of a version: an accuracy contract that holds
stack         what an alias may roll back to, as a function of its moves
history       the moves of an alias, and the proof that none was changed, added or left out
removal       delete and gc: what is taken away, and what must not be
servable      which versions answer over HTTP (all that the data plane imports of this package)
registry      `Registry`, which puts these together over one store
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxlet.registry.reading.listing import VersionSummary as VersionSummary
    from onnxlet.registry.registry import Registry as Registry

__all__ = ["Registry", "VersionSummary"]


def __getattr__(name: str) -> object:
    """Import `Registry` when it is first asked for: the data plane wants `servable` alone."""
    if name == "Registry":
        from onnxlet.registry.registry import Registry

        return Registry
    if name == "VersionSummary":
        from onnxlet.registry.reading.listing import VersionSummary

        return VersionSummary
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
