"""Publishing: a draft and its files become a version. The manifest is written last and makes it exist, whole, at once.

A publish that fails before that takes its artifacts back. One that is killed leaves a claim and some artifacts: a
gap that `listing` shows as incomplete and `gc` clears. Its number is never taken again. Digests are taken from the same
read that uploads a small artifact; of a large one, which is read twice, the file must not change in between.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from onnxlet.errors import (
    ConflictError,
    InvalidInputError,
    InvalidNameError,
    OnnxletError,
    PreconditionFailedError,
    StoreUnavailableError,
    TooLargeError,
)
from onnxlet.registry.reading import lookup
from onnxlet.registry.reading.listing import model_contents
from onnxlet.registry.writing.removal import discard_unfinished
from onnxlet.registry.writing.writer import Writer
from onnxlet.store import Store
from onnxlet.store.rules import check_key
from onnxlet.values import keys
from onnxlet.values.canonical import canonical
from onnxlet.values.digests import digest, file_digest, parts_digest
from onnxlet.values.manifest import Artifact, Draft, Manifest, encode_manifest
from onnxlet.values.refs import check_model_name

MAX_ARTIFACT = 5 * 10**9
"""Bytes of one artifact: what S3 takes in a single conditional write."""
READ_WHOLE = 8 * 2**20
"""Up to this size an artifact is read once, for its digest and its upload."""
UPLOADS = 4

OnProgress = Callable[[int, int], None]
"""Is told the bytes that are uploaded and the bytes of all files."""


def publish(
    writer: Writer,
    model: str,
    draft: Draft,
    files: Mapping[str, Path],
    *,
    on_progress: OnProgress | None = None,
    on_claim: Callable[[int], None] | None = None,
) -> Manifest:
    """Write a new version of `model` and return its manifest.

    `files` are the artifacts by their paths in the version. `on_claim` is told the version's number once it is taken,
    before a file is uploaded.
    Raises InvalidNameError, InvalidInputError and TooLargeError before anything is written.
    """
    check_model_name(model)
    sizes = _check_files(model, draft, files)
    version = _claim(writer, model)
    if on_claim is not None:
        on_claim(version)
    upload = _Upload(writer.store, keys.version_prefix(model, version), files, sizes, on_progress or _ignore_progress)
    try:
        artifacts = upload.run()
        _refuse_cleared(writer.store, model, version)
    except (OnnxletError, KeyboardInterrupt) as error:
        discarded = discard_unfinished(writer, model, version, upload.begun)
        if discarded or not isinstance(error, OnnxletError):
            raise
        raise _with_gc_hint(error) from error
    manifest = Manifest(
        **{name: getattr(draft, name) for name in Draft.__struct_fields__},
        model=model,
        version=version,
        created=writer.timestamp(),
        publisher=writer.who,
        artifacts=artifacts,
    )
    _commit(writer.store, manifest)
    return manifest


def _with_gc_hint(error: OnnxletError) -> OnnxletError:
    """The same error, which also says how to clear up after it."""
    more = "`onnxlet gc --older-than 0s` removes what it left, best while nobody else publishes"
    return type(error)(f"{error.detail}; {more}", **error.context)


def _check_files(model: str, draft: Draft, files: Mapping[str, Path]) -> dict[str, int]:
    """The size of each file, by its path in the version."""
    for path in files:
        check_key(keys.version_prefix(model, 1) + path)
        parents = ("/".join(path.split("/")[:depth]) for depth in range(1, path.count("/") + 1))
        if path in keys.DOCUMENTS or any(parent in files or parent in keys.DOCUMENTS for parent in parents):
            raise InvalidNameError(f"{path!r} cannot be an artifact's path: it is another document's", path=path)
    needed = [keys.GRAPH] if draft.golden is None else [keys.GRAPH, draft.golden.path]
    for path in needed:
        if path not in files:
            raise InvalidInputError(f"a version needs an artifact {path!r}", path=path)
    sizes = {path: _size(file) for path, file in files.items()}
    for path, size in sizes.items():
        if size > MAX_ARTIFACT:
            raise TooLargeError(
                f"{path!r} has {size} bytes, artifacts may have {MAX_ARTIFACT}: split or quantize the model",
                path=path,
                size=size,
            )
    return sizes


def _size(file: Path) -> int:
    if not file.is_file():
        raise InvalidInputError(f"{str(file)!r} is no file", file=str(file))
    return file.stat().st_size


def _claim(writer: Writer, model: str) -> int:
    """Take the next number. Who loses a claim takes the number after it, so that everybody gets one."""
    store = writer.store
    document = {"schema": 1, "who": writer.who, "when": writer.timestamp(), "nonce": secrets.token_hex(16)}
    data = canonical(document)
    version = max((version.number for version in model_contents(store, model)), default=0) + 1
    while not _create(store, keys.claim_key(model, version), data):
        version += 1
    return version


class _Upload:
    """Uploads the files of one version, several at once."""

    def __init__(
        self, store: Store, prefix: str, files: Mapping[str, Path], sizes: Mapping[str, int], on_progress: OnProgress
    ) -> None:
        self.begun: set[str] = set()
        """Keys that may hold something of these files, whole or not."""
        self._store = store
        self._prefix = prefix
        self._files = files
        self._sizes = sizes
        self._on_progress = on_progress

    def run(self) -> tuple[Artifact, ...]:
        """Upload all files and return them as artifacts, by path. The first that fails ends it."""
        from concurrent.futures import ThreadPoolExecutor, as_completed

        done, total = 0, sum(self._sizes.values())
        self._on_progress(done, total)
        artifacts = {}
        with ThreadPoolExecutor(UPLOADS, "onnxlet-publish") as pool:
            try:
                uploads = [pool.submit(self._upload, path, file) for path, file in self._files.items()]
                for future in as_completed(uploads):
                    artifact = future.result()
                    artifacts[artifact.path] = artifact
                    done += artifact.size
                    self._on_progress(done, total)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
        return tuple(artifacts[path] for path in sorted(artifacts))

    def _upload(self, path: str, file: Path) -> Artifact:
        try:
            if file.stat().st_size <= READ_WHOLE:
                return self._upload_read(path, file)
            return self._upload_streamed(path, file)
        except OSError as error:
            raise InvalidInputError(f"{str(file)!r} cannot be read: {error.strerror}", file=str(file)) from error

    def _upload_read(self, path: str, file: Path) -> Artifact:
        key, data = self._prefix + path, file.read_bytes()
        self.begun.add(key)
        if not _create(self._store, key, data):
            self.begun.discard(key)
            raise ConflictError(f"{key!r} was written by somebody else: publish again", key=key)
        return Artifact(path, digest(data), len(data))

    def _upload_streamed(self, path: str, file: Path) -> Artifact:
        key, before = self._prefix + path, file.stat()
        content_digest = file_digest(file)
        self.begun.add(key)
        try:
            self._store.create(key, file)
        except PreconditionFailedError:
            # the write may be ours, repeated because its answer was lost
            if not _holds_file(self._store, key, before.st_size, content_digest):
                self.begun.discard(key)
                raise
        after = file.stat()
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise ConflictError(f"{str(file)!r} changed while it was being published: publish it again", file=str(file))
        return Artifact(path, content_digest, before.st_size)


def _commit(store: Store, manifest: Manifest) -> None:
    """Write the manifest, and remove it if `gc` took this publish for dead meanwhile and cleared its files.

    `gc` writes the tombstone, then looks for a manifest; this writes the manifest, then looks for a tombstone: whoever
    comes second sees the other, so that no version stays whose files are gone.
    """
    model, version = manifest.model, manifest.version
    key = keys.manifest_key(model, version)
    try:
        created = _create_unanswered(store, key, encode_manifest(manifest))
    except StoreUnavailableError as error:
        # what was uploaded stays: the store may take the manifest all the same
        raise _with_gc_hint(error) from error
    if not created:
        taken, _ = lookup.manifest(store, model, version)
        raise ConflictError(f"'{model}:{version}' was published by {taken.publisher!r} meanwhile: publish it again")
    try:
        _refuse_cleared(store, model, version)
    except ConflictError:
        store.delete(key)
        raise


def _refuse_cleared(store: Store, model: str, version: int) -> None:
    if lookup.object_exists(store, keys.tombstone_key(model, version)):
        raise ConflictError(
            f"'{model}:{version}' was cleared away by gc before it was finished: publish again, or let gc wait longer",
            model=model,
            version=version,
        )


def _create(store: Store, key: str, data: bytes) -> bool:
    """Whether the object is there with these bytes: a write whose answer was lost and that was repeated is ours too."""
    try:
        store.create(key, data)
    except PreconditionFailedError:
        return store.get(key).data == data
    return True


def _create_unanswered(store: Store, key: str, data: bytes) -> bool:
    """The same, also where nothing but the answer to the write is lost."""
    try:
        return _create(store, key, data)
    except StoreUnavailableError:
        if not lookup.object_exists(store, key):
            raise
        return store.get(key).data == data


def _holds_file(store: Store, key: str, size: int, expected_digest: str) -> bool:
    """Whether the object has so many bytes, of this digest."""
    parts = (store.get_range(key, start, READ_WHOLE) for start in range(0, size + 1, READ_WHOLE))
    return parts_digest(parts) == expected_digest


def _ignore_progress(done: int, total: int) -> None:
    """Nobody asked for progress."""
