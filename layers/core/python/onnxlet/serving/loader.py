"""Loading: from a version's manifest to a model in memory. Each is loaded once, and memory bounds how many stay."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from time import perf_counter

import msgspec

from onnxlet.errors import (
    DeadlineExceededError,
    DigestMismatchError,
    GoldenMismatchError,
    IntegrityError,
    ObjectNotFoundError,
    OnnxletError,
    RejectedModelError,
    UnavailableError,
    UnknownStepError,
    VersionNotFoundError,
)
from onnxlet.serving.artifact_cache import ArtifactCache
from onnxlet.serving.engine import load_engine
from onnxlet.serving.golden import check, decode_cases, tolerance_here
from onnxlet.serving.model import Model
from onnxlet.serving.ttl_cache import RETRY_INTERVAL, copy_error
from onnxlet.settings import Settings
from onnxlet.steps import decode_steps
from onnxlet.steps.base import no_artifacts
from onnxlet.store import Store
from onnxlet.store.rereading import read_sound
from onnxlet.telemetry import DIGEST, EVICTION, FETCH_TIME, LOAD_FAILURE, LOAD_TIME, MODEL, VERSION, log
from onnxlet.telemetry.recording import Telemetry
from onnxlet.values.digests import digest
from onnxlet.values.keys import GRAPH, manifest_key
from onnxlet.values.manifest import Manifest, decode_manifest


class PinnedVersion(msgspec.Struct, frozen=True):
    """A version and the digest that its manifest must have."""

    model: str
    version: int
    digest: str


class LoadedModel:
    """A model in memory; `used` is when it was last asked for, by the loader's clock."""

    __slots__ = ("model", "pinned", "used")

    def __init__(self, model: Model, pinned: PinnedVersion, used: float) -> None:
        self.model = model
        self.pinned = pinned
        self.used = used


class _FailedLoad(msgspec.Struct, frozen=True):
    error: OnnxletError
    retry_at: float
    may_fall_back: bool


class Loader:
    """Models in memory, least recently used first out once they exceed `settings.session_bytes`.

    A version that fails its golden cases, or has a step that is not known here, is refused for good. One that fails
    otherwise is refused for a while, and then tried again. An evicted model goes on working for those who still hold
    it; `on_evict` is told of it. With `layout` convolutions are laid out for this machine, where golden cases show that
    the answers stay.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        telemetry: Telemetry,
        *,
        on_evict: Callable[[LoadedModel], None],
        clock: Callable[[], float],
        layout: bool = False,
    ) -> None:
        self._store = store
        self._settings = settings
        self._telemetry = telemetry
        self._on_evict = on_evict
        self._clock = clock
        self._layout = layout
        self._cache = ArtifactCache(store, settings.cache_folder)
        self._loaded: dict[PinnedVersion, LoadedModel] = {}
        self._failures: dict[PinnedVersion, _FailedLoad] = {}
        self._locks: dict[PinnedVersion, threading.Lock] = {}
        self._room = threading.Lock()

    def in_memory(self, pinned: PinnedVersion) -> LoadedModel | None:
        """The version if it is loaded."""
        return self._loaded.get(pinned)

    def may_fall_back(self, pinned: PinnedVersion) -> bool:
        """Whether the version was refused for good, and its manifest lets a previous one answer."""
        failure = self._failures.get(pinned)
        return failure is not None and failure.may_fall_back

    def load(self, pinned: PinnedVersion) -> tuple[LoadedModel, dict[str, float] | None]:
        """The version, and how many seconds fetching and loading it took if this call did so.

        Raises VersionNotFoundError, IntegrityError, RejectedModelError, UnavailableError.
        """
        loaded = self._loaded.get(pinned)
        if loaded is not None:
            loaded.used = self._clock()
            return loaded, None
        lock = self._locks.setdefault(pinned, threading.Lock())
        if not lock.acquire(timeout=self._settings.load_deadline):
            raise DeadlineExceededError(f"'{pinned.model}:{pinned.version}' is still being loaded: try again")
        try:
            loaded = self._loaded.get(pinned)
            if loaded is not None:
                return loaded, None
            failure = self._failures.get(pinned)
            if failure is not None and self._clock() < failure.retry_at:
                raise copy_error(failure.error)
            return self._load(pinned)
        finally:
            self._locks.pop(pinned, None)
            lock.release()

    def _load(self, pinned: PinnedVersion) -> tuple[LoadedModel, dict[str, float]]:
        started = perf_counter()
        manifest = None
        try:
            manifest = read_sound(lambda: self._manifest(pinned))
            decode_steps(manifest.steps)  # refused before its artifacts are fetched
            folder = self._cache.fetch(manifest, pinned.digest, deadline=self._settings.load_deadline)
            fetched = perf_counter()
            self._make_room(manifest.size)
            model = self._open(manifest, pinned.digest, folder, started + self._settings.load_deadline)
        except (IntegrityError, RejectedModelError, UnavailableError) as error:
            self._refuse(pinned, manifest, error)
            raise
        timings = {"fetch": fetched - started, "load": perf_counter() - fetched}
        loaded = LoadedModel(model, pinned, self._clock())
        self._loaded[pinned] = loaded
        self._failures.pop(pinned, None)
        self._make_room(0, spared=loaded)
        self._telemetry.record(
            {FETCH_TIME: timings["fetch"], LOAD_TIME: timings["load"]}, model=pinned.model, version=pinned.version
        )
        return loaded, timings

    def _manifest(self, pinned: PinnedVersion) -> Manifest:
        key = manifest_key(pinned.model, pinned.version)
        try:
            data = self._store.get(key).data
        except ObjectNotFoundError as error:
            raise VersionNotFoundError(
                f"model {pinned.model!r} has no version {pinned.version}", model=pinned.model, version=pinned.version
            ) from error
        actual = digest(data)
        if actual != pinned.digest:
            raise DigestMismatchError(
                f"{key!r} has the digest {actual}, but its alias pins {pinned.digest}: promote a version that is "
                "intact",
                key=key,
                got=actual,
                expected=pinned.digest,
            )
        manifest = decode_manifest(data)
        if (manifest.model, manifest.version) != (pinned.model, pinned.version):
            raise IntegrityError(f"{key!r} holds the manifest of '{manifest.model}:{manifest.version}'", key=key)
        return manifest

    def _open(self, manifest: Manifest, pinned_digest: str, folder: str, due: float) -> Model:
        if GRAPH not in {artifact.path for artifact in manifest.artifacts}:
            raise RejectedModelError(f"the manifest lists no {GRAPH!r}")
        if self._layout and manifest.golden is not None:
            with suppress(GoldenMismatchError):
                return self._open_graph(manifest, pinned_digest, folder, due, layout=True)
        return self._open_graph(manifest, pinned_digest, folder, due, layout=False)

    def _open_graph(self, manifest: Manifest, pinned_digest: str, folder: str, due: float, *, layout: bool) -> Model:
        engine = load_engine(
            f"{folder}/{GRAPH}",
            threads=self._settings.intra_op_threads,
            optimized=manifest.offline_optimized,
            run_deadline=self._settings.run_deadline,
            load_deadline=due - perf_counter(),
            layout=layout,
        )
        model = Model(
            manifest,
            engine,
            partial(_read_artifact, folder, {each.path for each in manifest.artifacts}),
            partial(self._cache.fetch_one, manifest, pinned_digest, deadline=self._settings.load_deadline),
        )
        golden = manifest.golden
        if golden is not None:
            if golden.path not in {artifact.path for artifact in manifest.artifacts}:
                raise IntegrityError(f"the manifest lists no {golden.path!r}, which shall hold its golden cases")
            with open(f"{folder}/{golden.path}", "rb") as file:
                cases = decode_cases(file.read())
            check(engine, cases, tolerance_here(golden), model.prepare, model.finish)
        return model

    def _refuse(self, pinned: PinnedVersion, manifest: Manifest | None, error: OnnxletError) -> None:
        for_good = isinstance(error, GoldenMismatchError | UnknownStepError)
        pause = self._settings.alias_ttl
        if isinstance(error, UnavailableError):
            pause = min(pause, RETRY_INTERVAL)
        self._failures[pinned] = _FailedLoad(
            error,
            float("inf") if for_good else self._clock() + pause,
            for_good and manifest is not None and manifest.on_golden_failure == "previous",
        )
        extra = {MODEL: pinned.model, VERSION: pinned.version, DIGEST: pinned.digest, "problem": error.slug()}
        log(__name__).error("version refused: %s", error.detail, extra=extra)
        self._telemetry.record({LOAD_FAILURE: 1}, model=pinned.model, version=pinned.version, urgent=True)

    def _make_room(self, needed: int, spared: LoadedModel | None = None) -> None:
        """Evict what was not used for longest, but not `spared`, until `needed` more bytes are allowed."""
        with self._room:
            total = sum(loaded.model.nbytes for loaded in self._loaded.values())
            for loaded in sorted(self._loaded.values(), key=lambda loaded: loaded.used):
                if total + needed <= self._settings.session_bytes:
                    return
                if loaded is not spared:
                    total -= loaded.model.nbytes
                    del self._loaded[loaded.pinned]
                    self._on_evict(loaded)
                    pinned = loaded.pinned
                    self._telemetry.record({EVICTION: 1}, model=pinned.model, version=pinned.version)


def _read_artifact(folder: str, paths: Collection[str], path: str) -> bytes:
    """An artifact that was fetched, whose digest was checked then."""
    if path not in paths:
        return no_artifacts(path)
    with open(f"{folder}/{path}", "rb") as file:
        return file.read()
