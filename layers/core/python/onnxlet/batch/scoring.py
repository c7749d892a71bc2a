"""One file's rows scored by one version, from the first to the last, into two files of a folder.

Scoring the same bytes with the same version again writes the same bytes again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from onnxlet.batch.assembling import ERRORS as ERRORS_FILE
from onnxlet.batch.assembling import OUTPUT, Assembly, open_files
from onnxlet.batch.book import COMMA, Book, OpenBook, OutputFile, RowCounts, Scorer
from onnxlet.batch.counting import write_counts
from onnxlet.batch.formats import blocks, find_type
from onnxlet.batch.formats.chunks import BadRow
from onnxlet.batch.formats.compression import UnpackedSource
from onnxlet.batch.inputs import Inputs, inputs_of
from onnxlet.batch.journal import open_journal
from onnxlet.batch.multipart import upload_file
from onnxlet.batch.observed import ObservedModel
from onnxlet.batch.parts import Part, RangeScorer
from onnxlet.batch.sources import MeteredSource, Progress, RecordedSource
from onnxlet.batch.workers import Watch, score_by_workers, score_in_turn
from onnxlet.errors import InvalidInputError, OnnxletError, PreconditionFailedError, UnavailableError
from onnxlet.monitor.counter import open_counter
from onnxlet.values.refs import Ref

if TYPE_CHECKING:
    from onnxlet.batch.formats.ports import Table
    from onnxlet.batch.rows import RowModel
    from onnxlet.monitor.counter import RowCounter
    from onnxlet.serving.model import Model
    from onnxlet.serving.predictor import Predictor, Served
    from onnxlet.store import Store
    from onnxlet.telemetry.recording import Telemetry

ERRORS = ".errors.jsonl"
BOOK = ".book.json"
SUFFIXES = ("", ERRORS)
"""What a scored file's outputs add to its name: the scored rows, and those that could not be. The book adds BOOK."""
IN_PARTS = 32 * 2**20
"""Files of so many bytes are sent to S3 in parts: as a whole they would be in memory several times over."""


class Outputs(NamedTuple):
    """Where outputs are made, and by how many processes: the same bytes, however many. `name` ends as theirs will.

    `job` says what is made of what, if the folder may have what was left of the same job when it was killed.
    """

    name: str
    folder: Path
    workers: int = 1
    job: str | None = None


class Options(NamedTuple):
    """How a file is scored: which of its columns are written again (None: all), and the share of its rows that may be
    bad. A file all of whose rows are has failed, whatever the share. `columns` are those of a table without a header.
    Names of pictures start from `folder`. Rows are explained as `explain` asks, in the words of HTTP (None: they are
    not).
    """

    keep: tuple[str, ...] | None = None
    max_bad: float = 1.0
    columns: tuple[str, ...] | None = None
    folder: Path | None = None
    explain: Mapping[str, Any] | None = None


class Made(Protocol):
    """A file of an outcome: its size in bytes and its digest."""

    @property
    def size(self) -> int:
        """How many bytes it has."""

    @property
    def digest(self) -> str:
        """What tells it from others."""

    def write(self, store: Store, key: str, etag: str | None) -> str:
        """Put it where nothing stands, or what has this ETag; its own ETag. Raises PreconditionFailedError."""


class MadeFile(NamedTuple):
    """A file of an outcome, where it was made, and its digest."""

    path: Path
    digest: str

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return self.path.stat().st_size

    def write(self, store: Store, key: str, etag: str | None) -> str:
        """Put it where nothing stands, or what has this ETag; its own ETag. Raises PreconditionFailedError."""
        if store.url.startswith("s3://") and self.size >= IN_PARTS:
            return upload_file(store.url, key, self.path, etag)
        return store.create(key, self.path) if etag is None else store.swap(key, self.path, etag)


@dataclass(slots=True)
class Outcome:
    """What came of one file: its book, still open, the files to hand over by their suffix, and the error if it failed.

    Files that an outcome has not must not stand beside its book.
    """

    book: OpenBook
    rows: RowCounts | None = None
    files: dict[str, Made] = field(default_factory=dict)
    error: OnnxletError | None = None
    counts: dict[str, int] = field(default_factory=dict)
    """The rows of files that have not all of them, by their suffix."""

    def close(self, outputs: tuple[OutputFile, ...]) -> Book:
        """The book, now that its outputs stand where they belong."""
        if self.error is not None:
            return self.book.close_failed(self.error, self.rows, outputs)
        assert self.rows is not None  # noqa: S101 - a scored file has them
        return self.book.close_scored(self.rows, outputs)

    def count_rows(self, suffix: str) -> int:
        """The rows in the file of this suffix."""
        assert self.rows is not None  # noqa: S101 - a file that was written has them
        return self.counts.get(suffix, self.rows.errors if suffix == ERRORS else self.rows.scored)


def score_source(
    book: OpenBook,
    source: RecordedSource,
    load: Callable[[], tuple[Model, Scorer]],
    outputs: Outputs,
    options: Options,
    *,
    telemetry: Telemetry | None = None,
    counts: Store | None = None,
    on_progress: Progress | None = None,
) -> Outcome:
    """Score a source by the model that `load` gives, which `telemetry` observes, and count its rows in the store
    `counts`. Errors that trying again does not cure are part of the outcome.
    """
    try:
        find_type(source.key)
        model, book.scorer = load()
        inputs = choose_inputs(model, source.key, options)
        if inputs.explaining is not None:
            book.explained = inputs.explaining.head
        observed = model if telemetry is None else ObservedModel(model, book.scorer, telemetry)
        counter = None if counts is None else open_counter(counts, book.scorer.model, book.scorer.version, model)
        with _open_assembly(outputs, book.scorer) as assembly:
            table = score_ranges(source, observed, inputs, assembly, outputs.workers, on_progress, counter)
            book.separator = getattr(table, "separator", COMMA)
            rows, digests = assembly.finish(table)
    except (UnavailableError, PreconditionFailedError):
        raise  # nobody answers, or the source is another one now
    except OnnxletError as error:
        book.source = source.record
        return Outcome(book, error=error)
    book.source = source.record
    errors = MadeFile(outputs.folder / ERRORS_FILE, digests.errors)
    bad: dict[str, Made] = {ERRORS: errors} if rows.errors else {}
    if is_too_bad(rows, options.max_bad):
        with errors.path.open("rb") as lines:
            return Outcome(book, rows, bad, explain_bad_rows(source.key, rows, next(lines), options.max_bad))
    if counts is not None and assembly.counted is not None:
        write_counts(counts, book.scorer, assembly.counted, book.source.digest, telemetry=telemetry)
    return Outcome(book, rows, {"": MadeFile(outputs.folder / OUTPUT, digests.output), **bad})


def choose_inputs(model: Model, name: str, options: Options) -> Inputs:
    """How the rows of a file of this name are scored. Raises InvalidInputError, NotExplainableError."""
    inputs = replace(inputs_of(model), keep=options.keep, header=options.columns, folder=options.folder)
    if inputs.pictures is not None and options.folder is None:
        raise InvalidInputError("pictures are scored where their files are: `onnxlet score` does so")
    if options.explain is None:
        return inputs
    from onnxlet.batch.explained import explain_rows
    from onnxlet.explain.request import read_request

    return explain_rows(inputs, model, read_request(options.explain), documents=find_type(name).format.nested)


def _least_bytes(inputs: Inputs) -> int:
    """Bytes that make a range: a row has two, if it is as short as can be."""
    return blocks.RANGE_BYTES if inputs.range_rows is None else 2 * inputs.range_rows


def is_too_bad(rows: RowCounts, max_bad: float) -> bool:
    """Whether a file has more bad rows than it may have."""
    return rows.errors > 0 and (not rows.scored or rows.errors > max_bad * rows.read)


def explain_bad_rows(key: str, rows: RowCounts, line: bytes, max_bad: float) -> InvalidInputError:
    """The error of a file with too many bad rows, with what is wrong with the first; `line` is that of the errors."""
    first = msgspec.json.decode(line, type=BadRow)
    column = f", column {first.column!r}" if first.column else ""
    fault = f"row {first.row}{column}: {first.error}; {ERRORS} beside the book says the rest"
    if not rows.scored:
        return InvalidInputError(f"none of the {rows.read} rows of {key!r} could be scored: {fault}")
    share = f"more than the share of {max_bad:g} that may be bad"
    return InvalidInputError(f"{rows.errors} of the {rows.read} rows of {key!r} could not be scored, {share}: {fault}")


def load_ref(predictor: Predictor, ref: Ref, key: str) -> Served:
    """One version for the whole file: any published one by its number, else the one that its alias routes to.

    `key` decides between the routes of an alias. Raises as `Predictor.load` does.
    """
    return predictor.load(ref) if ref.version is not None else predictor.served(ref, key)


def describe(served: Served) -> Scorer:
    """Who scores, as claims and books name it."""
    manifest = served.model.manifest
    return Scorer(
        model=manifest.model,
        version=manifest.version,
        digest=served.digest,
        alias=served.alias,
        fallback=served.fallback,
    )


@contextmanager
def _open_assembly(outputs: Outputs, scorer: Scorer) -> Iterator[Assembly]:
    with ExitStack() as stack:
        journal = None
        if outputs.job is not None:
            journal = stack.enter_context(closing(open_journal(outputs.folder, outputs.job, scorer)))
        files = stack.enter_context(open_files(outputs.folder))
        compression = find_type(outputs.name).compression
        yield Assembly(files, None if compression is None else compression.compress, journal)


def score_ranges(  # noqa: PLR0917 - what meets here
    source: RecordedSource,
    model: RowModel,
    inputs: Inputs,
    assembly: Assembly,
    workers: int,
    on_progress: Progress | None,
    counter: RowCounter | None = None,
    *,
    wrap: Callable[[Table], Table] | None = None,
) -> Table:
    """Score all ranges of a source that are not in their places yet. The table that they are of, as `wrap` makes it."""
    kind = find_type(source.key)
    workers = max(1, min(workers, -(-source.size // _least_bytes(inputs))))
    if kind.compression is not None or model.threads > 1:
        # what is compressed is read from its beginning to its end, and a model's threads do not survive a fork
        workers = 1
    # that its reader ended a process is for another one to say
    forked = workers > 1 or (kind.format.fatal and source.forkable and model.threads == 1)
    content = source if on_progress is None or forked else MeteredSource(source, on_progress)
    unpacked = content if kind.compression is None else UnpackedSource(content, kind.compression)
    table = kind.format.open_table(unpacked, inputs)
    table = table if wrap is None else wrap(table)
    start = assembly.resume(table.first)
    scorer = RangeScorer(table, model, inputs, assembly.compress, counter)
    if not forked:
        score_in_turn(scorer, assembly, start)
        return table

    def tell(part: Part) -> None:
        if on_progress is not None:
            on_progress(part.end.position, source.size)

    if not table.divisible:
        workers = 1
    # the digests are the parent's business, which else waits for its children
    score_by_workers(scorer, assembly, start, workers, Watch(tell, lambda: source.prepare() or assembly.prepare()))
    return table
