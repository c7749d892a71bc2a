"""What commands and functions work on: the store that the caller names, opened when it is needed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from onnxlet.errors import AliasNotFoundError, InvalidInputError, ModelNotFoundError, OnnxletError
from onnxlet.values.spelling import did_you_mean

if TYPE_CHECKING:
    from onnxlet.registry.registry import Registry
    from onnxlet.serving.predictor import Predictor
    from onnxlet.settings import Settings
    from onnxlet.store import Store


MOST_OBJECTS = 20_000
"""So many objects of a store are looked at to find a name that may be meant."""
_SCHEMES = ("s3", "file", "memory")
_LIKE_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)(?::/*|//+|;//|:\\\\)(?P<rest>.*)")
"""What begins as a URL does, with slips of the pen; a drive's single letter does not."""


class Workspace:
    """A store that is opened when it is needed. The caller is written into what it changes as `user@host`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def read_settings(self) -> Settings:
        """The environment's settings, for this store."""
        from msgspec.structs import replace

        from onnxlet.settings import Settings

        return replace(Settings.from_environ(os.environ), store=self.url)

    def open_store(self) -> Store:
        """The store itself."""
        from onnxlet.store import open_store

        return open_store(self.url)

    def open_registry(self) -> Registry:
        """Its registry, in the caller's name."""
        from onnxlet.registry.registry import Registry

        return Registry(self.open_store(), who=self.who)

    def make_predictor(self, *, layout: bool = False) -> Predictor:
        """A predictor over its models, in this process; for many rows with `layout`."""
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        from onnxlet.serving.predictor import Predictor

        return Predictor(self.open_store(), self.read_settings(), layout=layout)

    @contextmanager
    def naming_others(self) -> Iterator[None]:
        """Let errors about a model or an alias that is not there say which one may be meant."""
        try:
            yield
        except (ModelNotFoundError, AliasNotFoundError) as error:
            self.name_others(error)
            raise

    def name_others(self, error: OnnxletError) -> None:
        """Add to an error of this store's registry which name may be meant, or which aliases there are."""
        model, alias = error.context.get("model"), error.context.get("alias")
        if not isinstance(model, str) or "status" in error.context:
            return
        with suppress(OnnxletError):
            if isinstance(error, ModelNotFoundError):
                _extend(error, did_you_mean(model, self._model_names()))
            elif isinstance(error, AliasNotFoundError) and isinstance(alias, str):
                others = sorted(self.open_registry().aliases(model))
                # who only reads is not advised to promote
                error.detail = error.detail.partition(": promote")[0]
                _extend(error, _describe_aliases(alias, others))

    def _model_names(self) -> set[str]:
        """The models that have a version, as far as that is found out soon."""
        from onnxlet.values import keys

        listed = islice(self.open_store().list(keys.MODELS), MOST_OBJECTS)
        paths = (entry.key.removeprefix(keys.MODELS).split("/") for entry in listed)
        return {path[0] for path in paths if path[-1] == keys.MANIFEST}

    @property
    def who(self) -> str:
        """The caller."""
        import getpass
        import socket

        try:
            user = getpass.getuser()
        except (OSError, KeyError):
            # a user id without an account, as in some containers; Python 3.13 raises OSError, 3.11 KeyError
            user = str(os.getuid())
        return f"{user}@{socket.gethostname()}"


def open_workspace(store: str | Path | None = None) -> Workspace:
    """That of a store, by its URL or path; by ONNXLET_STORE or in the user's own data folder if none is named."""
    return Workspace(resolve_url(store or os.environ.get("ONNXLET_STORE")))


def resolve_url(store: str | Path | None) -> str:
    """A store's URL as the user wrote it, a plain path's, or that of the user's own data folder.

    Raises InvalidInputError for what is neither, though it begins as a URL does.
    """
    if isinstance(store, str) and store.startswith(tuple(f"{scheme}://" for scheme in _SCHEMES)):
        return store
    if store is not None and str(store).strip():
        _check_path(str(store))
        return Path(store).expanduser().absolute().as_uri()
    from platformdirs import user_data_path

    return (user_data_path("onnxlet") / "store").as_uri()


def _check_path(store: str) -> None:
    """Raises InvalidInputError for a URL that is none, with the one that may be meant."""
    match = _LIKE_URL.fullmatch(store)
    if match is None or Path(store).exists():
        return
    scheme = match["scheme"].lower()
    rest = match["rest"].lstrip("/\\")
    if scheme in _SCHEMES:
        meant = f"{scheme}:///{rest}" if scheme == "file" else f"{scheme}://{rest}"
        raise InvalidInputError(f"{store!r} is no store: write {meant!r}, or './{store}' for a directory", store=store)
    raise InvalidInputError(
        f"{store!r} is no store: use s3://bucket/prefix, file:///directory, memory://name or a path", store=store
    )


def _extend(error: OnnxletError, more: str) -> None:
    error.detail += more
    error.args = (error.detail,)


def _describe_aliases(alias: str, known: list[str]) -> str:
    """Which alias may be meant, or which ones there are."""
    if not known:
        return "; it has none yet"
    return did_you_mean(alias, known) or f"; it has {', '.join(map(repr, known))}"
