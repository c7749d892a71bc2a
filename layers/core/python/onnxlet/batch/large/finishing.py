"""The last step: sections that are missing are asked for again; else output, errors and book are made of all of them.

One set of one source stays, as `onnxlet.batch.results` says: this is another way of making an outcome, no more.
"""

from __future__ import annotations

from contextlib import closing
from itertools import chain
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import msgspec

from onnxlet.batch.book import BookedPart, OpenBook, RowCounts
from onnxlet.batch.formats import find_type
from onnxlet.batch.formats.ports import Note
from onnxlet.batch.large.concluding import conclude, is_closed, refuse
from onnxlet.batch.large.joining import Clock, Joined, digest_of_digests
from onnxlet.batch.large.scanning import list_sections
from onnxlet.batch.large.tables import choose_inputs, load_scorer, open_table
from onnxlet.batch.large.uploading import Chunk, Extent
from onnxlet.batch.large.work import (
    PLAN,
    WORK,
    Piece,
    Plan,
    Section,
    Work,
    WorkArea,
    Written,
    restore,
    section_name,
    store_of,
)
from onnxlet.batch.reading import ForwardSource
from onnxlet.batch.scoring import ERRORS, Made, Outcome, explain_bad_rows, is_too_bad
from onnxlet.errors import (
    InvalidInputError,
    OnnxletError,
    UnavailableError,
)
from onnxlet.registry.parallel import map_parallel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnxlet.batch.formats.ports import Table
    from onnxlet.serving.predictor import Predictor
    from onnxlet.store import Store

SECTION_ROUNDS = 3
"""How often sections are asked for that nobody has scored."""
LINE_BYTES = 64 * 1024
"""A line of errors is no longer."""


def finish(store: Store, predictor: Predictor, prefix: str, round_: int, out_of_time: Clock) -> dict[str, Any]:
    """Close the book of a source whose sections are scored: what the state machine does next.

    Raises UnavailableError if sections are missing that were asked for often enough.
    """
    area = WorkArea(store, prefix)
    work, plan = area.read(WORK, Work), area.read(PLAN, Plan)
    if is_closed(store, work.order, work.source, work.scorer):
        return {"state": "closed"}
    found = map_parallel(lambda number: area.find(section_name(number), Section), range(len(plan.places)))
    missing = [number for number, section in enumerate(found) if section is None]
    if missing and round_ >= SECTION_ROUNDS:
        raise UnavailableError(
            f"{len(missing)} of {len(found)} sections of {work.order.key!r} were not scored in {round_} rounds, the "
            f"first of them number {missing[0]}: the log of Score says why; deliver the file again for the rest"
        )
    if missing:
        items = list_sections(area, round_ + 1, missing)
        return {"state": "score", "work": prefix, "round": round_ + 1, "items": items}
    sections = [section for section in found if section is not None]
    book = work.open_book()
    failed = next((section.failure for section in sections if section.failure is not None), None)
    try:
        if failed is not None:
            raise restore(failed)
        outcome = _make_outcome(area, predictor, work, sections, book, out_of_time)
    except UnavailableError:
        raise
    except OnnxletError as error:
        outcome = refuse(book, error)
    done = conclude(store, work.order, outcome)
    if done["state"] == "joining":
        return {**done, "work": prefix, "round": round_}
    area.sweep(out_of_time)
    return done


def _make_outcome(  # noqa: PLR0917 - what meets here
    area: WorkArea, predictor: Predictor, work: Work, sections: list[Section], book: OpenBook, out_of_time: Clock
) -> Outcome:
    """What came of all sections."""
    heading = _agree(sections)
    pieces = list(chain.from_iterable(section.pieces for section in sections))
    rows = _add(pieces)
    book.parts = tuple(map(_book_part, pieces))
    reads = [piece.input for piece in pieces if piece.input is not None]
    if reads:
        book.source = msgspec.structs.replace(work.source, digest=digest_of_digests(reads))
    bad: dict[str, Made] = {}
    errors = [piece.errors for piece in pieces if piece.errors is not None]
    if errors:
        bad[ERRORS] = Joined(area, "errors", _extents(errors), _digest(errors), out_of_time)
    if is_too_bad(rows, work.order.max_bad):
        line = bytes(area.store.get_range(errors[0].key, 0, LINE_BYTES)).partition(b"\n")[0]
        return Outcome(book, rows, bad, explain_bad_rows(work.source.key, rows, line, work.order.max_bad))
    model = load_scorer(predictor, work)
    with closing(ForwardSource(store_of(area.store, work.order.input), work.order.key, work.source)) as content:
        table = open_table(work.order, content, choose_inputs(model, work.order))
        if find_type(work.order.key).format.joined:
            made = _join(area, "output", table, heading, pieces, out_of_time)
            return Outcome(book, rows, {"": made, **bad})
        files, counts = _keep_apart(area, work, table, sections, out_of_time)
        return Outcome(book, rows, {**files, **bad}, counts=counts)


def _agree(sections: list[Section]) -> bytes | None:
    """The heading of all sections. Raises InvalidInputError if they have several."""
    headings = {section.heading for section in sections} - {None}
    if len(headings) > 1:
        raise InvalidInputError("the model's outputs vary in size from row to row: score JSON Lines instead of CSV")
    return next(iter(headings), None)


def _join(  # noqa: PLR0917 - what meets here
    area: WorkArea,
    name: str,
    table: Table,
    heading: bytes | None,
    pieces: Sequence[Piece],
    out_of_time: Clock,
) -> Joined:
    """An output of pieces between what stands at its beginning and at its end."""
    rows = _add(pieces).scored
    opening = table.seal(table.heading() if heading is None else heading, rows)
    outputs, notes, offset = [], [], len(opening)
    for piece in pieces:
        notes += [Note(offset + note.offset, note.told) for note in piece.notes]
        if piece.output is not None:
            outputs.append(piece.output)
            offset += piece.output.size
    chunks: list[Chunk] = [opening, *_extents(outputs), table.ending(rows, notes)]
    return Joined(area, name, chunks, _digest(outputs), out_of_time)


def _keep_apart(
    area: WorkArea, work: Work, table: Table, sections: list[Section], out_of_time: Clock
) -> tuple[dict[str, Made], dict[str, int]]:
    """A file for each section, in a folder of the output's name, and their rows."""
    files: dict[str, Made] = {}
    counts = {}
    for section in sections:
        suffix = f"/part-{section.number:05d}{PurePosixPath(work.order.name).suffix}"
        counts[suffix] = _add(section.pieces).scored
        name = f"output-{section.number:05d}"
        files[suffix] = _join(area, name, table, section.heading, section.pieces, out_of_time)
    return files, counts


def _add(pieces: Sequence[Piece]) -> RowCounts:
    counts = [piece.rows for piece in pieces]
    return RowCounts(*(sum(getattr(each, name) for each in counts) for name in ("read", "scored", "errors")))


def _book_part(piece: Piece) -> BookedPart:
    output = piece.output
    size, digest = (0, None) if output is None else (output.size, output.digest)
    return BookedPart(piece.start.row, piece.rows, piece.start.position, piece.end.position, piece.input, size, digest)


def _extents(written: list[Written]) -> list[Chunk]:
    return [Extent(each.key, 0, each.size) for each in written]


def _digest(written: list[Written]) -> str:
    return digest_of_digests([each.digest for each in written])
