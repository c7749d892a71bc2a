"""The predictor: a ref in, a loaded model out. What a version is, where it lies and when to load it ends here.

What answers when the routed version cannot:

- it fails its golden cases here: the newest of the alias's previous routes that loads, unless its manifest says refuse;
- its bytes are not those promised, ONNX Runtime does not take it, or the store does not give it: the version that this
  process served last under the alias, if it still is in memory; else the error, for nobody vouches for another one;
- the store does not answer: what was last known, for as long as it takes.
"""

from __future__ import annotations

from time import monotonic
from typing import NamedTuple

import msgspec

from onnxlet import telemetry
from onnxlet.errors import (
    AliasNotFoundError,
    GoldenMismatchError,
    IntegrityError,
    ModelNotFoundError,
    NotFoundError,
    ObjectNotFoundError,
    OnnxletError,
    RejectedModelError,
    UnavailableError,
    VersionNotFoundError,
)
from onnxlet.registry.reading import lookup
from onnxlet.registry.reading.servable import servable_digest, servable_versions
from onnxlet.serving.loader import Loaded, Loader, Pinned
from onnxlet.serving.model import COLUMNS, SERVING_DEFAULT, Model
from onnxlet.serving.routing import choose, earlier
from onnxlet.serving.ttl_cache import RETRY, Belief, Believed
from onnxlet.settings import Settings
from onnxlet.store import Store
from onnxlet.telemetry import Telemetry
from onnxlet.values import keys
from onnxlet.values.aliases import Alias, Route, decode_alias
from onnxlet.values.refs import PRODUCTION, Ref, parse_ref
from onnxlet.values.timestamps import utc_now

__all__ = ["COLUMNS", "SERVING_DEFAULT", "Model", "Predictor", "Served", "VersionStatus"]


class Served(msgspec.Struct, frozen=True):
    """The model that answers, and why it does.

    `stale`: the store does not answer, so that this may no longer be what the alias routes to. `fallback`: the routed
    version was refused and another answers. `timings`: seconds by stage (fetch, load) if this very call loaded it.
    """

    model: Model
    version: int
    alias: str | None
    stale: bool = False
    fallback: bool = False
    timings: dict[str, float] | None = None


class VersionStatus(NamedTuple):
    """A servable version. `state` is TensorFlow Serving's: AVAILABLE, for whatever is servable loads on first use."""

    version: int
    state: str = "AVAILABLE"


class _Warm(msgspec.Struct, frozen=True):
    until: float
    served: Served
    loaded: Loaded


class Predictor:
    """Finds, loads and keeps models. Safe from several threads at once."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._metrics = Telemetry(settings.function_name)
        self._loader = Loader(store, settings, self._metrics, on_evict=self._forget)
        self._aliases = Believed(settings.alias_ttl, self._read_alias)
        self._servable = Believed(settings.alias_ttl, self._read_servable)
        self._statuses = Believed(settings.alias_ttl, self._read_statuses)
        self._warm: dict[Ref, _Warm] = {}
        self._last: dict[tuple[str, str], Pinned] = {}
        self._told: set[Pinned] = set()

    def served(self, ref: Ref, routing_key: str | None = None) -> Served:
        """The model that answers for `ref` over HTTP; `routing_key` decides between the routes of an alias.

        Raises ModelNotFoundError, AliasNotFoundError, VersionNotFoundError (also for versions that are not servable),
        IntegrityError, RejectedModelError, UnavailableError.
        """
        warm = self._warm.get(ref)
        if warm is not None:
            now = monotonic()
            if now < warm.until:
                warm.loaded.used = now
                return warm.served
        return self._find(ref, routing_key)

    def load(self, ref: Ref) -> Served:
        """The model that `ref` means to the command line, where every published version may be used.

        Raises as `served` does.
        """
        if ref.version is None:
            return self.served(ref)
        pinned = Pinned(ref.model, ref.version, lookup.manifest(self._store, ref.model, ref.version)[1])
        loaded, timings = self._loader.load(pinned)
        return Served(loaded.model, ref.version, None, timings=timings)

    def statuses(self, model: str) -> list[VersionStatus]:
        """The servable versions of a model, by number. Raises ModelNotFoundError."""
        return self._statuses.get(model).value

    def ready(self) -> None:
        """Ask the store for something. Raises StoreUnavailableError if it does not answer."""
        try:
            self._store.get(keys.ALIASES + "ready")
        except ObjectNotFoundError:
            return

    def preload(self) -> None:
        """Load the refs of the setting `preload`; those that fail are logged and load with their first request."""
        for text in filter(None, map(str.strip, self._settings.preload.split(","))):
            try:
                self.served(parse_ref(text))
            except OnnxletError as error:
                telemetry.log(__name__).error("preloading %r failed: %s", text, error.detail)

    def refresh(self) -> None:
        """Find anew, before its time, what answers for the refs in use, and load it.

        A server that does so beside its requests lets none of them wait for the store. What fails here is told to the
        request that wants it.
        """
        for ref in list(self._warm):
            try:
                if ref.version is None:
                    self._aliases.renew((ref.model, ref.alias or PRODUCTION))
                else:
                    self._servable.renew((ref.model, ref.version))
                self._find(ref, None)
            except OnnxletError:
                continue

    def _find(self, ref: Ref, routing_key: str | None) -> Served:
        if ref.version is not None:
            belief = self._servable.get((ref.model, ref.version))
            loaded, timings = self._loader.load(Pinned(ref.model, ref.version, belief.value))
            served = Served(loaded.model, ref.version, None, stale=belief.stale, timings=timings)
            return self._keep(ref, served, loaded, belief.until)
        alias = ref.alias or PRODUCTION
        known = self._aliases.get((ref.model, alias))
        routes = known.value.routes
        route = routes[0] if len(routes) == 1 else choose(routes, ref.model, routing_key)
        served, loaded, until = self._answer(ref.model, alias, known, route)
        return served if len(routes) > 1 else self._keep(ref, served, loaded, until)

    def _keep(self, ref: Ref, served: Served, loaded: Loaded, until: float) -> Served:
        kept = served if served.timings is None else msgspec.structs.replace(served, timings=None)
        self._warm[ref] = _Warm(until, kept, loaded)
        return served

    def _forget(self, evicted: Loaded) -> None:
        for ref, warm in list(self._warm.items()):
            if warm.loaded is evicted:
                self._warm.pop(ref, None)

    def _answer(self, model: str, alias: str, known: Belief[Alias], route: Route) -> tuple[Served, Loaded, float]:
        """Load what the route says, or what stands in for it; and until when that may be believed."""
        pinned = Pinned(model, route.version, route.digest)
        stale, fallback, timings, until = known.stale, False, None, known.until
        try:
            loaded, timings = self._loader.load(pinned)
            self._last[model, alias] = pinned
        except GoldenMismatchError as error:
            if not self._loader.may_fall_back(pinned):
                raise
            loaded, timings = self._previous(pinned, alias, known.value, error)
            fallback = True
        except (IntegrityError, RejectedModelError, UnavailableError) as error:
            last = self._last.get((model, alias))
            remaining = None if last is None else self._loader.in_memory(last)
            if remaining is None:
                raise
            loaded = remaining
            until = min(until, monotonic() + RETRY)
            stale, fallback = (True, fallback) if isinstance(error, UnavailableError) else (stale, True)
        version = loaded.pinned.version
        if stale or fallback:
            metrics = {telemetry.STALE: int(stale), telemetry.FALLBACK: int(fallback)}
            self._metrics.record(metrics, model=model, version=version, alias=alias)
        return Served(loaded.model, version, alias, stale, fallback, timings), loaded, until

    def _previous(
        self, refused: Pinned, alias: str, document: Alias, error: GoldenMismatchError
    ) -> tuple[Loaded, dict[str, float] | None]:
        for route in earlier(document):
            try:
                found = self._loader.load(Pinned(refused.model, route.version, route.digest))
            except (IntegrityError, RejectedModelError, NotFoundError):
                continue
            self._tell(refused, route.version, alias, error)
            return found
        raise error

    def _tell(self, refused: Pinned, answering: int, alias: str, error: GoldenMismatchError) -> None:
        if refused not in self._told:
            self._told.add(refused)
            telemetry.log(__name__).error(
                "version %s of %r is refused and version %s answers: %s",
                refused.version,
                refused.model,
                answering,
                error.detail,
                extra={telemetry.MODEL: refused.model, telemetry.ALIAS: alias, telemetry.VERSION: answering},
            )

    def _read_alias(self, name: tuple[str, str], etag: str) -> tuple[Alias, str] | None:
        model, alias = name
        key = keys.alias_key(model, alias)
        try:
            blob = self._store.get_if_changed(key, etag) if etag else self._store.get(key)
        except ObjectNotFoundError as error:
            self._require_model(model)
            raise AliasNotFoundError(
                f"model {model!r} has no alias {alias!r}: promote a version with 'onnxlet promote {model}:VERSION"
                + ("'" if alias == PRODUCTION else f" --to {alias}'"),
                model=model,
                alias=alias,
            ) from error
        if blob is None:
            return None
        document = decode_alias(blob.data)
        if (document.entry.model, document.entry.alias) != name:
            raise IntegrityError(
                f"{key!r} holds the alias '{document.entry.model}@{document.entry.alias}'", model=model, alias=alias
            )
        return document, blob.etag

    def _read_servable(self, name: tuple[str, int], _: str) -> tuple[str, str]:
        model, version = name
        found = servable_digest(self._store, model, version, days=self._settings.servable_days, now=utc_now())
        if found is None:
            self._require_model(model)
            raise VersionNotFoundError(
                f"model {model!r} serves no version {version}: promote it to an alias first",
                model=model,
                version=version,
            )
        return found, ""

    def _read_statuses(self, model: str, _: str) -> tuple[list[VersionStatus], str]:
        found = servable_versions(self._store, model, days=self._settings.servable_days, now=utc_now())
        if not found:
            self._require_model(model)
        return [VersionStatus(version) for version in sorted(found)], ""

    def _require_model(self, model: str) -> None:
        if not lookup.model_exists(self._store, model):
            raise ModelNotFoundError(f"no model named {model!r}", model=model)
