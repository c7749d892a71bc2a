"""Files that were scored, held to their books: what a book names is there, and nothing else beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from onnxlet.batch.book import Book, decode_book
from onnxlet.batch.claims import claim_key, decode_claim
from onnxlet.batch.objects import parse_key
from onnxlet.batch.scoring import BOOK, SUFFIXES
from onnxlet.errors import InvalidInputError, ObjectNotFoundError
from onnxlet.registry.fsck.examine import WIDTH, confirm
from onnxlet.registry.fsck.findings import ORPHAN, Finding, Kind
from onnxlet.registry.fsck.survey import is_marker
from onnxlet.registry.fsck.versions import Scope, find_difference
from onnxlet.registry.parallel import map_parallel
from onnxlet.store import Entry, Store
from onnxlet.values.keys import BATCH_CLAIMS, BATCH_IN, BATCH_OUT
from onnxlet.values.manifest import Artifact

_ANEW = "upload the input again, which scores it anew"

BOOK_DAMAGED = Kind("book-damaged", f"remove the key, then {_ANEW}")
OUTPUT_MISSING = Kind("output-missing", f"remove the file's book, then {_ANEW}")
OUTPUT_DAMAGED = Kind("output-damaged", f"restore the key; else remove the file's book, then {_ANEW}")
UNFINISHED_SCORING = Kind("unfinished-scoring", f"{_ANEW}; or remove the key")
BATCH_CLAIM_DAMAGED = Kind("batch-claim-damaged", "remove the key: the next delivery claims anew")
NOTHING_TO_SCORE = Kind("nothing-to-score", "move the key to batch/in/<ref>/<path>, or out of the store")

BATCH_KINDS = (
    BOOK_DAMAGED,
    OUTPUT_MISSING,
    OUTPUT_DAMAGED,
    UNFINISHED_SCORING,
    BATCH_CLAIM_DAMAGED,
    NOTHING_TO_SCORE,
)

ScoredSet = dict[str, Entry]
"""What lies beside each other for one file: its output (under an empty suffix), its errors, its book."""


def examine_batch(store: Store, entries: Iterable[Entry], scope: Scope) -> list[Finding]:
    """Look at all that lies under `batch/`."""
    sets: dict[str, ScoredSet] = {}
    findings = []
    claims = []
    for entry in entries:
        if entry.key.startswith(BATCH_OUT):
            name, suffix = _split(entry.key)
            sets.setdefault(name, {})[suffix] = entry
        elif entry.key.startswith(BATCH_CLAIMS):
            claims.append(entry.key)
        else:
            findings += [] if is_marker(entry) else _examine_input(entry.key)
    looks: list[Callable[[], list[Finding]]] = [
        *((lambda name=name, files=files: _confirm_set(store, name, files, scope)) for name, files in sets.items()),
        *((lambda key=key: confirm(_examine_claim(store, key), lambda: _examine_claim(store, key))) for key in claims),
    ]
    return [*findings, *(found for part in map_parallel(lambda look: look(), looks, width=WIDTH) for found in part)]


def _split(key: str) -> tuple[str, str]:
    """The name of the scored file, and what the key adds to it."""
    for suffix in (BOOK, *SUFFIXES[1:]):
        if key.endswith(suffix):
            return key.removesuffix(suffix), suffix
    return key, ""


def _confirm_set(store: Store, name: str, files: ScoredSet, scope: Scope) -> list[Finding]:
    def look_again() -> Iterator[Finding]:
        listed = {_split(entry.key): entry for entry in store.list(name)}
        fresh = {suffix: entry for (of, suffix), entry in listed.items() if of == name}
        return _examine_set(store, name, fresh, scope)

    return confirm(_examine_set(store, name, files, scope), look_again)


def _examine_set(store: Store, name: str, files: ScoredSet, scope: Scope) -> Iterator[Finding]:
    if BOOK not in files:
        touched = max((entry.modified for entry in files.values()), default=0.0)
        if touched <= scope.oldest:
            for entry in files.values():
                yield UNFINISHED_SCORING.at(entry.key, "it has no book, so its scoring was not finished")
        return
    try:
        book = decode_book(store.get(name + BOOK).data)
    except ObjectNotFoundError:
        return  # it is being scored anew
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        yield BOOK_DAMAGED.at(name + BOOK, f"this is no book: {error}")
        return
    yield from _hold_to_book(store, name, book, files, scope)


def _hold_to_book(store: Store, name: str, book: Book, files: ScoredSet, scope: Scope) -> Iterator[Finding]:
    if book.source is not None and BATCH_OUT + book.source.key.removeprefix(BATCH_IN) != name:
        yield BOOK_DAMAGED.at(name + BOOK, f"it is the book of {book.source.key!r}")
        return
    for output in book.outputs:
        entry = files.get(_split(output.key)[1]) if _split(output.key)[0] == name else None
        promised = Artifact(output.key, output.digest, output.size)
        difference = find_difference(store, output.key, entry, promised, scope)
        if difference is None:
            yield OUTPUT_MISSING.at(output.key, "its book names it, and it is not there")
        elif difference:
            yield OUTPUT_DAMAGED.at(output.key, difference)
    named = {output.key for output in book.outputs}
    for suffix, entry in files.items():
        if suffix != BOOK and entry.key not in named:
            yield ORPHAN.at(entry.key, "the book beside it does not name it")


def _examine_claim(store: Store, key: str) -> list[Finding]:
    try:
        claim = decode_claim(store.get(key).data)
    except ObjectNotFoundError:
        return []
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return [BATCH_CLAIM_DAMAGED.at(key, f"this is no claim: {error}")]
    if claim_key(claim.source) != key:
        return [BATCH_CLAIM_DAMAGED.at(key, f"it claims {claim.source.key!r}, which has another key")]
    return []


def _examine_input(key: str) -> list[Finding]:
    try:
        parse_key(key)
    except InvalidInputError as error:
        return [NOTHING_TO_SCORE.at(key, error.detail)]
    return []
