"""One file scored: by one version from its first row to its last, into an output, an errors file and a book.

Scoring the same bytes with the same version again writes the same bytes again. A file that cannot be scored at all
leaves a book of state `failed`, unless trying again may help.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from onnxlet.batch.book import Book, OpenBook, OutputFile, RowCounts, Scorer, encode_book
from onnxlet.batch.destinations import BOOK, ERRORS, Destination, LocalDestination, StoreDestination
from onnxlet.batch.formats import FileType, find_type
from onnxlet.batch.formats.ports import Sink, Source
from onnxlet.batch.formats.streams import GunzippedSource, gzip_sink
from onnxlet.batch.inputs import inputs_of
from onnxlet.batch.rows import score_rows
from onnxlet.batch.sources import (
    LocalSource,
    MeteredSource,
    Progress,
    RecordedSource,
    StoredSource,
)
from onnxlet.errors import InvalidInputError, OnnxletError, UnavailableError
from onnxlet.values.digests import file_digest
from onnxlet.values.keys import BATCH_IN
from onnxlet.values.refs import Ref, parse_ref

if TYPE_CHECKING:
    from onnxlet.serving.model import Model
    from onnxlet.serving.predictor import Predictor, Served
    from onnxlet.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One scoring of a file."""

    ref: Ref
    open_source: Callable[[], RecordedSource]
    destination: Destination
    on_progress: Progress | None = None


def score_path(
    predictor: Predictor, ref: Ref, source: Path, output: Path, *, on_progress: Progress | None = None
) -> Book:
    """Score a local file into another. Raises InvalidInputError if it cannot be scored, or `output` not written."""
    if find_type(output.name).format != find_type(source.name).format:
        raise InvalidInputError(f"{output.name!r} must have the format of {source.name!r}")
    if output.resolve() == source.resolve():
        raise InvalidInputError("the output would overwrite the input: name another file")
    if not output.parent.is_dir():
        raise InvalidInputError(f"{str(output)!r} cannot be written: there is no folder {str(output.parent)!r}")
    job = Job(
        ref=ref,
        open_source=lambda: LocalSource(source),
        destination=LocalDestination(output),
        on_progress=on_progress,
    )
    return run_job(job, predictor)


def score_object(store: Store, predictor: Predictor, key: str) -> Book:
    """Score `batch/in/<ref>/<path>` of a store. Raises InvalidInputError if it cannot be scored, ModelNotFoundError
    and its like if nothing can score it, StoreUnavailableError if the store does not answer.
    """
    ref, _, path = key.removeprefix(BATCH_IN).partition("/")
    if not key.startswith(BATCH_IN) or not path:
        raise InvalidInputError(f"{key!r} is no file to score: those lie under '{BATCH_IN}<ref>/<path>'", key=key)
    job = Job(
        ref=parse_ref(ref),
        open_source=lambda: StoredSource(store, key),
        destination=StoreDestination(store, ref, path),
    )
    return run_job(job, predictor)


def run_job(job: Job, predictor: Predictor) -> Book:
    """Do a job and close its book, or close it with why the job cannot be done and raise that."""
    book = OpenBook(job.ref)
    try:
        return _score_file(job, predictor, book)
    except UnavailableError:
        raise
    except OnnxletError as error:
        job.destination.put(job.destination.failed + BOOK, encode_book(book.close_failed(error)))
        raise


def _score_file(job: Job, predictor: Predictor, book: OpenBook) -> Book:
    output_type = find_type(job.destination.name)
    with (
        closing(job.open_source()) as source,
        tempfile.TemporaryDirectory(prefix=".onnxlet-", dir=job.destination.scratch) as scratch,
    ):
        book.source = source.record
        served = _load(predictor, job.ref, source.record.key)
        book.scorer = _describe(served)
        metered = source if job.on_progress is None else MeteredSource(source, job.on_progress)
        types = find_type(source.record.key), output_type
        rows = _write_rows(served.model, metered, types, Path(scratch))
        return _deliver(book, job.destination, book.scorer, rows, Path(scratch))


def _write_rows(model: Model, source: Source, types: tuple[FileType, FileType], folder: Path) -> RowCounts:
    """Score a source into the files `output` and `errors` of a folder; `types` are the source's and the output's."""
    inputs = inputs_of(model)
    with ExitStack() as stack:
        output, errors = (stack.enter_context((folder / name).open("wb")) for name in ("output", "errors"))
        sink: Sink = stack.enter_context(gzip_sink(output)) if types[1].gzipped else output
        content = GunzippedSource(source) if types[0].gzipped else source
        file = types[0].format.open_file(content, sink, inputs)
        rows = score_rows(model, inputs, file, errors)
        file.close()
    return rows


def _deliver(book: OpenBook, destination: Destination, scorer: Scorer, rows: RowCounts, folder: Path) -> Book:
    """Put the files of a folder where they belong, and the book after them."""
    name = destination.name_output(scorer)
    outputs = []
    for suffix, path, count in (("", folder / "output", rows.scored), (ERRORS, folder / "errors", rows.errors)):
        outputs.append(OutputFile(name + suffix, file_digest(path), path.stat().st_size, count))
        destination.put(name + suffix, path)
    closed = book.close_scored(rows, tuple(outputs))
    destination.put(name + BOOK, encode_book(closed))
    return closed


def _load(predictor: Predictor, ref: Ref, key: str) -> Served:
    """One version for the whole file: any published one by its number, else the one its alias routes to."""
    return predictor.load(ref) if ref.version is not None else predictor.served(ref, key)


def _describe(served: Served) -> Scorer:
    manifest = served.model.manifest
    return Scorer(
        model=manifest.model,
        version=manifest.version,
        digest=served.digest,
        alias=served.alias,
        fallback=served.fallback,
    )
