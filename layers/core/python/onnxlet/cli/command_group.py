"""The group of all commands: the package's errors become one line on stderr, with what to do next."""

from __future__ import annotations

import errno
import signal
import sys
from types import FrameType
from typing import IO, Any

import click

from onnxlet.cli.hints import find_hint
from onnxlet.errors import OnnxletError, UnavailableError
from onnxlet.lifecycle.workspace import Workspace
from onnxlet.values.plain_text import escape

SYSTEM_REFUSALS = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM))
"""What the system refuses for reasons that lie outside of the program: full disks, and what may not be written."""
INTERRUPTED = 128 + 2
"""The exit code of what SIGINT ended, as shells have it."""


class CommandError(click.ClickException):
    """One of the package's errors, on its way to the terminal."""

    exit_code = 1

    def __init__(self, error: OnnxletError, hint: str | None = None) -> None:
        super().__init__(error.detail)
        hint = hint or find_hint(error)
        self.hint = hint if hint and hint not in error.detail else None

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the error, and its hint on a line of its own; what it quotes moves no cursor."""
        message = "\n".join(map(escape, self.message.split("\n")))
        click.echo(f"error: {message}", file=file or sys.stderr)
        if self.hint:
            click.echo(f"  try: {self.hint}", file=file or sys.stderr)


class Interrupted(click.ClickException):
    """Ctrl-C, on its way to the terminal, with what was done until then."""

    exit_code = INTERRUPTED

    def __init__(self, done: str = "") -> None:
        super().__init__(f"interrupted: {done}" if done else "interrupted")

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it, in a terminal below the `^C` that is there."""
        file = file or sys.stderr
        click.echo(("\n" if file.isatty() else "") + self.message, file=file)


class CommandGroup(click.Group):
    """A group whose commands raise the package's errors. A closed pipe is click's to end quietly."""

    interrupted = False
    """Whether Ctrl-C was heard."""

    def watch_interrupts(self) -> None:
        """Remember Ctrl-C, which compiled modules that are being imported turn into an ImportError."""
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._interrupt)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.interrupted = True
        signal.default_int_handler(number, frame)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The commands in the order in which a model meets them."""
        return list(self.commands)

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401 - click's signature
    ) -> click.Context:
        """Read the words before the command's own. Raises Interrupted for Ctrl-C."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except KeyboardInterrupt as error:
            raise Interrupted from error

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Run the command.

        Raises CommandError for the package's own errors and for a full or forbidden disk, Interrupted for Ctrl-C.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Interrupted from error
        except ImportError as error:
            if self.interrupted:
                raise Interrupted from error
            raise
        except OnnxletError as error:
            if self.interrupted and isinstance(error.__cause__, ImportError):
                raise Interrupted from error
            if isinstance(ctx.obj, Workspace):
                ctx.obj.name_others(error)
            raise CommandError(error) from error
        except OSError as error:
            if error.errno not in SYSTEM_REFUSALS:
                raise
            where = f" at {str(error.filename)!r}" if error.filename else ""
            detail = f"the system refused{where}: {str(error.strerror).lower()}; nothing is left half written"
            raise CommandError(UnavailableError(detail)) from error
