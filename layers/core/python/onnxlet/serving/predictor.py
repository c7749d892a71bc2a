"""The predictor: a ref in, a loaded model out.

It reads which version the ref means, has it loaded, and keeps both for a while. What answers if that version cannot:

- It fails its golden cases on this machine: the newest previous version of the alias that loads, unless the manifest
  says to refuse.
- Its bytes are not those promised, ONNX Runtime does not take it, or the store does not give it: the version that this
  process served last under the alias, if that is still in memory. Else the error is raised, because nothing vouches for
  any other version.
- It has a step that only a newer onnxlet knows: the version served last, else the newest previous one that loads.
- The store does not answer: what was last read, for as long as that lasts.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import msgspec

from onnxlet.errors import (
    GoldenMismatchError,
    IntegrityError,
    NotFoundError,
    ObjectNotFoundError,
    OnnxletError,
    RejectedModelError,
    UnavailableError,
    VersionNotFoundError,
)
from onnxlet.registry.reading import lookup
from onnxlet.serving.loader import LoadedModel, Loader, PinnedVersion
from onnxlet.serving.model import Model
from onnxlet.serving.ttl_cache import RETRY_INTERVAL, CachedValue, TtlCache
from onnxlet.settings import Settings
from onnxlet.store import Store
from onnxlet.store.rereading import read_sound
from onnxlet.telemetry import ALIAS, MODEL, VERSION, log
from onnxlet.telemetry.recording import Telemetry
from onnxlet.values import keys
from onnxlet.values.aliases import Alias, Route, Routes
from onnxlet.values.headers import ALIAS as ALIAS_HEADER
from onnxlet.values.headers import FALLBACK, MODEL_VERSION, STALE
from onnxlet.values.keys import PRODUCTION
from onnxlet.values.refs import Ref, parse_ref


class Served(msgspec.Struct, frozen=True):
    """The model that answers, and why it does.

    `digest` is that of the version's manifest. `stale`: the store does not answer, so this may no longer be what the
    alias routes to. `fallback`: the version that the alias routes to was refused, and another one answers. `timings`:
    seconds by stage (fetch, load), if this very call loaded the model. `headers`: what those of an answer say of it.
    """

    model: Model
    version: int
    digest: str
    alias: str | None
    stale: bool = False
    fallback: bool = False
    timings: dict[str, float] | None = None
    headers: dict[str, str] = {}

    def __post_init__(self) -> None:
        self.headers[MODEL_VERSION] = str(self.version)
        if self.alias is not None:
            self.headers[ALIAS_HEADER] = self.alias
        if self.stale:
            self.headers[STALE] = "true"
        if self.fallback:
            self.headers[FALLBACK] = "true"


class VersionStatus(msgspec.Struct, frozen=True):
    """A servable version. `state` is TensorFlow Serving's: AVAILABLE, for whatever is servable loads on first use."""

    version: int
    state: str = "AVAILABLE"


class _Answer(msgspec.Struct, frozen=True):
    """What answers for a ref until the clock reaches `expires`."""

    served: Served
    loaded: LoadedModel
    expires: float


class Predictor:
    """Finds, loads and keeps models. Safe from several threads at once.

    `telemetry` is what observes it, without one nobody does. `clock` counts seconds; by it what was read of the store
    expires. One for many rows has models laid out for this machine (`layout`): loading takes longer, and each row less.

        predictor = Predictor(open_store("s3://models"), Settings())
        served = predictor.served(parse_ref("diagnosis"))
        served.model.predict({"input": rows})
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        *,
        telemetry: Telemetry | None = None,
        clock: Callable[[], float] = monotonic,
        layout: bool = False,
    ) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self.telemetry = telemetry or Telemetry()
        self._loader = Loader(store, settings, self.telemetry, on_evict=self._drop_answers, clock=clock, layout=layout)
        self._aliases = TtlCache(settings.alias_ttl, self._read_alias, clock)
        self._servable = TtlCache(settings.alias_ttl, self._read_servable, clock)
        self._statuses = TtlCache(settings.alias_ttl, self._read_statuses, clock)
        self._answers: dict[Ref, _Answer] = {}
        self._last_served: dict[tuple[str, str], PinnedVersion] = {}
        self._reported: set[PinnedVersion] = set()

    @property
    def counts(self) -> Store | None:
        """Where rows of files are counted for monitoring; None where the settings say so."""
        return self._store if self._settings.monitoring else None

    def served(self, ref: Ref, routing_key: str | None = None) -> Served:
        """The model that answers for `ref` over HTTP. `routing_key` decides between the routes of an alias.

        Raises ModelNotFoundError, AliasNotFoundError, VersionNotFoundError (also for versions that are not servable),
        IntegrityError, RejectedModelError, UnavailableError.
        """
        answer = self._answers.get(ref)
        if answer is not None:
            now = self._clock()
            if now < answer.expires:
                answer.loaded.used = now
                return answer.served
        return self._resolve(ref, routing_key)

    def load(self, ref: Ref) -> Served:
        """The model that `ref` means to the command line, where every published version may be used.

        Raises as `served` does.
        """
        if ref.version is None:
            return self.served(ref)
        model, version = ref.model, ref.version
        digest = read_sound(lambda: lookup.manifest(self._store, model, version))[1]
        pinned = PinnedVersion(model, version, digest)
        loaded, timings = self._loader.load(pinned)
        return Served(loaded.model, version, digest, None, timings=timings)

    def statuses(self, model: str) -> list[VersionStatus]:
        """The servable versions of a model, by number. Raises ModelNotFoundError."""
        return self._statuses.get(model).value

    def check_servable(self, ref: Ref) -> None:
        """Make sure that some version answers for `ref` over HTTP; nothing is loaded.

        Raises ModelNotFoundError, AliasNotFoundError, VersionNotFoundError, UnavailableError.
        """
        if ref.version is not None:
            self._servable.get((ref.model, ref.version))
        else:
            self._aliases.get((ref.model, ref.alias or PRODUCTION))

    def ready(self) -> None:
        """Ask the store for something. Raises StoreUnavailableError if it does not answer."""
        try:
            self._store.get(keys.ALIASES + "ready")
        except ObjectNotFoundError:
            return

    def preload(self) -> None:
        """Load the refs of the setting `preload`. A ref that fails is logged, and loaded by its first request."""
        for text in filter(None, map(str.strip, self._settings.preload.split(","))):
            try:
                self.served(parse_ref(text))
            except OnnxletError as error:
                log(__name__).error("preloading %r failed: %s", text, error.detail)

    def refresh(self) -> None:
        """Read again, before it expires, what answers for the refs in use, and load it.

        A server that calls this beside its requests spares them waiting for the store. Errors are left to the requests
        that meet them.
        """
        for ref in list(self._answers):
            try:
                if ref.version is None:
                    self._aliases.refresh((ref.model, ref.alias or PRODUCTION))
                else:
                    self._servable.refresh((ref.model, ref.version))
                self._resolve(ref, None)
            except OnnxletError:
                continue

    def _resolve(self, ref: Ref, routing_key: str | None) -> Served:
        if ref.version is not None:
            cached = self._servable.get((ref.model, ref.version))
            loaded, timings = self._loader.load(PinnedVersion(ref.model, ref.version, cached.value))
            served = Served(loaded.model, ref.version, cached.value, None, stale=cached.stale, timings=timings)
            return self._remember(ref, _Answer(served, loaded, cached.expires))
        name = ref.alias or PRODUCTION
        alias = self._aliases.get((ref.model, name))
        routes = alias.value.routes
        route = routes[0] if len(routes) == 1 else _choose(routes, ref.model, routing_key)
        answer = self._load_route(ref.model, name, alias, route)
        return answer.served if len(routes) > 1 else self._remember(ref, answer)

    def _remember(self, ref: Ref, answer: _Answer) -> Served:
        """Keep the answer, whose timings are those of this call alone."""
        served = answer.served
        if served.timings is not None:
            answer = _Answer(msgspec.structs.replace(served, timings=None), answer.loaded, answer.expires)
        self._answers[ref] = answer
        return served

    def _drop_answers(self, evicted: LoadedModel) -> None:
        for ref, answer in list(self._answers.items()):
            if answer.loaded is evicted:
                self._answers.pop(ref, None)

    def _load_route(self, model: str, name: str, alias: CachedValue[Alias], route: Route) -> _Answer:
        """Load the version that the route leads to, or the one that answers in its place."""
        pinned = PinnedVersion(model, route.version, route.digest)
        stale, fallback, timings, expires = alias.stale, False, None, alias.expires
        try:
            loaded, timings = self._loader.load(pinned)
            self._last_served[model, name] = pinned
        except GoldenMismatchError as error:
            loaded, timings = self._load_previous(pinned, name, alias.value, error)
            fallback = True
        except (IntegrityError, RejectedModelError, UnavailableError) as error:
            last = self._last_served.get((model, name))
            in_memory = None if last is None else self._loader.in_memory(last)
            if in_memory is None:
                loaded, timings = self._load_previous(pinned, name, alias.value, error)
                fallback = True
            else:
                loaded = in_memory
                expires = min(expires, self._clock() + RETRY_INTERVAL)
                stale, fallback = (True, fallback) if isinstance(error, UnavailableError) else (stale, True)
        version = loaded.pinned.version
        served = Served(loaded.model, version, loaded.pinned.digest, name, stale, fallback, timings)
        return _Answer(served, loaded, expires)

    def _load_previous(
        self, refused: PinnedVersion, name: str, alias: Alias, error: OnnxletError
    ) -> tuple[LoadedModel, dict[str, float] | None]:
        """The newest version before that loads. Raises `error` if there is none, or none may answer instead."""
        if not self._loader.may_fall_back(refused):
            raise error
        from onnxlet.serving.routing import earlier

        for route in earlier(alias):
            try:
                loaded = self._loader.load(PinnedVersion(refused.model, route.version, route.digest))
            except (IntegrityError, RejectedModelError, NotFoundError):
                continue
            self._report_fallback(refused, route.version, name, error)
            return loaded
        raise error

    def _report_fallback(self, refused: PinnedVersion, answering: int, name: str, error: OnnxletError) -> None:
        """Log once that another version answers."""
        if refused not in self._reported:
            self._reported.add(refused)
            log(__name__).error(
                "version %s of %r is refused and version %s answers: %s",
                refused.version,
                refused.model,
                answering,
                error.detail,
                extra={MODEL: refused.model, ALIAS: name, VERSION: answering},
            )

    def _read_alias(self, model_and_name: tuple[str, str], etag: str) -> tuple[Alias, str] | None:
        return read_sound(lambda: lookup.alias_if_changed(self._store, *model_and_name, etag))

    def _read_servable(self, model_and_version: tuple[str, int], _: str) -> tuple[str, str]:
        model, version = model_and_version
        from onnxlet.registry.reading.servable import servable_digest
        from onnxlet.values.timestamps import utc_now

        days = self._settings.servable_days
        digest = read_sound(lambda: servable_digest(self._store, model, version, days=days, now=utc_now()))
        if digest is None:
            lookup.require_model(self._store, model)
            raise VersionNotFoundError(
                f"model {model!r} serves no version {version}: promote it to an alias first",
                model=model,
                version=version,
            )
        return digest, ""

    def _read_statuses(self, model: str, _: str) -> tuple[list[VersionStatus], str]:
        from onnxlet.registry.reading.servable import servable_versions
        from onnxlet.values.timestamps import utc_now

        days = self._settings.servable_days
        versions = read_sound(lambda: servable_versions(self._store, model, days=days, now=utc_now()))
        if not versions:
            lookup.require_model(self._store, model)
        return [VersionStatus(version) for version in versions], ""


def _choose(routes: Routes, model: str, routing_key: str | None) -> Route:
    from onnxlet.serving.routing import choose

    return choose(routes, model, routing_key)
