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
from onnxlet.jobs.identity import Identity, check_output, identify

if TYPE_CHECKING:
    from onnxlet.batch.book import OpenBook, Scorer, SourceFile
    from onnxlet.batch.results import StandingSet
    from onnxlet.errors import OnnxletError
    from onnxlet.jobs.orders import Order
    from onnxlet.store import Store


def refuse(book: OpenBook, error: OnnxletError) -> Outcome:
    """The outcome of a source that cannot be scored."""
    return Outcome(book, error=error)


def is_closed(store: Store, order: Order, source: SourceFile, scorer: Scorer | None = None) -> bool:
    """Whether the whole set of what is asked for stands, and it is scored.

    Raises ConflictError if that of another file, version or options stands there.
    """
    standing = Results(store_of(store, order.output), order.name).look(inside=True)
    _check_standing(standing, order, scorer)
    return standing.closes(source) and standing.book is not None and standing.book.state == "scored"


def is_scored(store: Store, order: Order) -> bool:
    """Whether the book of an order that was scored stands, of whichever upload. Raises ConflictError as above."""
    standing = Results(store_of(store, order.output), order.name).look()
    _check_standing(standing, order, None)
    return standing.book is not None and standing.book.state == "scored"


def conclude(store: Store, order: Order, outcome: Outcome) -> dict[str, Any]:
    """Put an outcome in the place of what stands, unless the source is another one now: `superseded`.

    Raises StoreUnavailableError if others write there all the time, ConflictError if the whole set of another scoring
    stands there, which stays.
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
        _check_standing(standing, order, outcome.book.scorer)
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


def _check_standing(standing: StandingSet, order: Order, scorer: Scorer | None) -> None:
    """Only whole sets stay: what lacks a file is of executions that were under way together, one of which ends it."""
    book = standing.book
    if book is None or book.source is None or book.state != "scored" or not standing.whole:
        return
    model, options = "" if book.scorer is None else book.scorer.digest, book.options or ""
    asked = identify(order, "" if scorer is None else scorer.digest)
    check_output(order, asked, Identity(book.source.key, model, options))
