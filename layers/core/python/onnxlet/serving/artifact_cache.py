"""The artifact cache: a version's files on local disk, each held to its digest while its bytes arrive.

A version's folder is named by the digest of its manifest, so that nothing in it can belong to another. A file gets its
name only once its digest was verified; what an earlier process left is hashed again before it is used.
"""

from __future__ import annotations

import errno
import os
import threading
from contextlib import suppress
from time import monotonic
from typing import BinaryIO

from onnxlet.errors import DigestMismatchError, IntegrityError, ObjectNotFoundError, UnavailableError
from onnxlet.store import Store
from onnxlet.store.ranges import RANGE, read_ranges, took_too_long
from onnxlet.values import digests
from onnxlet.values.keys import version_prefix
from onnxlet.values.manifest import Artifact, Manifest

_FULL = (errno.ENOSPC, errno.EDQUOT)


class ArtifactCache:
    """Files of versions below `directory`. Threads and processes may share it."""

    def __init__(self, store: Store, directory: str | os.PathLike[str]) -> None:
        self._store = store
        self._directory = os.fspath(directory)

    def fetch(self, manifest: Manifest, digest: str, *, deadline: float = 60.0) -> str:
        """The folder with all artifacts of the version whose manifest has `digest`, fetched where they are not there.

        The report is for people and is not fetched.

        Raises DigestMismatchError and IntegrityError for artifacts that are not what the manifest says,
        UnavailableError if the disk does not take them, StoreUnavailableError after `deadline` seconds, and what the
        store raises.
        """
        folder = f"{self._directory}/{digest.removeprefix(digests.ALGORITHM)}"
        until = monotonic() + deadline
        for artifact in manifest.artifacts:
            if artifact.path == manifest.report:
                continue
            path = f"{folder}/{_checked(artifact.path)}"
            key = version_prefix(manifest.model, manifest.version) + artifact.path
            try:
                if not _holds(path, artifact):
                    self._download(key, artifact, path, until)
            except OSError as error:
                raise self._unusable(key, artifact, error) from error
        return folder

    def _download(self, key: str, artifact: Artifact, path: str, until: float) -> None:
        try:
            self._write(key, artifact, path, until)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            self._remove_others(path)
            self._write(key, artifact, path, until)

    def _write(self, key: str, artifact: Artifact, path: str, until: float) -> None:
        folder, name = os.path.split(path)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        partial = f"{folder}/.{name}.{os.getpid()}-{threading.get_ident()}.partial"
        try:
            with open(partial, "wb") as file:
                got = self._receive(key, artifact, file, until)
            _require(key, got, artifact.digest)
            os.replace(partial, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(partial)
            raise

    def _receive(self, key: str, artifact: Artifact, file: BinaryIO, until: float) -> str:
        """Write the object to `file`; the digest of what was written."""

        def keep(chunk: bytes | memoryview, start: int) -> None:
            _write_at(file.fileno(), chunk, start)

        try:
            if artifact.size < RANGE:
                data = self._store.get(key).data
                file.write(data)
                got = digests.digest(data)
            else:
                got = digests.parts_digest(read_ranges(self._store, key, artifact.size, until, keep))
        except ObjectNotFoundError as error:
            raise IntegrityError(f"{key!r} is gone, though its manifest lists it: publish it again", key=key) from error
        if monotonic() > until:
            raise took_too_long(key)
        return got

    def _remove_others(self, path: str) -> None:
        """Make room: what other versions left can be fetched again. Sessions keep files that they have open."""
        import shutil

        for other in os.scandir(self._directory):
            if not path.startswith(other.path + "/"):
                shutil.rmtree(other.path, ignore_errors=True)

    def _unusable(self, key: str, artifact: Artifact, error: OSError) -> UnavailableError:
        if error.errno in _FULL:
            return UnavailableError(
                f"the disk of '{self._directory}' is too full for the {artifact.size} bytes of {key!r}: "
                "give the function more ephemeral storage, or set ONNXLET_CACHE_DIR to a larger disk"
            )
        return UnavailableError(
            f"the cache folder '{self._directory}' cannot be used ({error.strerror}): set ONNXLET_CACHE_DIR"
        )


def _require(key: str, got: str, promised: str) -> None:
    if got != promised:
        raise DigestMismatchError(
            f"{key!r} has the digest {got}, but its manifest promises {promised}: publish it again",
            key=key,
            got=got,
            expected=promised,
        )


def _checked(path: str) -> str:
    if "\\" in path or "\0" in path or not {"", ".", ".."}.isdisjoint(path.split("/")):
        raise IntegrityError(f"the manifest lists {path!r}, which lies outside the version's folder")
    return path


def _holds(path: str, artifact: Artifact) -> bool:
    """Whether the file is there already, with the right bytes."""
    try:
        return os.stat(path).st_size == artifact.size and digests.file_digest(path) == artifact.digest
    except FileNotFoundError:
        return False


def _write_at(descriptor: int, chunk: bytes | memoryview, start: int) -> None:
    """Write all of a range at its place, whichever ranges are there already."""
    rest = memoryview(chunk)
    while rest:
        written = os.pwrite(descriptor, rest, start)
        rest, start = rest[written:], start + written
