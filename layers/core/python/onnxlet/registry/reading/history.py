"""The history of an alias: every move, chained by digest, and the proof that it is whole."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from onnxlet.errors import AliasNotFoundError, HistoryBrokenError, IntegrityError, ModelNotFoundError, OnnxletError
from onnxlet.registry.parallel import map_parallel
from onnxlet.registry.reading import lookup
from onnxlet.registry.rollback_stack import Stack, next_stack
from onnxlet.store import Store
from onnxlet.values import keys
from onnxlet.values.aliases import Alias, HistoryEntry, Routes, decode_entry, decode_unchecked_alias, encode
from onnxlet.values.digests import digest

CAREFUL_READS = 3
"""How often two reads may differ, or not be what they should, before one is taken as it is."""

Read = TypeVar("Read")


def entries(store: Store, model: str, alias: str) -> list[HistoryEntry]:
    """Every move of an alias, oldest first, as it is written: `verify` proves it.

    Also where the alias does not route as its newest move says. Raises ModelNotFoundError, AliasNotFoundError,
    IntegrityError for what is no entry.
    """
    newest = _newest(store, model, alias)
    last = keys.history_key(model, alias, newest.sequence)
    past = [entry.key for entry in store.list(keys.history_prefix(model, alias)) if entry.key < last]
    return [*map_parallel(lambda key: decode_entry(store.get(key).data), past), newest]


def _newest(store: Store, model: str, alias: str) -> HistoryEntry:
    try:
        return lookup.alias(store, model, alias, retired=True)[0].entry
    except IntegrityError:
        return decode_unchecked_alias(store.get(keys.alias_key(model, alias)).data).entry


def verify(store: Store, model: str, alias: str) -> int:
    """Prove the chain from the first move to the alias as it is; return how many moves it has.

    The sequence has no gap and nothing beyond its end; each entry is the one that the next was written after, and goes
    from where the one before it went to; the alias routes where its entry says, and may roll back to what its moves
    left. Who, when, why and the gates of the newest entry are held by nothing until the next move chains them: who may
    write the alias may change them, and who fears that keeps the newest digest elsewhere.
    Raises ModelNotFoundError, AliasNotFoundError, HistoryBrokenError naming the sequence where it breaks, and in its
    context the `part` that is not as it was: `alias`, the document, which the next move may mend; `entry`, a past
    one; or a `stray` key, which is none.
    """
    return len(verified_entries(store, model, alias))


def verified_entries(store: Store, model: str, alias: str) -> list[HistoryEntry]:
    """Every move of an alias, oldest first, once the chain is proven. Raises as `verify` does.

    What seems broken is read again carefully: nobody shall look for a forger where a read went wrong.
    """
    try:
        return _Chain(store, model, alias).verified()
    except HistoryBrokenError:
        return _Chain(store, model, alias, carefully=True).verified()


class _Chain:
    """The entries of one alias, and the checks that they make one chain; `carefully` takes what two reads agree on."""

    def __init__(self, store: Store, model: str, alias: str, *, carefully: bool = False) -> None:
        self._store = store
        self._model = model
        self._alias = alias
        self._carefully = carefully

    def verified(self) -> list[HistoryEntry]:
        # The list comes first: what it holds was archived before the alias, read after it, got to where it is.
        listed = {entry.key for entry in self._store.list(keys.history_prefix(self._model, self._alias))}
        document = self.alias(listed)
        self.check_keys(listed, document)
        return self.check_links(document)

    def alias(self, listed: set[str]) -> Alias:
        try:
            document = self._read(lambda: lookup.alias(self._store, self._model, self._alias, retired=True)[0])
        except (AliasNotFoundError, ModelNotFoundError) as error:
            if listed:
                raise self._broken_error(len(listed) + 1, "the alias document is gone", part="alias") from error
            raise
        except IntegrityError as error:
            raise self._broken_error(len(listed) + 1, error.detail, part="alias", cause=error) from error
        return document

    def check_keys(self, listed: set[str], document: Alias) -> None:
        """Every entry before the alias's own has its object, and no object is without its place."""
        expected = set()
        for sequence in range(1, document.sequence):
            key = self._key(sequence)
            if key not in listed and not lookup.object_exists(self._store, key):
                raise self._broken_error(sequence, f"{key!r} is missing")
            expected.add(key)
        newest = self._key(document.sequence)
        for key in sorted(listed - expected):
            if key != newest:
                raise self._broken_error(document.sequence, f"{key!r} does not belong to it", part="stray", key=key)
            if self._get(key) != encode(document.entry):
                how = f"{key!r} does not belong to it: it is not the entry that the alias holds, which would be lost"
                raise self._broken_error(document.sequence, how, part="stray", key=key)

    def check_links(self, document: Alias) -> list[HistoryEntry]:
        """Every entry was written after the one before it and goes on from there, up to what the alias is."""
        archived = map_parallel(lambda sequence: self._get(self._key(sequence)), range(1, document.sequence))
        written = [*archived, encode(document.entry)]
        entries = [self._entry(sequence, data) for sequence, data in enumerate(written, start=1)]
        self._check_digests(entries, [digest(data) for data in written])
        position: Routes = ()
        stack: Stack = ()
        for entry in entries:
            if entry.origin != position:
                raise self._broken_error(entry.sequence, "it does not start where the entry before it ended")
            following = next_stack(stack, entry)
            if following is None:
                raise self._broken_error(entry.sequence, f"a {entry.action} cannot lead there")
            position, stack = entry.target, following
        if document.previous != stack:
            how = "the alias would roll back to what its moves did not leave"
            raise self._broken_error(document.sequence, how, part="alias")
        return entries

    def _check_digests(self, entries: list[HistoryEntry], digests: list[str]) -> None:
        for entry, before, after in zip(entries, [None, *digests], [*entries[1:], None], strict=False):
            if entry.predecessor == before:
                continue
            changed = after is not None and after.predecessor != digests[entry.sequence - 1]
            if changed or before is None:
                raise self._broken_error(entry.sequence, "it is not as it was written")
            raise self._broken_error(
                entry.sequence - 1, f"it is not the entry that entry {entry.sequence} was written after"
            )

    def _entry(self, sequence: int, data: bytes) -> HistoryEntry:
        try:
            entry = decode_entry(data)
        except IntegrityError as error:
            raise self._broken_error(sequence, error.detail, cause=error) from error
        if (entry.model, entry.alias, entry.sequence) != (self._model, self._alias, sequence):
            raise self._broken_error(
                sequence, f"entry {entry.sequence} of '{entry.model}@{entry.alias}' lies in its place"
            )
        return entry

    def _get(self, key: str) -> bytes:
        return self._read(lambda: self._store.get(key).data)

    def _read(self, read: Callable[[], Read]) -> Read:
        for _ in range(CAREFUL_READS if self._carefully else 0):
            with suppress(IntegrityError):
                first = read()
                if read() == first:
                    return first
        return read()

    def _key(self, sequence: int) -> str:
        return keys.history_key(self._model, self._alias, sequence)

    def _broken_error(
        self, sequence: int, how: str, *, part: str = "entry", key: str | None = None, cause: OnnxletError | None = None
    ) -> HistoryBrokenError:
        schema = {} if cause is None or "schema" not in cause.context else {"schema": cause.context["schema"]}
        return HistoryBrokenError(
            f"the history of '{self._model}@{self._alias}' breaks at entry {sequence}: {how}",
            model=self._model,
            alias=self._alias,
            sequence=sequence,
            part=part,
            key=key,
            **schema,
        )
