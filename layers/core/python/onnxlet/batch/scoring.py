"""One file's rows scored by one version, from the first to the last, into two files of a folder.

Scoring the same bytes with the same version again writes the same bytes again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from onnxlet.batch.book import Book, OpenBook, OutputFile, RowCounts, Scorer
from onnxlet.batch.formats import FileType, find_type
from onnxlet.batch.formats.chunks import BadRow
from onnxlet.batch.formats.ports import Sink, Source
from onnxlet.batch.formats.streams import GunzippedSource, gzip_sink
from onnxlet.batch.inputs import Inputs, inputs_of
from onnxlet.batch.rows import score_rows
from onnxlet.batch.sources import MeteredSource, Progress, RecordedSource
from onnxlet.errors import InvalidInputError, OnnxletError, UnavailableError
from onnxlet.values.refs import Ref

if TYPE_CHECKING:
    from onnxlet.serving.model import Model
    from onnxlet.serving.predictor import Predictor, Served

ERRORS = ".errors.jsonl"
BOOK = ".book.json"
SUFFIXES = ("", ERRORS)
"""What a scored file's outputs add to its name: the scored rows, and those that could not be. The book adds BOOK."""


class Outputs(NamedTuple):
    """Where outputs are made: `name` ends as theirs will."""

    name: str
    folder: Path


class Options(NamedTuple):
    """How a file is scored: which of its columns are written again (None: all), and the share of its rows that may be
    bad. A file all of whose rows are has failed, whatever the share.
    """

    keep: tuple[str, ...] | None = None
    max_bad: float = 1.0


@dataclass(slots=True)
class Outcome:
    """What came of one file: its book, still open, the files to hand over by their suffix, and the error if it failed.

    Files that an outcome has not must not stand beside its book.
    """

    book: OpenBook
    rows: RowCounts | None = None
    files: dict[str, Path] = field(default_factory=dict)
    error: OnnxletError | None = None

    def close(self, outputs: tuple[OutputFile, ...]) -> Book:
        """The book, now that its outputs stand where they belong."""
        if self.error is not None:
            return self.book.close_failed(self.error, self.rows, outputs)
        assert self.rows is not None  # noqa: S101 - a scored file has them
        return self.book.close_scored(self.rows, outputs)

    def count_rows(self, suffix: str) -> int:
        """The rows in the file of this suffix."""
        assert self.rows is not None  # noqa: S101 - a file that was written has them
        return self.rows.errors if suffix == ERRORS else self.rows.scored


def score_source(
    book: OpenBook,
    source: RecordedSource,
    load: Callable[[], tuple[Model, Scorer]],
    outputs: Outputs,
    options: Options,
    *,
    on_progress: Progress | None = None,
) -> Outcome:
    """Score a source by the model that `load` gives. Errors that trying again does not cure are part of the outcome."""
    book.source = source.record
    try:
        types = find_type(source.record.key), find_type(outputs.name)
        model, book.scorer = load()
        metered = source if on_progress is None else MeteredSource(source, on_progress)
        rows = _write_rows(replace(inputs_of(model), keep=options.keep), model, metered, types, outputs.folder)
    except UnavailableError:
        raise
    except OnnxletError as error:
        return Outcome(book, error=error)
    output, errors = outputs.folder / "output", outputs.folder / "errors"
    if rows.errors and (not rows.scored or rows.errors > options.max_bad * rows.read):
        return Outcome(
            book, rows, {ERRORS: errors}, _explain_bad_rows(source.record.key, rows, errors, options.max_bad)
        )
    return Outcome(book, rows, {"": output, **({ERRORS: errors} if rows.errors else {})})


def _explain_bad_rows(key: str, rows: RowCounts, errors: Path, max_bad: float) -> InvalidInputError:
    """The error of a file with too many bad rows, with what is wrong with the first."""
    with errors.open("rb") as lines:
        first = msgspec.json.decode(next(lines), type=BadRow)
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


def _write_rows(
    inputs: Inputs, model: Model, source: Source, types: tuple[FileType, FileType], folder: Path
) -> RowCounts:
    """Score a source into the files `output` and `errors` of a folder; `types` are the source's and the output's."""
    with ExitStack() as stack:
        output, errors = (stack.enter_context((folder / name).open("wb")) for name in ("output", "errors"))
        sink: Sink = stack.enter_context(gzip_sink(output)) if types[1].gzipped else output
        content = GunzippedSource(source) if types[0].gzipped else source
        file = types[0].format.open_file(content, sink, inputs)
        rows = score_rows(model, inputs, file, errors)
        file.close()
    return rows
