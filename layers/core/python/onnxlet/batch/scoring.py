"""One file scored: by one version from its first row to its last, into an output, an errors file and a batch manifest.

Outputs are written under `<output>`, bad rows to `<output>.errors.jsonl`, and last of all `<output>.manifest.json`, so
that whoever finds the manifest finds the rest. Scoring the same bytes with the same version again writes the same
bytes again. A file that cannot be scored at all leaves a batch manifest of state `failed`, unless trying again
may help. `<output>` of a local file is what the caller says; in a store `batch/in/<ref>/<path>` is scored to
`batch/out/<model>/<version>/<path>`, and what failed is told by `batch/out/_errors/<ref>/<path>.manifest.json`.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from onnxlet.batch.book import BatchManifest, Failure, Rows, Scorer, Source, Written, encode_report
from onnxlet.batch.formats import FileKind, kind_of
from onnxlet.batch.formats.csv_file import CsvFile
from onnxlet.batch.formats.json_lines import JsonLinesFile
from onnxlet.batch.inputs import inputs_of
from onnxlet.batch.rows import Counts, score_rows
from onnxlet.errors import InvalidInputError, OnnxletError, UnavailableError
from onnxlet.values.digests import digest, file_digest
from onnxlet.values.keys import BATCH_IN, BATCH_OUT
from onnxlet.values.manifest import encode_manifest
from onnxlet.values.refs import Ref, parse_ref
from onnxlet.values.timestamps import stamp, utc_now

if TYPE_CHECKING:
    from onnxlet.serving.model import Model
    from onnxlet.serving.predictor import Predictor, Served
    from onnxlet.store import Store

ERRORS = ".errors.jsonl"
MANIFEST = ".manifest.json"

FAILED = BATCH_OUT + "_errors/"
"""Where the manifests of files lie that could not be scored; no model's name starts with `_`."""

Progress = Callable[[int, int], None]
"""Called with the bytes read so far and the bytes there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One file to score: how to read it, where its outputs go (`target`, once the version is known; `failed` if it
    never is), and how they are written there.
    """

    ref: Ref
    name: str
    read: Callable[[], tuple[Source, BinaryIO]]
    target: Callable[[Scorer], str]
    failed: str
    put: Callable[[str, bytes | Path], object]
    scratch: Path | None = None


def score_path(
    predictor: Predictor, ref: Ref, source: Path, output: Path, *, on_progress: Progress | None = None
) -> BatchManifest:
    """Score a local file into another. Raises InvalidInputError if it cannot be scored, or `output` not written."""
    if kind_of(output.name).kind != kind_of(source.name).kind:
        raise InvalidInputError(f"{output.name!r} must have the format of {source.name!r}")
    if output.resolve() == source.resolve():
        raise InvalidInputError("the output would overwrite the input: name another file")
    if not output.parent.is_dir():
        raise InvalidInputError(f"{str(output)!r} cannot be written: there is no folder {str(output.parent)!r}")
    job = Job(
        ref=ref,
        name=output.name,
        read=lambda: _open_path(source),
        target=lambda _: str(output),
        failed=str(output),
        put=_place,
        scratch=output.parent,
    )
    return score(job, predictor, on_progress=on_progress)


def score_object(store: Store, predictor: Predictor, key: str) -> BatchManifest:
    """Score `batch/in/<ref>/<path>` of a store. Raises InvalidInputError if it cannot be scored, ModelNotFoundError
    and its like if nothing can score it, StoreUnavailableError if the store does not answer.
    """
    name, _, path = key.removeprefix(BATCH_IN).partition("/")
    if not key.startswith(BATCH_IN) or not path:
        raise InvalidInputError(f"{key!r} is no file to score: those lie under '{BATCH_IN}<ref>/<path>'", key=key)
    job = Job(
        ref=parse_ref(name),
        name=path,
        read=lambda: _open_object(store, key),
        target=lambda scorer: f"{BATCH_OUT}{scorer.model}/{scorer.version}/{path}",
        failed=f"{FAILED}{name}/{path}",
        put=store.put,
    )
    return score(job, predictor)


def score(job: Job, predictor: Predictor, *, on_progress: Progress | None = None) -> BatchManifest:
    """Do a job, or write why it cannot be done and raise that."""
    course = _Course(job)
    try:
        kind = kind_of(job.name)
        course.source, stream = job.read()
        with stream, tempfile.TemporaryDirectory(prefix=".onnxlet-", dir=job.scratch) as scratch:
            served = _served(predictor, job.ref, course.source.key)
            course.scorer = _scorer(served)
            output, errors = Path(scratch) / "output", Path(scratch) / "errors"
            progress = _progress(on_progress, stream, course.source.size)
            kinds = kind_of(course.source.key), kind
            counts = _score_stream(served.model, stream, (output, errors), kinds, progress)
            files = (("", output, counts.scored), (ERRORS, errors, counts.bad))
            return course.deliver(job.target(course.scorer), files, Rows(counts.read, counts.scored, counts.bad))
    except UnavailableError:
        raise
    except OnnxletError as error:
        failure = Failure(type(error).__name__, error.detail)
        job.put(job.failed + MANIFEST, encode_report(course.report("failed", failure=failure)))
        raise


@dataclass(slots=True)
class _Course:
    """What is known of a job so far."""

    job: Job
    started: str = field(default_factory=lambda: stamp(utc_now()))
    source: Source | None = None
    scorer: Scorer | None = None

    def report(
        self,
        state: Literal["scored", "failed"],
        *,
        rows: Rows | None = None,
        outputs: tuple[Written, ...] = (),
        failure: Failure | None = None,
    ) -> BatchManifest:
        return BatchManifest(
            state=state,
            ref=str(self.job.ref),
            started=self.started,
            finished=stamp(utc_now()),
            source=self.source,
            scorer=self.scorer,
            rows=rows,
            outputs=outputs,
            failure=failure,
        )

    def deliver(self, target: str, files: Sequence[tuple[str, Path, int]], rows: Rows) -> BatchManifest:
        written = []
        for suffix, path, count in files:
            written.append(Written(target + suffix, file_digest(path), path.stat().st_size, count))
            self.job.put(target + suffix, path)
        report = self.report("scored", rows=rows, outputs=tuple(written))
        self.job.put(target + MANIFEST, encode_report(report))
        return report


def _score_stream(
    model: Model,
    stream: BinaryIO,
    written: tuple[Path, Path],
    kinds: tuple[FileKind, FileKind],
    on_chunk: Callable[[int], None] | None,
) -> Counts:
    inputs = inputs_of(model)
    with ExitStack() as stack:
        raw, errors = (stack.enter_context(path.open("wb")) for path in written)
        rows = stack.enter_context(kinds[0].reader(stream))
        sink = stack.enter_context(kinds[1].writer(raw))
        file = (CsvFile if kinds[0].kind == "csv" else JsonLinesFile)(rows, sink, inputs)
        counts = score_rows(model, inputs, file, errors, on_chunk)
        file.close()
    return counts


def _served(predictor: Predictor, ref: Ref, key: str) -> Served:
    """One version for the whole file: any published one by its number, else the one its alias routes to."""
    return predictor.load(ref) if ref.version is not None else predictor.served(ref, key)


def _scorer(served: Served) -> Scorer:
    manifest = served.model.manifest
    return Scorer(
        model=manifest.model,
        version=manifest.version,
        digest=digest(encode_manifest(manifest)),
        alias=served.alias,
        fallback=served.fallback,
    )


def _progress(on_progress: Progress | None, stream: BinaryIO, size: int) -> Callable[[int], None] | None:
    return None if on_progress is None else lambda _: on_progress(stream.tell(), size)


def _open_object(store: Store, key: str) -> tuple[Source, BinaryIO]:
    blob = store.get(key)
    return Source(key, digest(blob.data), len(blob.data), blob.etag), io.BytesIO(blob.data)


def _open_path(path: Path) -> tuple[Source, BinaryIO]:
    try:
        return Source(str(path), file_digest(path), path.stat().st_size), path.open("rb")
    except OSError as error:
        raise InvalidInputError(f"{str(path)!r} cannot be read: {error.strerror}") from error


def _place(name: str, data: bytes | Path) -> None:
    """Put a file where it belongs in one step: nobody sees half of it. Raises InvalidInputError where none may be."""
    part = data if isinstance(data, Path) else Path(f"{name}.{os.getpid()}.part")
    try:
        if isinstance(data, bytes):
            part.write_bytes(data)
        part.replace(name)
    except OSError as error:
        raise InvalidInputError(f"{name!r} cannot be written: {error.strerror}") from error
