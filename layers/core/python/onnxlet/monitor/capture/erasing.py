"""Erasing: the rows of some requests leave what was captured and labelled, in every version that the store keeps.

Each object is replaced at once by one without these rows, or removed if none is left; whoever is stopped starts again
and does the rest. What was done is recorded, without the ids.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Protocol

import msgspec

from onnxlet.errors import IntegrityError, InvalidInputError, ObjectNotFoundError, PreconditionFailedError
from onnxlet.monitor.capture.data_key import DataKey
from onnxlet.monitor.capture.reading import AT_ONCE, list_captures, pack, read_published_policy, unpack
from onnxlet.monitor.capture.rows import REQUEST
from onnxlet.monitor.capture.rules import Hash
from onnxlet.registry.parallel import map_parallel
from onnxlet.store import Store
from onnxlet.values.canonical import canonical
from onnxlet.values.keys import CAPTURE, ERASURES, LABELS, erasure_key
from onnxlet.values.timestamps import format_timestamp

SCHEMA = 1
_ATTEMPTS = 5
OnProgress = Callable[[int, int], None]


class _Line(msgspec.Struct):
    id: str | None = None


_lines = msgspec.json.Decoder(_Line)


class OldVersion(Protocol):
    """An object as it was before it was overwritten or deleted, which the store still keeps."""

    key: str

    def read(self) -> bytes:
        """Its bytes."""

    def delete(self) -> str:
        """Remove it for good. Returns why that is refused; empty if it is gone."""


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """What an erasure did: numbers of ids, rows, labels, objects rewritten, old versions removed, and those `refused`.

    `digest` is an HMAC of the sorted ids under a key derived from the data key, for who has that to show that it was
    these; None without one. `untraceable` are captured rows whose policy drops ids: whose they are nobody can tell.
    """

    when: str
    who: str
    ids: int
    digest: str | None
    rows: int = 0
    labels: int = 0
    objects: int = 0
    old_versions: int = 0
    refused: tuple[str, ...] = ()
    untraceable: int = 0
    complete: bool = True
    schema: int = SCHEMA


class Eraser:
    """Erases the rows of requests by their ids; `old_versions` lists what a versioned bucket keeps below a prefix."""

    def __init__(
        self,
        store: Store,
        ids: Iterable[str],
        *,
        key: DataKey | None,
        old_versions: Callable[[str], Iterable[OldVersion]] | None = None,
        dry_run: bool = False,
    ) -> None:
        self._store = store
        self._ids = frozenset(ids)
        self._key = key
        self._old_versions = old_versions
        self._dry_run = dry_run
        self._hashed: dict[str, frozenset[str]] = {}
        self._counts = dict.fromkeys(("rows", "labels", "objects", "old_versions", "untraceable"), 0)
        self._refused: list[str] = []

    def erase(self, who: str, now: datetime, on_progress: OnProgress | None = None) -> Erasure:
        """Erase, and record it; a dry run only counts.

        Raises InvalidInputError if a policy hashes ids and there is no key; StoreUnavailableError, after which what was
        done stays done.
        """
        self._check_policies()
        keys = [*(entry.key for entry in self._store.list(CAPTURE)), *(entry.key for entry in self._store.list(LABELS))]
        for done in range(0, len(keys), AT_ONCE):
            if on_progress is not None:
                on_progress(done, len(keys))
            some = keys[done : done + AT_ONCE]
            for key, counts in zip(some, map_parallel(self._erase_current, some), strict=True):
                self._count(key, *counts)
        if self._old_versions is not None:
            for prefix in (CAPTURE, LABELS):
                self._erase_old(self._old_versions(prefix))
        if on_progress is not None:
            on_progress(len(keys), len(keys))
        erasure = Erasure(
            when=format_timestamp(now),
            who=who,
            ids=len(self._ids),
            digest=self._digest(),
            refused=tuple(self._refused),
            complete=not self._refused,
            **self._counts,
        )
        if not self._dry_run:
            key = erasure_key(now.strftime("%Y%m%dT%H%M%S%fZ"), secrets.token_hex(4))
            self._store.create(key, canonical(erasure))
        return erasure

    def _check_policies(self) -> None:
        """Raises InvalidInputError where rows could not be found."""
        if self._key is not None:
            return
        versions = {(each.model, each.version) for each in list_captures(self._store) if each.version is not None}
        for model, version in sorted(versions):
            policy = read_published_policy(self._store, model, version)
            if policy is not None and isinstance(policy.request_id, Hash):
                raise InvalidInputError(
                    f"{model}:{version} keeps hashes of request ids: let ONNXLET_CAPTURE_KEY say where the key lies, "
                    "without which nobody finds their rows"
                )

    def _erase_current(self, key: str) -> tuple[int, int]:
        """How many rows went, and how many have no id."""
        for _ in range(_ATTEMPTS):
            try:
                blob = self._store.get(key)
            except ObjectNotFoundError:
                return 0, 0
            lines = self._read(blob.data, key)
            kept = [line for line in lines if not self._is_theirs(line, key)]
            gone = len(lines) - len(kept)
            if gone and not self._dry_run and not self._replace(key, kept, blob.etag):
                continue
            return gone, sum(_lines.decode(line).id is None for line in lines)
        raise PreconditionFailedError(f"others keep changing {key!r}: erase again", key=key)

    def _replace(self, key: str, lines: Sequence[bytes], etag: str) -> bool:
        try:
            if lines:
                self._store.swap(key, pack(list(lines)), etag)
            else:
                self._store.delete(key, etag=etag)
        except PreconditionFailedError:
            return False
        return True

    def _erase_old(self, versions: Iterable[OldVersion]) -> None:
        waiting = iter(versions)
        while some := list(islice(waiting, AT_ONCE)):
            self._counts["old_versions"] += sum(map_parallel(self._erase_version, some))

    def _erase_version(self, version: OldVersion) -> bool:
        """Whether it had to go, and went."""
        if not any(self._is_theirs(line, version.key) for line in self._read(version.read(), version.key)):
            return False
        refusal = "" if self._dry_run else version.delete()
        if refusal:
            self._refused.append(f"{version.key}: {refusal}")
        return not refusal

    def _read(self, data: bytes, key: str) -> list[bytes]:
        """The lines of an object; none of one that is no such object, whose rows nobody can tell."""
        try:
            lines = unpack(data, key)
            for line in lines:
                _lines.decode(line)
        except (IntegrityError, msgspec.MsgspecError):
            self._refused.append(f"{key}: it holds no captured rows or labels")
            return []
        return lines

    def _count(self, key: str, gone: int, untraceable: int) -> None:
        self._counts["rows" if key.startswith(CAPTURE) else "labels"] += gone
        self._counts["objects"] += bool(gone)
        self._counts["untraceable"] += untraceable if key.startswith(CAPTURE) else 0

    def _is_theirs(self, line: bytes, key: str) -> bool:
        found = _lines.decode(line).id
        return found is not None and (found in self._ids or found in self._hashes(key.split("/")[1]))

    def _hashes(self, model: str) -> frozenset[str]:
        if self._key is None:
            return frozenset()
        if model not in self._hashed:
            key = self._key.derive(model, REQUEST, "id")
            self._hashed[model] = frozenset(str(Hash().release(each, key)) for each in self._ids)
        return self._hashed[model]

    def _digest(self) -> str | None:
        if self._key is None:
            return None
        return hmac.digest(self._key.derive("", "erasure"), canonical(sorted(self._ids)), "sha256").hex()


def read_erasures(store: Store) -> Iterator[Erasure]:
    """What was erased, oldest first."""
    for entry in store.list(ERASURES):
        yield msgspec.json.decode(store.get(entry.key).data, type=Erasure)
