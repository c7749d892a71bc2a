"""One publish as a command does it: the version is shown as soon as it exists, and how far it got if it ends early."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from onnxlet.cli.command_group import Interrupted
from onnxlet.cli.output import Output
from onnxlet.errors import AliasNotFoundError, ModelNotFoundError, OnnxletError, VersionNotFoundError

if TYPE_CHECKING:
    from onnxlet.registry.registry import Registry
    from onnxlet.values.aliases import Alias
    from onnxlet.values.manifest import Draft, Manifest


class PublishAttempt:
    """The next version of `model`, from nothing to a version that `production` may route to."""

    def __init__(self, registry: Registry, model: str, output: Output) -> None:
        self.manifest: Manifest | None = None
        self.alias: Alias | None = None
        self._registry = registry
        self._model = model
        self._output = output
        self._version = 0
        self._promoting = False
        self._unknown = False

    @contextmanager
    def reporting(self, document: Callable[[], object]) -> Iterator[None]:
        """Show the document once a version exists, however the block ends.

        Raises Interrupted for Ctrl-C, and what the block raises, with what was done before.
        """
        try:
            yield
        except KeyboardInterrupt as error:
            raise Interrupted(self.describe()) from error
        except OnnxletError as error:
            if self.manifest is None and not self._unknown:
                raise
            raise type(error)(f"{self.describe()}: {error.detail}", **error.context) from error
        except BrokenPipeError:
            self._output.say(f"nobody reads the output: {self.describe()}")
            raise
        finally:
            if self.manifest is not None:
                self._output.show(document(), "")

    def publish(self, draft: Draft, files: Mapping[str, Path]) -> Manifest:
        """Publish, and print NAME:VERSION. Raises as the registry does."""
        try:
            with self._output.progress("publishing", "B") as advance:
                self.manifest = self._registry.publish(
                    self._model, draft, files, on_progress=advance, on_claim=self._note_claim
                )
        except (OnnxletError, KeyboardInterrupt):
            self._check_manifest()
            raise
        finally:
            if self.manifest is not None:
                self._output.announce(self._ref, "published")
        return self.manifest

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
            if self._unknown:
                return f"whether {self._ref} was published is not known, `onnxlet list {self._model}` tells"
            return "nothing was published"
        if self.alias is not None:
            return f"{self._ref} was published and promoted"
        if self._unknown:
            return (
                f"{self._ref} was published; whether it was promoted is not known, `onnxlet list {self._model}` tells"
            )
        return f"{self._ref} was published, not promoted" if self._promoting else f"{self._ref} was published"

    @property
    def _ref(self) -> str:
        return f"{self._model}:{self._version}"

    def _note_claim(self, version: int) -> None:
        self._version = version

    def _check_manifest(self) -> None:
        """A write whose answer was lost, or not waited for, may have been made."""
        if not self._version:
            return
        self._unknown = True
        try:
            self.manifest = self._registry.manifest(self._model, self._version)
        except (ModelNotFoundError, VersionNotFoundError):
            self.manifest = None
        except OnnxletError:
            return
        self._unknown = False

    def _check_alias(self) -> None:
        self._unknown = True
        try:
            alias, _ = self._registry.alias(self._model)
        except AliasNotFoundError:
            self._unknown = False
        except OnnxletError:
            return
        else:
            self._unknown = False
            if any(route.version == self._version for route in alias.routes):
                self.alias = alias
