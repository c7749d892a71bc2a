"""The artifact cache: a version's files on local disk, each held to its digest while its bytes arrive.

A version's folder has the digest of its manifest for a name, so files of two versions never mix. A file gets its name
only when its digest was checked. Files that an earlier process left are hashed again before they are used.

Between that and their use nobody may change them: a cache that others can write is not used.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import BinaryIO

from onnxlet.errors import (
    DigestMismatchError,
    IntegrityError,
    ObjectNotFoundError,
    RejectedModelError,
    UnavailableError,
)
from onnxlet.store import Store
from onnxlet.store.ranges import MIN_RANGE, read_ranges, timeout_error
from onnxlet.store.rereading import read_sound
from onnxlet.values import digests
from onnxlet.values.keys import FETCHED_LATER, version_prefix
from onnxlet.values.manifest import Artifact, Manifest

_FULL = (errno.ENOSPC, errno.EDQUOT)
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class ArtifactCache:
    """Files of versions below `directory`. Threads and processes may share it."""

    def __init__(self, store: Store, directory: str | os.PathLike[str]) -> None:
        self._store = store
        self._directory = os.fspath(directory)

    def fetch(self, manifest: Manifest, digest: str, *, deadline: float = 60.0) -> str:
        """Fetch the artifacts of a version that are not there yet; return the folder that they are in.

        `digest` is that of the manifest's bytes, `deadline` the seconds that it may take. The report is not fetched: it
        is for people; nor is what only explanations and monitoring need, before `fetch_one` is asked for it.
        Raises DigestMismatchError and IntegrityError for artifacts that are not what the manifest says,
        UnavailableError if the disk does not take them, StoreUnavailableError past the deadline, and what the store
        raises.
        """
        folder = self._folder(digest)
        until = monotonic() + deadline
        claim_directory(self._directory)
        wanted = [
            artifact
            for artifact in manifest.artifacts
            if artifact.path != manifest.report and not artifact.path.startswith(FETCHED_LATER)
        ]
        # small ones but wait for the store: beside the largest, which is read in this thread as others of its kind are
        wanted.sort(key=lambda artifact: artifact.size)
        beside = [each for each in wanted[:-1] if each.size < MIN_RANGE]
        _call_together(
            lambda: [self._fetch(manifest, each, folder, until) for each in wanted[len(beside) :]],
            [partial(self._fetch, manifest, each, folder, until) for each in beside],
        )
        return folder

    def fetch_one(self, manifest: Manifest, digest: str, path: str, *, deadline: float = 60.0) -> str:
        """Fetch one artifact of a version if it is not there yet; return where it lies. Raises as `fetch` does, and
        RejectedModelError for one that the version lacks.
        """
        artifact = next((each for each in manifest.artifacts if each.path == path), None)
        if artifact is None:
            raise RejectedModelError(f"the manifest speaks of the artifact {path!r}, which the version lacks")
        claim_directory(self._directory)
        return self._fetch(manifest, artifact, self._folder(digest), monotonic() + deadline)

    def _folder(self, digest: str) -> str:
        return f"{self._directory}/{digest.removeprefix(digests.ALGORITHM)}"

    def _fetch(self, manifest: Manifest, artifact: Artifact, folder: str, until: float) -> str:
        path = f"{folder}/{_check_path(artifact.path)}"
        key = version_prefix(manifest.model, manifest.version) + artifact.path
        try:
            if not _has_artifact(path, artifact):
                os.makedirs(folder, mode=0o700, exist_ok=True)  # what lies between would be open to others
                read_sound(partial(self._download, key, artifact, path, until))
        except OSError as error:
            raise self._unusable_error(key, artifact, error) from error
        return path

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
        unnamed = f"{folder}/.{name}.{os.getpid()}-{threading.get_ident()}.partial"
        try:
            with open(unnamed, "wb") as file:
                actual = self._receive(key, artifact, file, until)
            _check_digest(key, actual, artifact.digest)
            _check_size(key, os.stat(unnamed).st_size, artifact.size)
            os.replace(unnamed, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(unnamed)
            raise

    def _receive(self, key: str, artifact: Artifact, file: BinaryIO, until: float) -> str:
        """Write the object to `file`; return the digest of what was written."""

        def write(chunk: bytes | memoryview, start: int) -> None:
            _write_at(file.fileno(), chunk, start)

        try:
            if artifact.size < MIN_RANGE:
                data = self._store.get(key).data
                file.write(data)
                actual = digests.digest(data)
            else:
                with read_ranges(self._store, key, artifact.size, until, write) as ranges:
                    actual = digests.parts_digest(ranges, artifact.size)
        except ObjectNotFoundError as error:
            raise IntegrityError(f"{key!r} is gone, though its manifest lists it: publish it again", key=key) from error
        if monotonic() > until:
            raise timeout_error(key)
        return actual

    def _remove_others(self, path: str) -> None:
        """Make room: other versions can be fetched again. Files that a session has open stay readable to it."""
        import shutil

        for other in os.scandir(self._directory):
            if not path.startswith(other.path + "/"):
                shutil.rmtree(other.path, ignore_errors=True)

    def _unusable_error(self, key: str, artifact: Artifact, error: OSError) -> UnavailableError:
        if error.errno in _FULL:
            return UnavailableError(
                f"the disk of '{self._directory}' is too full for the {artifact.size} bytes of {key!r}: "
                "give the function more ephemeral storage, or set ONNXLET_CACHE_DIR to a larger disk"
            )
        return _unusable_error(self._directory, error)


class _Call(threading.Thread):
    """A call in a thread of its own, and what it raised."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__(name="onnxlet-fetch", daemon=True)
        self._call = call
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._call()
        except BaseException as error:  # noqa: BLE001 - it is raised by who waits
            self.error = error


def _call_together(call: Callable[[], object], others: Sequence[Callable[[], object]]) -> None:
    """Call one here and the others in threads meanwhile. Once all have ended, raises what one of them raised."""
    beside = [_Call(other) for other in others]
    for each in beside:
        each.start()
    try:
        call()
    finally:
        for each in beside:
            each.join()
    for each in beside:
        if each.error is not None:
            raise each.error


def claim_directory(directory: str) -> None:
    """Make a directory that only the user can enter, if it is not there; leave it if it is the user's and only they
    can write it. Raises UnavailableError, saying what to do, if not.
    """
    try:
        with suppress(FileExistsError):
            os.makedirs(directory, mode=0o700)
        link, status = os.lstat(directory), os.stat(directory)
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    except OSError as error:
        raise _unusable_error(directory, error) from error
    if sys.platform == "win32":  # whose permissions are no bits
        return
    mine = os.geteuid()
    advice = "set ONNXLET_CACHE_DIR to a folder of your own"
    for it, what in ((status, "the folder"), (link, "the link")):
        if it.st_uid != mine:
            raise UnavailableError(
                f"the cache folder '{directory}' is not used, because {what} belongs to user {it.st_uid}, who could "
                f"change what is loaded from it: {advice}"
            )
    if status.st_mode & _OTHERS_WRITE:
        raise UnavailableError(
            f"the cache folder '{directory}' is not used, because others can write it (mode "
            f"{stat.S_IMODE(status.st_mode):o}), and could change what is loaded from it: empty it and run "
            f"`chmod 700 '{directory}'`, or {advice}"
        )


def _unusable_error(directory: str, error: OSError) -> UnavailableError:
    return UnavailableError(f"the cache folder '{directory}' cannot be used ({error.strerror}): set ONNXLET_CACHE_DIR")


def _check_digest(key: str, actual: str, expected: str) -> None:
    if actual != expected:
        raise DigestMismatchError(
            f"{key!r} has the digest {actual}, but its manifest promises {expected}: publish it again",
            key=key,
            got=actual,
            expected=expected,
        )


def _check_size(key: str, actual: int, expected: int) -> None:
    if actual != expected:
        raise IntegrityError(
            f"{key!r} has {actual} bytes, but its manifest promises {expected}: publish it again", key=key
        )


def _check_path(path: str) -> str:
    if "\\" in path or "\0" in path or not {"", ".", ".."}.isdisjoint(path.split("/")):
        raise IntegrityError(f"the manifest lists {path!r}, which lies outside the version's folder")
    return path


def _has_artifact(path: str, artifact: Artifact) -> bool:
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
