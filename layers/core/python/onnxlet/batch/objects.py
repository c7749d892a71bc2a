"""A store's files scored, `batch/in/<ref>/<path>` to `batch/out/<ref>/<path>`, whatever is delivered how often.

A delivery says that a key was written, no more: what it holds now is what is scored, in the way that `results` says.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from onnxlet.batch.book import Book, OpenBook, SourceFile
from onnxlet.batch.claims import claim_key, load_claimed
from onnxlet.batch.results import Results, StandingSet
from onnxlet.batch.scoring import BOOK, ERRORS, Options, Outcome, Outputs, score_source
from onnxlet.batch.scratch import scratch_folder
from onnxlet.batch.sources import StoredSource
from onnxlet.errors import (
    InvalidInputError,
    InvalidNameError,
    ObjectNotFoundError,
    PreconditionFailedError,
    StoreUnavailableError,
)
from onnxlet.jobs.uploads import read_order
from onnxlet.store.rules import check_key
from onnxlet.values.keys import BATCH_IN, BATCH_OUT
from onnxlet.values.refs import Ref, parse_ref

if TYPE_CHECKING:
    from pathlib import Path

    from onnxlet.batch.book import Scorer
    from onnxlet.serving.model import Model
    from onnxlet.serving.predictor import Predictor
    from onnxlet.store import Store

ROUNDS = 20
"""How often a delivery begins anew because others write the source or the set, before it is left to come again."""


class Attempt(NamedTuple):
    """A source that this delivery has scored, or tried to."""

    source: SourceFile
    outcome: Outcome


def score_object(store: Store, predictor: Predictor, key: str) -> Book:
    """Score `batch/in/<ref>/<path>` of a store, unless it is scored already. The book that stands in the end.

    Raises what its failed book says, StoreUnavailableError if the store does not answer, ObjectNotFoundError if there
    is no such file, InvalidInputError for a key that can be none to score.
    """
    ref = parse_key(key)
    with scratch_folder() as folder:
        delivery = Delivery(store, predictor, ref, key, folder)
        for _ in range(ROUNDS):
            book = delivery.advance()
            if book is not None:
                return book
    raise StoreUnavailableError(f"{key!r} is being written or scored by others: deliver it again", key=key)


def parse_key(key: str) -> Ref:
    """The ref that scores the file under a key. Raises InvalidInputError if it is no file to score."""
    ref, _, path = key.removeprefix(BATCH_IN).partition("/")
    if not key.startswith(BATCH_IN) or not path:
        raise InvalidInputError(f"{key!r} is no file to score: those lie under '{BATCH_IN}<ref>/<path>'", key=key)
    if key.endswith((ERRORS, BOOK)):
        raise InvalidInputError(f"{key!r} is no file to score: it is named as outputs are", key=key)
    check_key(key)
    try:
        parsed = parse_ref(ref)
    except InvalidNameError as error:
        raise InvalidInputError(f"{key!r} is no file to score: {error.detail}", key=key) from error
    try:
        check_key(_name_output(key) + ERRORS)
        check_key(claim_key(SourceFile(key, "", 0)))
    except InvalidNameError as error:
        raise InvalidNameError(f"{key!r} is too long: the keys of its outputs are longer still", key=key) from error
    return parsed


class Delivery:
    """One delivery of a file, from look to look at what stands."""

    def __init__(self, store: Store, predictor: Predictor, ref: Ref, key: str, folder: Path) -> None:
        self._store = store
        self._predictor = predictor
        self._ref = ref
        self._key = key
        self._folder = folder
        order = read_order(store, key, str(ref))
        self._options = Options(order.keep, order.max_bad, order.columns, explain=order.explain)
        self._results = Results(store, _name_output(key))
        self._attempt: Attempt | None = None

    def advance(self) -> Book | None:
        """The book if all belongs together, in the order that `results` says; else one step towards that and None."""
        standing = self._results.look()
        if self._attempt is not None and not self._source_changed() and _is_done(standing, self._attempt):
            return _conclude(standing, self._attempt)
        try:
            source = StoredSource(self._store, self._key)
        except ObjectNotFoundError:
            # a file that was scored may be removed, and delivered late once more
            if standing.book is not None and standing.book.state == "scored":
                return standing.book
            raise
        try:
            with closing(source):
                if self._attempt is None or self._attempt.source.identity != source.upload.identity:
                    if standing.closes(source.upload) and standing.book is not None and standing.book.state == "scored":
                        return standing.book
                    self._attempt = Attempt(source.upload, self._score(source))
            self._results.replace(standing, self._attempt.outcome, self._source_changed)
        except PreconditionFailedError:
            return None
        return None

    def _score(self, source: StoredSource) -> Outcome:
        def load() -> tuple[Model, Scorer]:
            return load_claimed(self._store, self._predictor, self._ref, source.upload)

        outputs, telemetry = Outputs(self._key, self._folder), self._predictor.telemetry
        return score_source(
            OpenBook(self._ref),
            source,
            load,
            outputs,
            self._options,
            telemetry=telemetry,
            counts=self._predictor.counts,
        )

    def _source_changed(self) -> bool:
        """Whether the key holds other bytes than were scored; a file that was removed is not another one."""
        assert self._attempt is not None  # noqa: S101 - it is asked of what was scored
        assert self._attempt.source.etag is not None  # noqa: S101 - which lay in a store
        try:
            return self._store.head(self._key).etag != self._attempt.source.etag
        except ObjectNotFoundError:
            return False


def _name_output(key: str) -> str:
    return BATCH_OUT + key.removeprefix(BATCH_IN)


def _is_done(standing: StandingSet, attempt: Attempt) -> bool:
    """Whether the set is of the source: a scored one, whoever scored it, or that it cannot be scored."""
    if standing.book is None or not standing.closes(attempt.source):
        return False
    return standing.book.state == "scored" or attempt.outcome.error is not None


def _conclude(standing: StandingSet, attempt: Attempt) -> Book:
    assert standing.book is not None  # noqa: S101 - it is done
    if standing.book.state == "failed" and attempt.outcome.error is not None:
        raise attempt.outcome.error
    return standing.book
