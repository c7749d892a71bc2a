"""Alias documents and history entries: which versions a name routes to, and how that came about.

An alias holds its latest entry whole; the entries before it lie in the history, one object each, chained by digest.
"""

from typing import Literal

import msgspec

from onnxlet.errors import AliasNotFoundError, IntegrityError
from onnxlet.values.canonical import canonical

SCHEMA = 1
PREVIOUS_KEPT = 20
"""Earlier routes that an alias remembers, to roll back to."""


class Route(msgspec.Struct, frozen=True):
    """A share of the traffic: `weight` relative to the other routes', `digest` of the version's manifest bytes."""

    version: int
    weight: float
    digest: str


Routes = tuple[Route, ...]


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One move of an alias. `predecessor` is the digest of the canonical JSON of the entry before; None for the first.

    `gates` are the checks that the move passed or was forced past, by name; `when` is RFC 3339 in UTC. An alias is
    retired, to no routes, when its version is deleted and there is none to go back to.
    """

    schema: int = SCHEMA
    model: str
    alias: str
    sequence: int
    action: Literal["promote", "rollback", "retire"]
    who: str
    when: str
    why: str
    origin: Routes = msgspec.field(name="from")
    target: Routes = msgspec.field(name="to")
    gates: dict[str, str] = {}
    predecessor: str | None


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """An alias document. `previous` are the routes to go back to, newest first: a stack that `promote` pushes and
    `rollback` pops, so that rolling back walks back and never toggles. A retired alias has no routes.
    """

    schema: int = SCHEMA
    sequence: int
    routes: Routes
    previous: tuple[Routes, ...] = ()
    entry: HistoryEntry


_alias_decoder = msgspec.json.Decoder(Alias)
_entry_decoder = msgspec.json.Decoder(HistoryEntry)


def encode(document: Alias | HistoryEntry) -> bytes:
    """A document as canonical JSON."""
    return canonical(document)


def decode_alias(data: bytes, *, retired: bool = False) -> Alias:
    """Read an alias document and hold its routes to its newest entry.

    Raises IntegrityError if it is none, routes nowhere or elsewhere than its entry says, or has a schema not known
    here; AliasNotFoundError if it was retired, unless `retired` ones are wanted too.
    """
    alias = decode_unchecked_alias(data)
    entry = alias.entry
    if not alias.routes and entry.action != "retire":
        raise IntegrityError("the alias routes to no version")
    if alias.routes != entry.target or alias.sequence != entry.sequence:
        raise IntegrityError(
            "the alias does not route where its entry says, so somebody changed it by hand: promote a version again, "
            "with force and a reason"
        )
    if not alias.routes and not retired:
        raise AliasNotFoundError(
            f"alias {entry.alias!r} of {entry.model!r} was retired: promote a version to it",
            model=entry.model,
            alias=entry.alias,
        )
    return alias


def decode_unchecked_alias(data: bytes) -> Alias:
    """Read an alias document, whatever it says. Raises IntegrityError if it is none, or of a schema not known here."""
    try:
        alias = _alias_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise IntegrityError(f"this is not an alias document: {error}") from error
    if alias.schema != SCHEMA:
        raise IntegrityError(
            f"the alias has schema {alias.schema}, this onnxlet knows {SCHEMA}: upgrade onnxlet", schema=alias.schema
        )
    return alias


def decode_entry(data: bytes) -> HistoryEntry:
    """Read a history entry. Raises IntegrityError if it is none, or has a schema not known here."""
    try:
        entry = _entry_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise IntegrityError(f"this is not a history entry: {error}") from error
    if entry.schema != SCHEMA:
        raise IntegrityError(
            f"the history entry has schema {entry.schema}, this onnxlet knows {SCHEMA}: upgrade onnxlet",
            schema=entry.schema,
        )
    return entry
