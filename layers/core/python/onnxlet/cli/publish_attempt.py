"""One publish as a command does it: the version is shown as soon as it exists, and how far it got if it ends early."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from onnxlet.cli.command_group import Interrupted
from onnxlet.cli.output import Output, Progress
from onnxlet.lifecycle.attempt import Attempt

if TYPE_CHECKING:
    from onnxlet.registry.registry import Registry


class PublishAttempt(Attempt):
    """The next version of `model`, told by a command's output."""

    def __init__(self, registry: Registry, model: str, output: Output) -> None:
        super().__init__(registry, model)
        self._output = output

    @contextmanager
    def reporting(self, document: Callable[[], object]) -> Iterator[None]:
        """Show the document once a version exists, however the block ends.

        Raises Interrupted for Ctrl-C, and what the block raises, with what was done before.
        """
        try:
            with self.explaining():
                yield
        except KeyboardInterrupt as error:
            raise Interrupted(self.describe()) from error
        except BrokenPipeError:
            self._output.say(f"nobody reads the output: {self.describe()}")
            raise
        finally:
            if self.manifest is not None:
                self._output.show(document(), "")

    def warn(self, notes: Sequence[str]) -> None:
        """Say what to mind of the version."""
        for note in notes:
            self._output.say(f"warning: {note}")

    def bar(self) -> AbstractContextManager[Progress]:
        """The command's bar."""
        return self._output.progress("publishing", "B")

    def announce(self) -> None:
        """Print NAME:VERSION."""
        self._output.announce(self.ref, "published")
