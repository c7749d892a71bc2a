"""A section scored: its rows from where they begin to where the next section does, or as far as time allows."""

from __future__ import annotations

import hashlib
import uuid
from contextlib import closing
from typing import TYPE_CHECKING, Any

import msgspec

from onnxlet.batch.book import RowCounts
from onnxlet.batch.counting import write_counts
from onnxlet.batch.formats import find_type
from onnxlet.batch.formats.ports import Note, Place
from onnxlet.batch.large.tables import choose_inputs, load_scorer, open_table
from onnxlet.batch.large.work import WORK, Piece, Section, Work, WorkArea, describe, section_name, store_of
from onnxlet.batch.observed import ObservedModel
from onnxlet.batch.parts import Part, RangeScorer
from onnxlet.batch.reading import ForwardSource
from onnxlet.batch.scratch import scratch_folder
from onnxlet.errors import IntegrityError, InvalidInputError, OnnxletError, UnavailableError
from onnxlet.monitor.counter import open_counter
from onnxlet.monitor.sketch import SketchDocument, add_documents
from onnxlet.values.digests import ALGORITHM

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from onnxlet.batch.parts import PartBytes
    from onnxlet.batch.rows import RowModel
    from onnxlet.serving.predictor import Predictor
    from onnxlet.store import Store

PIECE_BYTES = 256 * 2**20
"""Output that one invocation makes: it lies in the function's temporary storage, beside models: both have 512 MB."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A section that is to be scored, by its number: from `start` to `end`, or to the end of the file.

    What earlier invocations did of it is noted as `done`.
    """

    work: str
    number: int
    start: Place
    end: Place | None
    done: str = ""


def score_section(store: Store, predictor: Predictor, task: Task, out_of_time: Callable[[], bool]) -> dict[str, Any]:
    """Score a section as far as time allows: the task that is left, or that nothing is.

    What trying again does not cure is noted as what came of it. Raises UnavailableError.
    """
    area = WorkArea(store, task.work)
    if area.find(section_name(task.number), Section) is not None:
        return {"left": False}
    before = area.read(task.done, Section) if task.done else Section(task.number)
    try:
        after, end = _score(area, predictor, task, before, out_of_time)
    except UnavailableError:
        raise
    except OnnxletError as error:
        area.note(section_name(task.number), Section(task.number, failure=describe(error)))
        return {"left": False}
    if end is not None:
        done = f"progress/{task.number:06d}-{uuid.uuid4().hex}.json"
        area.note(done, after)
        rest = msgspec.structs.replace(task, start=end, done=done)
        return {"left": True, "step": "section", **msgspec.to_builtins(rest)}
    area.note(section_name(task.number), after)
    return {"left": False}


def _score(
    area: WorkArea, predictor: Predictor, task: Task, before: Section, out_of_time: Callable[[], bool]
) -> tuple[Section, Place | None]:
    """A section with another piece, and where the rest of it begins, if there is more."""
    work = area.read(WORK, Work)
    model = load_scorer(predictor, work)
    observed: RowModel = model
    if predictor.telemetry is not None:
        observed = ObservedModel(model, work.scorer, predictor.telemetry)
    inputs = choose_inputs(model, work.order)
    source_store = store_of(area.store, work.order.input)
    with closing(ForwardSource(source_store, work.order.key, work.source)) as content, scratch_folder() as folder:
        counts = predictor.counts
        counter = None if counts is None else open_counter(counts, work.scorer.model, work.scorer.version, model)
        scorer = RangeScorer(open_table(work.order, content, inputs), observed, inputs, counter=counter)
        lines = find_type(work.order.key).format.has_lines
        maker = _PieceMaker(folder, task.start, content if lines else None, before.heading)
        ended = maker.make(scorer, task.end, out_of_time)
        piece = maker.upload(area, f"{task.number:06d}-{uuid.uuid4().hex}")
        if counts is not None and maker.counted is not None:
            source = task.work, str(task.start.position)
            write_counts(counts, work.scorer, maker.counted, *source, telemetry=predictor.telemetry)
    section = Section(task.number, (*before.pieces, piece), maker.heading)
    return section, None if ended else piece.end


class _PieceMaker:
    """Makes a piece in a folder: output and errors, and the digests of what was read and written."""

    def __init__(self, folder: Path, start: Place, content: ForwardSource | None, heading: bytes | None) -> None:
        self.heading = heading
        self._content = content
        self._start = self._place = start
        self._rows = RowCounts(0, 0, 0)
        self.counted: SketchDocument | None = None
        self._notes: list[Note] = []
        self._output, self._errors = folder / "output", folder / "errors"
        self._digests = [hashlib.sha256() for _ in range(3)]

    def make(self, scorer: RangeScorer, end: Place | None, out_of_time: Callable[[], bool]) -> bool:
        """Score ranges until the section or the time ends; whether the section did. Raises IntegrityError."""
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            while end is None or self._place.position < end.position:
                cut = scorer.cut(self._place)
                if cut.end.position == self._place.position:
                    break
                part, data = cut.score()
                self._take_heading(part.heading)
                if part.told:
                    self._notes.append(Note(output.tell(), part.told))
                output.write(data.output)
                errors.write(data.errors)
                self._account(part, data)
                if (out_of_time() or output.tell() >= PIECE_BYTES) and part.end != end:
                    return False
        if end is not None and self._place != end:
            raise IntegrityError(
                f"the section ends at byte {self._place.position}, row {self._place.row}, where the plan says byte "
                f"{end.position}, row {end.row}"
            )
        return True

    def upload(self, area: WorkArea, name: str) -> Piece:
        """Put the piece into the work area."""
        read, output, errors = (ALGORITHM + each.hexdigest() for each in self._digests)
        return Piece(
            self._start,
            self._place,
            self._rows,
            read if self._content is not None else None,
            area.upload(f"pieces/{name}", self._output, output),
            area.upload(f"errors/{name}.jsonl", self._errors, errors),
            tuple(self._notes),
        )

    def _take_heading(self, heading: bytes | None) -> None:
        if heading is not None and self.heading is None:
            self.heading = heading
        elif heading not in {None, self.heading}:
            raise InvalidInputError("the model's outputs vary in size from row to row: score JSON Lines instead of CSV")

    def _account(self, part: Part, data: PartBytes) -> None:
        end, rows = part.end, part.rows
        if part.counted is not None:
            self.counted = part.counted if self.counted is None else add_documents(self.counted, part.counted)
        read, output, errors = self._digests
        if self._content is not None:
            read.update(self._content.read(self._place.position, end.position - self._place.position))
        output.update(data.output)
        errors.update(data.errors)
        ours = self._rows
        self._rows = RowCounts(ours.read + rows.read, ours.scored + rows.scored, ours.errors + rows.errors)
        self._place = end
