"""The work area of a source: what the steps of the state machine share, each document written once.

```
batch/work/<hash>/work.json            what is scored by whom into what
                  scans/<number>.json  what is in a stretch
                  plan.json            where sections begin
                  sections/<n>.json    what came of a section; it names its pieces
                  pieces/… errors/…    scored rows and bad rows of sections
                  items/….json         what the Maps of the state machine go through
```

Whoever does something twice finds that it is done: the first document stands, and what it names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from onnxlet import errors
from onnxlet.batch.book import Failure, OpenBook, RowCounts, Scorer, SourceFile
from onnxlet.batch.formats.ports import Note, Place
from onnxlet.batch.multipart import locate
from onnxlet.batch.planning import Scan
from onnxlet.errors import IntegrityError, InternalError, ObjectNotFoundError, OnnxletError, PreconditionFailedError
from onnxlet.jobs.identity import digest_options
from onnxlet.jobs.orders import Order
from onnxlet.registry.parallel import map_parallel
from onnxlet.store import open_store
from onnxlet.values.canonical import canonical
from onnxlet.values.refs import parse_ref

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from onnxlet.store import Store

T = TypeVar("T")
WORK, PLAN = "work.json", "plan.json"
SECTIONS = "sections/"
SWEPT = (SECTIONS, "scans/", "progress/", "pieces/", "errors/")
SWEPT_AT_ONCE = 500


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What is scored, by whom, into what. `separator` is that of CSV; the first row begins at `first`.

    Stretches of lines are of so many bytes; other files have none. `explained` is what the book says of explanations.
    """

    order: Order
    source: SourceFile
    scorer: Scorer
    started: str
    first: Place
    stretch: int
    separator: str = ","
    explained: dict[str, Any] | None = None

    def open_book(self) -> OpenBook:
        """The book of the source."""
        book = OpenBook(parse_ref(self.order.ref), self.started, self.source, self.scorer, separator=self.separator)
        book.explained, book.options = self.explained, digest_options(self.order)
        return book


class Piece(msgspec.Struct, frozen=True):
    """Scored rows and bad rows of one invocation: their objects, if there are any, and what they are of.

    Rows from `start` to `end` were read; the digest of the input is that of their bytes, where rows are lines. `notes`
    are what the output's end needs to know, by places in it.
    """

    start: Place
    end: Place
    rows: RowCounts
    input: str | None
    output: Written | None
    errors: Written | None
    notes: tuple[Note, ...] = ()


class Written(msgspec.Struct, frozen=True):
    """An object of the work area: its key in the store, size and digest."""

    key: str
    size: int
    digest: str


class Scanned(msgspec.Struct, frozen=True):
    """What is in a stretch, or why nobody can say."""

    scan: Scan | None = None
    failure: Failure | None = None


class Section(msgspec.Struct, frozen=True):
    """What came of a section: pieces, one behind the other, under a heading if rows were written; or why nothing."""

    number: int
    pieces: tuple[Piece, ...] = ()
    heading: bytes | None = None
    failure: Failure | None = None


class Plan(msgspec.Struct, frozen=True):
    """Where sections begin, and where the last one ends if that is known."""

    places: tuple[Place, ...]
    end: Place | None

    @property
    def ends(self) -> tuple[Place | None, ...]:
        """Where each section ends."""
        return (*self.places[1:], self.end)


class WorkArea:
    """The work area at a prefix of a store."""

    def __init__(self, store: Store, prefix: str) -> None:
        self.store = store
        self.prefix = prefix

    def key(self, name: str) -> str:
        """The key of something in it."""
        return self.prefix + name

    def note(self, name: str, document: object) -> bool:
        """Write a document unless it stands already; whether it did not."""
        try:
            self.store.create(self.key(name), canonical(document))
        except PreconditionFailedError:
            return False
        return True

    def read(self, name: str, kind: type[T]) -> T:
        """A document. Raises ObjectNotFoundError, IntegrityError if it cannot be read."""
        data = self.store.get(self.key(name)).data
        try:
            return msgspec.json.decode(data, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise IntegrityError(f"{self.key(name)!r} is not what was written: deliver the file again") from error

    def find(self, name: str, kind: type[T]) -> T | None:
        """A document, if it stands."""
        try:
            return self.read(name, kind)
        except ObjectNotFoundError:
            return None

    def list_items(self, name: str, items: list[dict[str, Any]]) -> dict[str, str]:
        """Write what a Map goes through, and tell the state machine where it is."""
        key = self.key(f"items/{name}.json")
        self.store.put(key, msgspec.json.encode(items))
        bucket, prefix = locate(self.store.url)
        return {"bucket": bucket, "key": prefix + key}

    def scans(self, count: int) -> list[Scan]:
        """What is in each stretch. Raises the error of the first one of which nobody can say."""
        found = map_parallel(lambda number: self.read(scan_name(number), Scanned), range(count))
        for each in found:
            if each.failure is not None:
                raise restore(each.failure)
        return [each.scan for each in found if each.scan is not None]

    def upload(self, name: str, path: Path, digest: str) -> Written | None:
        """Put what was made into a new object; None if it is empty."""
        size = path.stat().st_size
        if not size:
            return None
        self.store.put(self.key(name), path)
        return Written(self.key(name), size, digest)

    def sweep(self, out_of_time: Callable[[], bool]) -> None:
        """Remove what is large or many, what names before what is named, as long as there is time.

        Documents that other executions may be about to read stay; they go by themselves, as the rest does.
        """
        for folder in SWEPT:
            batch: list[str] = []
            for entry in self.store.list(self.key(folder)):
                batch.append(entry.key)
                if len(batch) == SWEPT_AT_ONCE:
                    if out_of_time():
                        return
                    map_parallel(self.store.delete, batch)
                    batch = []
            map_parallel(self.store.delete, batch)


def describe(error: OnnxletError) -> Failure:
    """An error as it is noted."""
    return Failure(type(error).__name__, error.detail)


def restore(failure: Failure) -> OnnxletError:
    """The error that was noted."""
    kind: type[OnnxletError] = getattr(errors, failure.type, InternalError)
    return kind(failure.detail)


def scan_name(number: int) -> str:
    """The name of what is in a stretch."""
    return f"scans/{number:06d}.json"


def section_name(number: int) -> str:
    """The name of what came of a section."""
    return f"{SECTIONS}{number:06d}.json"


def store_of(store: Store, url: str) -> Store:
    """The store that an order names: an empty URL is the one where models lie."""
    return open_store(url) if url else store
