"""What commands and functions work on: the store that the caller names, opened when it is needed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxlet.registry.registry import Registry
    from onnxlet.serving.predictor import Predictor
    from onnxlet.settings import Settings
    from onnxlet.store import Store


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

    def make_predictor(self) -> Predictor:
        """A predictor over its models, in this process."""
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        from onnxlet.serving.predictor import Predictor

        return Predictor(self.open_store(), self.read_settings())

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
    """A store's URL as the user wrote it, a plain path's, or that of the user's own data folder."""
    if isinstance(store, str) and "://" in store:
        return store
    if store:
        return Path(store).expanduser().absolute().as_uri()
    from platformdirs import user_data_path

    return (user_data_path("onnxlet") / "store").as_uri()
