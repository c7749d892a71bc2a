"""A local file scored into another: `<output>`, `<output>.errors.jsonl` for bad rows and `<output>.book.json`, last."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from onnxlet.batch.book import Book, OpenBook, OutputFile, decode_book, encode_book
from onnxlet.batch.formats import find_type
from onnxlet.batch.pictures import list_folder
from onnxlet.batch.scoring import BOOK, SUFFIXES, MadeFile, Options, Outcome, Outputs, describe, load_ref, score_source
from onnxlet.batch.scratch import scratch_folder
from onnxlet.batch.sources import LocalSource, Progress
from onnxlet.errors import InvalidInputError
from onnxlet.values.canonical import canonical
from onnxlet.values.refs import Ref

if TYPE_CHECKING:
    from onnxlet.batch.book import Scorer
    from onnxlet.serving.model import Model
    from onnxlet.serving.predictor import Predictor

DEFAULTS = Options()
LIST = ".list.csv"
"""What the list of a folder's pictures adds to the output's name."""


def score_path(
    predictor: Predictor,
    ref: Ref,
    source: Path,
    output: Path,
    *,
    options: Options = DEFAULTS,
    workers: int = 1,
    on_progress: Progress | None = None,
) -> Book:
    """Score a local file into another, in so many processes at most: the same bytes, however many.

    A job that was killed goes on where it was, if source, options and model are the same.
    Raises InvalidInputError if it cannot be scored, or `output` not written.
    """
    options = options._replace(folder=options.folder or source.parent)
    if find_type(source.name).format != find_type(output.name).format:
        raise InvalidInputError(f"{output.name!r} must have the format of {source.name!r}")
    if output.resolve() == source.resolve():
        raise InvalidInputError("the output would overwrite the input: name another file")
    if not output.parent.is_dir():
        raise InvalidInputError(f"{str(output)!r} cannot be written: there is no folder {str(output.parent)!r}")

    def load() -> tuple[Model, Scorer]:
        served = load_ref(predictor, ref, str(source))
        return served.model, describe(served)

    with ExitStack() as stack:
        opened = stack.enter_context(closing(LocalSource(source)))
        job = canonical(
            [opened.identity, str(output.resolve()), options.keep, options.columns, options.explain]
        ).decode()
        folder = stack.enter_context(_scratch_beside(output, job))
        outcome = score_source(
            OpenBook(ref),
            opened,
            load,
            Outputs(output.name, folder, workers, job),
            options,
            counts=predictor.counts,
            on_progress=on_progress,
        )
        opened.check_unchanged()
        with _write_errors_explained(output):
            book = _hand_over(outcome, output, folder)
    if outcome.error is not None:
        raise outcome.error
    return book


def score_folder(
    predictor: Predictor,
    ref: Ref,
    folder: Path,
    output: Path,
    *,
    options: Options = DEFAULTS,
    workers: int = 1,
    on_progress: Progress | None = None,
) -> Book:
    """Score the pictures in a folder. The list of them is written beside `output`, for the book to name.

    Raises InvalidInputError if there is none, and as `score_path` does.
    """
    if find_type(output.name) != find_type(LIST):
        raise InvalidInputError(f"{output.name!r} must be a CSV file: what is scored is a list of a folder")
    listed = Path(f"{output}{LIST}")
    with _write_errors_explained(output):
        listed.write_bytes(list_folder(folder))
    options = options._replace(folder=folder)
    return score_path(predictor, ref, listed, output, options=options, workers=workers, on_progress=on_progress)


def _hand_over(outcome: Outcome, output: Path, folder: Path) -> Book:
    """Move the files of an outcome to their places, and its book after them. What an earlier book named goes."""
    book_path = Path(f"{output}{BOOK}")
    earlier = _read_names(book_path)
    book_path.unlink(missing_ok=True)
    outputs = []
    for suffix in SUFFIXES:
        target, made = Path(f"{output}{suffix}"), outcome.files.get(suffix)
        if isinstance(made, MadeFile):
            rows = outcome.count_rows(suffix)
            outputs.append(OutputFile(str(target), made.digest, made.size, rows))
            made.path.replace(target)
        elif target.name in earlier:
            target.unlink(missing_ok=True)
    book = outcome.close(tuple(outputs))
    (folder / "book").write_bytes(encode_book(book))
    (folder / "book").replace(book_path)
    return book


def _read_names(book: Path) -> set[str]:
    """The names of the files that a book names, if there is one: no other file is removed."""
    try:
        return {Path(written.key).name for written in decode_book(book.read_bytes()).outputs}
    except (FileNotFoundError, msgspec.MsgspecError):
        return set()


@contextmanager
def _scratch_beside(output: Path, job: str) -> Iterator[Path]:
    """A scratch folder from which files can be moved to `output` at once. Raises InvalidInputError."""
    with ExitStack() as stack:
        with _write_errors_explained(output):
            folder = stack.enter_context(scratch_folder(output.parent, job))
        yield folder


@contextmanager
def _write_errors_explained(output: Path) -> Iterator[None]:
    """Raises InvalidInputError for what the operating system refuses."""
    try:
        yield
    except OSError as error:
        raise InvalidInputError(f"{str(output)!r} cannot be written: {error.strerror}") from error
