"""What can be wrong with a store: kinds of findings, each with what mends it."""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """One promise that does not hold: its `kind`, the `key` that it is seen at, what is wrong, what mends it."""

    kind: str
    key: str
    detail: str
    mend: str


class Kind(NamedTuple):
    """A kind of finding, and the shortest way to mend it; docs/fsck.md has all of them."""

    name: str
    mend: str

    def at(self, key: str, detail: str) -> Finding:
        """A finding of this kind at a key."""
        return Finding(self.name, key, detail, self.mend)


_ANEW = (
    "restore the key from a backup or an earlier S3 version; else publish the model again, promote the new version and "
    "run `onnxlet delete NAME:VERSION --force`"
)

MANIFEST_DAMAGED = Kind("manifest-damaged", _ANEW)
ARTIFACT_MISSING = Kind("artifact-missing", _ANEW)
ARTIFACT_DAMAGED = Kind("artifact-damaged", _ANEW)
CLAIM_MISSING = Kind("claim-missing", "write the key again, with {} in it")
DELETED_BUT_THERE = Kind(
    "deleted-but-there",
    "remove the key if the version has no other finding and shall stay; else `onnxlet delete NAME:VERSION --force`",
)
UNFINISHED_PUBLISH = Kind("unfinished-publish", "`onnxlet gc`, with the same --older-than")
LEFTOVERS = Kind("leftovers", "`onnxlet gc`")
ALIAS_DAMAGED = Kind(
    "alias-damaged", "find out who did it, then `onnxlet promote NAME:VERSION --to ALIAS --force --reason WHY`"
)
ALIAS_ASTRAY = Kind(
    "alias-astray",
    "`onnxlet gc` if the version was deleted; else `onnxlet promote NAME:VERSION --to ALIAS` with one that is there",
)
HISTORY_BROKEN = Kind(
    "history-broken",
    "restore the key from a backup, an earlier S3 version or the locked copy; else move the alias and its history out "
    "of the store, keep them, and promote again",
)
HISTORY_STRAY = Kind("history-stray", "find out who wrote the key, and move it out of the store")
SETTINGS_DAMAGED = Kind(
    "settings-damaged", "restore the key; else remove it and run `onnxlet require` again, for each requirement"
)
NEWER_SCHEMA = Kind("newer-schema", "upgrade onnxlet")
ORPHAN = Kind("orphan", "find out who wrote the key, and move it out of the store")

REGISTRY_KINDS = (
    MANIFEST_DAMAGED,
    ARTIFACT_MISSING,
    ARTIFACT_DAMAGED,
    CLAIM_MISSING,
    DELETED_BUT_THERE,
    UNFINISHED_PUBLISH,
    LEFTOVERS,
    ALIAS_DAMAGED,
    ALIAS_ASTRAY,
    HISTORY_BROKEN,
    HISTORY_STRAY,
    SETTINGS_DAMAGED,
    NEWER_SCHEMA,
    ORPHAN,
)
