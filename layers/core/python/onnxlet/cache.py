"""The artifact cache: a version's files on local disk, each held to its digest while its bytes arrive.

A version's folder is named by the digest of its manifest, so that nothing in it can belong to another. A file gets its
name only once its digest was verified; what an earlier process left is hashed again before it is used.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

from onnxlet.errors import (
    DeadlineExceededError,
    DigestMismatchError,
    IntegrityError,
    ObjectNotFoundError,
    UnavailableError,
)
from onnxlet.keys import version_prefix
from onnxlet.manifest import Artifact, Manifest
from onnxlet.ranges import RANGE, read_ranges
from onnxlet.store import Store

_FULL = (errno.ENOSPC, errno.EDQUOT)


class ArtifactCache:
    """Files of versions below `directory`. Threads and processes may share it."""

    def __init__(self, store: Store, directory: Path) -> None:
        self._store = store
        self._directory = directory

    def fetch(self, manifest: Manifest, digest: str, *, deadline: float = 60.0) -> Path:
        """The folder with all artifacts of the version whose manifest has `digest`, fetched where they are not there.

        Raises DigestMismatchError and IntegrityError for artifacts that are not what the manifest says,
        UnavailableError if the disk does not take them, DeadlineExceededError after `deadline` seconds, and what the
        store raises.
        """
        folder = self._directory / digest.removeprefix("sha256:")
        until = monotonic() + deadline
        for artifact in manifest.artifacts:
            path = folder / _checked(artifact.path)
            try:
                if not _holds(path, artifact):
                    self._download(manifest, artifact, path, folder, until)
            except OSError as error:
                raise UnavailableError(f"the cache folder '{folder}' cannot be used: {error.strerror}") from error
        return folder

    def _download(self, manifest: Manifest, artifact: Artifact, path: Path, folder: Path, until: float) -> None:
        key = version_prefix(manifest.model, manifest.version) + artifact.path
        try:
            self._write(key, artifact, path, until)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            self._remove_others(folder)
            try:
                self._write(key, artifact, path, until)
            except OSError as again:
                raise UnavailableError(
                    f"the disk of '{self._directory}' is too full for {artifact.size} bytes of {key!r}: "
                    "give the function more ephemeral storage, or set ONNXLET_CACHE_DIR"
                ) from again

    def _write(self, key: str, artifact: Artifact, path: Path, until: float) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.partial")
        sha256 = hashlib.sha256()
        try:
            with partial.open("wb") as file:
                for chunk in self._chunks(key, artifact, until):
                    sha256.update(chunk)
                    file.write(chunk)
            got = "sha256:" + sha256.hexdigest()
            if got != artifact.digest:
                raise DigestMismatchError(
                    f"{key!r} has the digest {got}, but its manifest promises {artifact.digest}: publish it again",
                    key=key,
                    got=got,
                    expected=artifact.digest,
                )
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def _chunks(self, key: str, artifact: Artifact, until: float) -> Iterator[bytes | memoryview]:
        try:
            if artifact.size < RANGE:
                yield self._store.get(key).data
            else:
                yield from read_ranges(self._store, key, artifact.size, until)
        except ObjectNotFoundError as error:
            raise IntegrityError(f"{key!r} is gone, though its manifest lists it: publish it again", key=key) from error
        if monotonic() > until:
            raise DeadlineExceededError(f"fetching {key!r} took too long: raise ONNXLET_LOAD_DEADLINE")

    def _remove_others(self, folder: Path) -> None:
        """Make room: what other versions left can be fetched again. Sessions keep files that they have open."""
        import shutil

        for other in self._directory.iterdir():
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)


def _checked(path: str) -> str:
    if path.startswith("/") or "\\" in path or "\0" in path or not {"", ".", ".."}.isdisjoint(path.split("/")):
        raise IntegrityError(f"the manifest lists {path!r}, which lies outside the version's folder")
    return path


def _holds(path: Path, artifact: Artifact) -> bool:
    """Whether the file is there already, with the right bytes."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size != artifact.size:
                return False
            return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest() == artifact.digest
    except FileNotFoundError:
        return False
