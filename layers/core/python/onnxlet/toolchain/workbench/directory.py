"""Converted directories: `model.onnx`, its `model.onnx.data`, `draft.json`, `golden.json` and assets."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onnxlet.errors import ExecutionError, IntegrityError, InvalidInputError, RejectedModelError, UnavailableError
from onnxlet.serving.golden import GoldenCase, decode_cases, encode_cases
from onnxlet.steps import Steps, decode_steps
from onnxlet.values.canonical import canonical
from onnxlet.values.digests import digest, file_digest
from onnxlet.values.keys import GOLDEN, GRAPH, GRAPH_DATA
from onnxlet.values.manifest import Draft, decode_draft

DRAFT = "draft.json"
FULL_DISK = 2**20
"""A disk with fewer free bytes counts as full."""


@contextmanager
def new_directory(output: Path) -> Iterator[Path]:
    """Yield a directory to fill, which becomes `output` when the block ends without an error.

    An earlier conversion at `output` is replaced. Raises InvalidInputError if something else is there.
    """
    replaces = output.exists()
    if replaces and not (output / DRAFT).is_file() and (not output.is_dir() or any(output.iterdir())):
        raise InvalidInputError(
            f"{str(output)!r} exists and is no converted model: choose another place", path=str(output)
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name}."))
    try:
        work.chmod(0o755)
        staging = work / "new"
        staging.mkdir()
        yield staging
        if replaces:
            output.rename(work / "old")
        staging.rename(output)
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def explain_full_disk(*places: Path) -> Iterator[None]:
    """Turn errors of libraries that hide a full disk into one that names it.

    Raises UnavailableError where one of the `places` is full, or cannot be written.
    """
    try:
        yield
    except (OSError, RejectedModelError, ExecutionError) as error:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        for place in places:
            folder = next(each for each in (place, *place.absolute().parents) if each.exists())
            if full or shutil.disk_usage(folder).free < FULL_DISK:
                raise UnavailableError(
                    f"the disk of {str(folder)!r} is full, nothing was written: make room, or set TMPDIR elsewhere"
                ) from error
        if isinstance(error, OSError):
            raise UnavailableError(
                f"cannot write {str(places[-1])!r}: {error.strerror}; nothing was written"
            ) from error
        raise


def source_digest(source: Path) -> str | None:
    """The digest of a file, or of the files in a directory; None where the source is neither."""
    if source.is_dir():
        files = sorted(file for file in source.rglob("*") if file.is_file())
        return digest(canonical({str(file.relative_to(source)): file_digest(file) for file in files}))
    return file_digest(source) if source.is_file() else None


def graph_digest(directory: Path) -> str:
    """The digest of the graph in a converted directory, with its weights where these have a file of their own."""
    files = (file for file in (directory / GRAPH, directory / GRAPH_DATA) if file.is_file())
    return digest(canonical({file.name: file_digest(file) for file in files}))


def write_draft(directory: Path, draft: Draft, cases: tuple[GoldenCase, ...]) -> None:
    """Write the draft and the golden cases into a converted directory."""
    (directory / DRAFT).write_bytes(canonical(draft) + b"\n")
    if draft.golden is not None:
        (directory / draft.golden.path).write_bytes(encode_cases(cases))


def asset_files(directory: Path, draft: Draft) -> dict[str, Path]:
    """The files of the draft's assets and of its report, by name.

    Raises InvalidInputError if one is missing, or is not in the directory itself.
    """
    names = draft.assets if draft.report is None else (*draft.assets, draft.report)
    files = {name: directory / name for name in names}
    for name, file in files.items():
        if Path(name).name != name or not file.is_file():
            raise InvalidInputError(f"{str(directory)!r} has no file {name!r}: convert the model again", asset=name)
    return files


def read_steps(directory: Path, draft: Draft) -> Steps:
    """The steps of a converted directory, which read its assets. Raises UnknownStepError."""

    def read(name: str) -> bytes:
        try:
            return (directory / Path(name).name).read_bytes()
        except OSError as error:
            raise InvalidInputError(
                f"{str(directory)!r} has no file {name!r}: convert the model again", asset=name
            ) from error

    return decode_steps(draft.steps, read)


def read_draft(directory: Path) -> tuple[Draft, tuple[GoldenCase, ...]]:
    """Read the draft and the golden cases. Raises InvalidInputError if it is no converted directory."""
    try:
        draft = decode_draft((directory / DRAFT).read_bytes())
        golden = (directory / GOLDEN).read_bytes() if draft.golden is not None else None
    except (OSError, IntegrityError) as error:
        raise InvalidInputError(
            f"{str(directory)!r} is no converted model: {_explain_read_error(error)}; `onnxlet convert` makes one",
            path=str(directory),
        ) from error
    if not (directory / GRAPH).is_file():
        raise InvalidInputError(f"{str(directory)!r} has no {GRAPH}: convert the model again", path=str(directory))
    return draft, () if golden is None else decode_cases(golden)


def _explain_read_error(error: Exception) -> str:
    """What is wrong with a file of the directory, for a message."""
    if not isinstance(error, OSError):
        return str(error)
    name = Path(error.filename).name
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return f"it has no {name}"
    return f"its {name} cannot be read, {str(error.strerror).lower()}"
