"""One publish: the next version of a model, and how far it got if it ends early."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from onnxlet.errors import AliasNotFoundError, ModelNotFoundError, OnnxletError, VersionNotFoundError
from onnxlet.lifecycle.progress import byte_bar

if TYPE_CHECKING:
    from onnxlet.registry.registry import Registry
    from onnxlet.values.aliases import Alias
    from onnxlet.values.manifest import Draft, Manifest


class Attempt:
    """The next version of `model`, from nothing to a version that `production` may route to.

    `manifest` and `alias` are there once the version is published and promoted; `unknown`: nobody can tell whether.
    """

    def __init__(self, registry: Registry, model: str) -> None:
        self.manifest: Manifest | None = None
        self.alias: Alias | None = None
        self.unknown = False
        self._registry = registry
        self._model = model
        self._version = 0
        self._promoting = False

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Let errors and Ctrl-C say what was done before. Raises what the block raises."""
        try:
            yield
        except KeyboardInterrupt as error:
            error.add_note(self.describe())
            raise
        except OnnxletError as error:
            if self.manifest is None and not self.unknown:
                raise
            raise type(error)(f"{self.describe()}: {error.detail}", **error.context) from error

    def publish(self, draft: Draft, files: Mapping[str, Path]) -> Manifest:
        """Publish the version. Raises as the registry does."""
        self.warn(draft.notes)
        try:
            with self.bar() as advance:
                self.manifest = self._registry.publish(
                    self._model, draft, files, on_progress=advance, on_claim=self._note_claim
                )
        except (OnnxletError, KeyboardInterrupt):
            self._check_manifest()
            raise
        finally:
            if self.manifest is not None:
                self.announce()
        return self.manifest

    def warn(self, notes: Sequence[str]) -> None:
        """Is told what to mind of the version before it is published."""

    def bar(self) -> AbstractContextManager[Callable[[int, int], None]]:
        """What shows how many bytes are uploaded."""
        return byte_bar("publishing")

    def announce(self) -> None:
        """Is called as soon as the version exists."""

    def promote(self, *, why: str, force: bool) -> Alias:
        """Route the alias `production` to the version. Raises as the registry does."""
        self._promoting = True
        try:
            self.alias = self._registry.promote(self._model, self._version, why=why, force=force)
        except (OnnxletError, KeyboardInterrupt):
            self._check_alias()
            raise
        return self.alias

    def describe(self) -> str:
        """How far it got."""
        if self.manifest is None:
            if self.unknown:
                return f"whether {self.ref} was published is not known, `onnxlet list {self._model}` tells"
            return "nothing was published"
        if self.alias is not None:
            return f"{self.ref} was published and promoted"
        if self.unknown:
            return f"{self.ref} was published; whether it was promoted is not known, `onnxlet list {self._model}` tells"
        return f"{self.ref} was published, not promoted" if self._promoting else f"{self.ref} was published"

    @property
    def ref(self) -> str:
        """NAME:VERSION; the version is 0 before it has a number."""
        return f"{self._model}:{self._version}"

    def _note_claim(self, version: int) -> None:
        self._version = version

    def _check_manifest(self) -> None:
        """A write whose answer was lost, or not waited for, may have been made."""
        if not self._version:
            return
        self.unknown = True
        try:
            self.manifest = self._registry.manifest(self._model, self._version)
        except (ModelNotFoundError, VersionNotFoundError):
            self.manifest = None
        except OnnxletError:
            return
        self.unknown = False

    def _check_alias(self) -> None:
        self.unknown = True
        try:
            alias, _ = self._registry.alias(self._model)
        except AliasNotFoundError:
            self.unknown = False
        except OnnxletError:
            return
        else:
            self.unknown = False
            if any(route.version == self._version for route in alias.routes):
                self.alias = alias
