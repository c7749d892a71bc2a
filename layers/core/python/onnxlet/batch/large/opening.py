"""The first step: who scores a source, whether that is possible, and what is to be scanned."""

from __future__ import annotations

import hashlib
from contextlib import closing
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from onnxlet.batch.book import OpenBook, SourceFile
from onnxlet.batch.claims import load_claimed
from onnxlet.batch.formats import blocks, find_type
from onnxlet.batch.large.concluding import conclude, is_closed, is_scored, refuse
from onnxlet.batch.large.scanning import plan_places
from onnxlet.batch.large.tables import choose_inputs, open_table
from onnxlet.batch.large.work import Work, WorkArea, store_of
from onnxlet.batch.reading import ForwardSource
from onnxlet.errors import ConflictError, ObjectNotFoundError, OnnxletError, UnavailableError
from onnxlet.jobs import estimates
from onnxlet.jobs.identity import digest_options
from onnxlet.jobs.orders import work_prefix
from onnxlet.values.canonical import canonical
from onnxlet.values.keys import BATCH_IN, BATCH_JOBS
from onnxlet.values.refs import parse_ref

if TYPE_CHECKING:
    from onnxlet.batch.formats.ports import Table
    from onnxlet.jobs.orders import Order
    from onnxlet.serving.predictor import Predictor
    from onnxlet.store import Store


def open_order(store: Store, predictor: Predictor, order: Order) -> dict[str, Any]:
    """Claim the source of an order and note what is done: what the state machine does next.

    What cannot be scored is closed with a failed book. Raises UnavailableError, ObjectNotFoundError; ConflictError if
    another scoring's set stands where this one would write.
    """
    try:
        source = describe_source(store, order)
    except ObjectNotFoundError:
        # a file that was scored may be removed, and delivered late once more
        if is_scored(store, order):
            return {"state": "closed"}
        raise
    book = OpenBook(parse_ref(order.ref), source=source, options=digest_options(order))
    try:
        model, book.scorer = load_claimed(store, predictor, book.ref, claimed_as(order, source))
        if is_closed(store, order, source, book.scorer):
            return {"state": "closed"}
        with closing(ForwardSource(store_of(store, order.input), order.key, source)) as content:
            inputs = choose_inputs(model, order)
            table = open_table(order, content, inputs)
            area = WorkArea(store, work_prefix(order, source.identity, book.scorer.digest))
            work = Work(
                order=order,
                source=source,
                scorer=book.scorer,
                started=book.started,
                first=table.first,
                stretch=estimates.size_sections(source.size, blocks.RANGE_BYTES),
                separator=getattr(table, "separator", ","),
                explained=None if inputs.explaining is None else inputs.explaining.head,
            )
            area.note("work.json", work)
            if order.job:
                store.put(f"{BATCH_JOBS}{order.job}.work.json", canonical({"work": area.prefix}))
            return _go_on(area, work, table)
    except (UnavailableError, ConflictError):
        raise
    except OnnxletError as error:
        return conclude(store, order, refuse(book, error))


def describe_source(store: Store, order: Order) -> SourceFile:
    """What an order's key holds now; its digest is known when all of it was read. Raises ObjectNotFoundError."""
    head = store_of(store, order.input).head(order.key)
    key = f"{order.input}/{order.key}" if order.input else order.key
    return SourceFile(key, "", head.size, head.etag, head.version)


def claimed_as(order: Order, source: SourceFile) -> SourceFile:
    """The source as claims know it: those of other stores have keys of their own there, one for each job."""
    if not order.input and order.key.startswith(BATCH_IN):
        return source
    elsewhere = hashlib.sha256(f"{source.key} {order.ref} {order.job}".encode()).hexdigest()[:32]
    return replace(source, key=f"{BATCH_IN}.elsewhere/{elsewhere}")


def _go_on(area: WorkArea, work: Work, table: Table) -> dict[str, Any]:
    format_ = find_type(work.order.key).format
    if not format_.has_lines:
        *places, end = format_.find_places(table, work.stretch)
        return plan_places(area, places or [end], end)
    count = max(1, -(-work.source.size // work.stretch))
    stretches = [{"step": "scan", "work": area.prefix, "stretch": number} for number in range(count)]
    return {"state": "scan", "work": area.prefix, "items": area.list_items("stretches", stretches)}
