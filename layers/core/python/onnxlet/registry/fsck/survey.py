"""One listing of a store, sorted by what the keys belong to."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from onnxlet.errors import InvalidNameError
from onnxlet.registry.fsck.findings import ORPHAN, Finding
from onnxlet.registry.reading.listing import Contents, contents, model_of
from onnxlet.store import Entry, Store
from onnxlet.values import keys
from onnxlet.values.refs import check_alias_name, check_model_name

_ALIAS = re.compile(rf"{keys.ALIASES}([^/]+)/([^/]+)\.json", re.DOTALL)
_HISTORY = re.compile(rf"{keys.HISTORY}([^/]+)/([^/]+)/.+", re.DOTALL)

AliasName = tuple[str, str]
"""A model and an alias of it."""


@dataclass
class Survey:
    """What a store holds. `aliases` are those that have a document or a history, `batch` all keys of scoring."""

    versions: list[Contents] = field(default_factory=list)
    aliases: set[AliasName] = field(default_factory=set)
    has_settings: bool = False
    batch: list[Entry] = field(default_factory=list)
    orphans: list[Finding] = field(default_factory=list)


def survey(store: Store) -> Survey:
    """List the whole store, and its versions."""
    surveyed = Survey(versions=[version for version in contents(store) if _is_model(version.model)])
    for entry in store.list(""):
        if not _is_placed(entry, surveyed) and not is_marker(entry):
            surveyed.orphans.append(ORPHAN.at(entry.key, "it lies where nothing of a store lies"))
    return surveyed


def is_marker(entry: Entry) -> bool:
    """Whether it may be a folder's marker: S3's console makes empty objects whose keys end with a slash.

    Listings come without that slash.
    """
    return entry.size == 0


def _is_placed(entry: Entry, surveyed: Survey) -> bool:
    """Whether a key belongs to something, to which it is added; versions are there already."""
    key = entry.key
    model = model_of(key)
    if model is not None:
        return _is_model(model)
    if key.startswith((keys.BATCH_IN, keys.BATCH_OUT, keys.BATCH_CLAIMS)):
        surveyed.batch.append(entry)
        return True
    if key.startswith(keys.WORK_AREAS):
        return True
    if key == keys.REGISTRY_SETTINGS:
        surveyed.has_settings = True
        return True
    match = _ALIAS.fullmatch(key) or _HISTORY.fullmatch(key)
    if match is None or not (_is_model(match[1]) and _is_alias(match[2])):
        return False
    surveyed.aliases.add((match[1], match[2]))
    return True


def _is_model(name: str) -> bool:
    try:
        check_model_name(name)
    except InvalidNameError:
        return False
    return True


def _is_alias(name: str) -> bool:
    try:
        check_alias_name(name)
    except InvalidNameError:
        return False
    return True
