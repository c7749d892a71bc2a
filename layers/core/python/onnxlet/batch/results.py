"""What stands in a store for one scored file: its output, its errors and its book, which belong to one source.

Deliveries come at least once, late, together, and are killed; no store writes three keys at once. Why one set is left
all the same, that of the newest upload:

1. A delivery looks at the set first and at the source after it, and ends only where it finds a book, outputs with the
   ETags that the book names, and a source of the identity that the book names.
2. Else it scores the source, removes the book, writes the outputs, looks at the source again, writes the book and
   begins anew at 1; every write is conditional on what it looked at, and a delivery that loses one begins anew as well.
3. Whichever delivery makes the last write of all looks at everything after it, and nothing changes any more: the set
   that it ends on is whole, and stays.
4. It is the newest upload's: that upload has a delivery of its own, which looks after it and ends on no other set, so
   that it would have had to make the last write itself.
5. A delivery that is killed comes again, and until then has left no book, or, where equal bytes have equal ETags and so
   a newer set's file may pass for an older one, a book whose digests tell that the set is not whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from onnxlet.batch.book import Book, OutputFile, SourceFile, decode_book, encode_book
from onnxlet.batch.scoring import BOOK, SUFFIXES, Made, Outcome
from onnxlet.errors import ObjectNotFoundError
from onnxlet.values.digests import digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from onnxlet.store import Store


LARGE = 64 * 2**20
"""Outputs of more bytes are written anew rather than read to see whether that is needed."""


class StandingFile(NamedTuple):
    """An output as it stands; its digest is empty where it would cost too much to know."""

    etag: str
    digest: str


class StandingSet(NamedTuple):
    """What stood at a look: the book if it can be read, its ETag if there is one, and the outputs by their keys."""

    book: Book | None
    book_etag: str | None
    files: dict[str, StandingFile]

    def closes(self, source: SourceFile) -> bool:
        """Whether this is the whole set of a source, scored or failed."""
        if self.book is None or self.book.source is None or self.book.source.identity != source.identity:
            return False
        return self.whole

    @property
    def whole(self) -> bool:
        """Whether the outputs are those that the book names."""
        if self.book is None:
            return False
        named = {written.key: written.etag for written in self.book.outputs}
        return named == {key: file.etag for key, file in self.files.items()}


class Results:
    """The set of one scored file: `name` is its output's key."""

    def __init__(self, store: Store, name: str) -> None:
        self.name = name
        self._store = store

    def look(self, *, inside: bool = False) -> StandingSet:
        """The set as it stands, the book first; with what lies `inside` a folder of the output's name, too."""
        book, etag = self._read_book()
        named = {} if book is None else {written.key: written for written in book.outputs}
        listed = [entry.key for entry in self._store.list(f"{self.name}/")] if inside else []
        files = {}
        for key in dict.fromkeys([*(self.name + suffix for suffix in SUFFIXES), *named, *listed]):
            standing = self._read_file(key, named.get(key))
            if standing is not None:
                files[key] = standing
        return StandingSet(book, etag, files)

    def replace(self, standing: StandingSet, outcome: Outcome, source_changed: Callable[[], bool]) -> None:
        """Put an outcome in the place of the set that stood; nothing is closed if the source has changed meanwhile.

        Raises PreconditionFailedError if somebody else wrote to the set since then.
        """
        if standing.book_etag is not None:
            self._store.delete(self.name + BOOK, etag=standing.book_etag)
        outputs = []
        standing_suffixes = [key.removeprefix(self.name) for key in standing.files]
        for suffix in dict.fromkeys([*outcome.files, *standing_suffixes]):
            file, made = standing.files.get(self.name + suffix), outcome.files.get(suffix)
            if made is not None:
                outputs.append(self._write_file(suffix, made, file, outcome.count_rows(suffix)))
            elif file is not None:
                self._store.delete(self.name + suffix, etag=file.etag)
        if not source_changed():
            self._store.create(self.name + BOOK, encode_book(outcome.close(tuple(outputs))))

    def _write_file(self, suffix: str, made: Made, standing: StandingFile | None, rows: int) -> OutputFile:
        """Write an output unless the same bytes stand there: deliveries of one source leave each other's alone."""
        key = self.name + suffix
        if standing is not None and standing.digest == made.digest:
            etag = standing.etag
        else:
            etag = made.write(self._store, key, None if standing is None else standing.etag)
        return OutputFile(key, made.digest, made.size, rows, etag)

    def _read_book(self) -> tuple[Book | None, str | None]:
        try:
            blob = self._store.get(self.name + BOOK)
        except ObjectNotFoundError:
            return None, None
        try:
            return decode_book(blob.data), blob.etag
        except msgspec.MsgspecError:
            return None, blob.etag

    def _read_file(self, key: str, named: OutputFile | None) -> StandingFile | None:
        """An output; its bytes are read only if they are not those that the book names, and not many."""
        try:
            head = self._store.head(key)
            if named is not None and named.etag == head.etag:
                return StandingFile(head.etag, named.digest)
            if head.size > LARGE:
                return StandingFile(head.etag, "")
            blob = self._store.get(key)
        except ObjectNotFoundError:
            return None
        return StandingFile(blob.etag, digest(blob.data))
