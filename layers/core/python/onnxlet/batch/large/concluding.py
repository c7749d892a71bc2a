"""An outcome put in its place: the set of a large file looked at and replaced, as `onnxlet.batch.results` says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from onnxlet.batch.large.joining import OutOfTimeError
from onnxlet.batch.large.work import store_of
from onnxlet.batch.objects import ROUNDS
from onnxlet.batch.results import Results
from onnxlet.batch.scoring import BOOK, Outcome
from onnxlet.errors import ObjectNotFoundError, PreconditionFailedError, StoreUnavailableError

if TYPE_CHECKING:
    from onnxlet.batch.book import OpenBook, SourceFile
    from onnxlet.errors import OnnxletError
    from onnxlet.jobs.orders import Order
    from onnxlet.store import Store


def refuse(book: OpenBook, error: OnnxletError) -> Outcome:
    """The outcome of a source that cannot be scored."""
    return Outcome(book, error=error)


def is_closed(store: Store, order: Order, source: SourceFile) -> bool:
    """Whether the whole set of a source stands, and it is scored."""
    standing = Results(store_of(store, order.output), order.name).look(inside=True)
    return standing.closes(source) and standing.book is not None and standing.book.state == "scored"


def is_scored(store: Store, order: Order) -> bool:
    """Whether the book of a scored source stands, whichever that is."""
    book = Results(store_of(store, order.output), order.name).look().book
    return book is not None and book.state == "scored"


def conclude(store: Store, order: Order, outcome: Outcome) -> dict[str, Any]:
    """Put an outcome in the place of what stands, unless the source is another one now: `superseded`.

    Raises StoreUnavailableError if others write there all the time.
    """
    results = Results(store_of(store, order.output), order.name)
    source = outcome.book.source
    assert source is not None  # noqa: S101 - it was opened

    def source_changed() -> bool:
        try:
            return store_of(store, order.input).head(order.key).etag != source.etag
        except ObjectNotFoundError:
            return False

    for _ in range(ROUNDS):
        standing = results.look(inside=True)
        if source_changed():
            return {"state": "superseded"}
        book = standing.book
        if book is not None and standing.closes(source) and (book.state == "scored" or outcome.error is not None):
            rows = None if book.rows is None else msgspec.to_builtins(book.rows)
            return {"state": book.state, "book": order.name + BOOK, "rows": rows}
        try:
            results.replace(standing, outcome, source_changed)
        except PreconditionFailedError:
            continue
        except OutOfTimeError:
            return {"state": "joining"}
    raise StoreUnavailableError(f"{order.name!r} is being written by others: deliver the file again", key=order.name)
