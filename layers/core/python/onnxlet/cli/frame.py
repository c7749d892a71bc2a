"""The frame around all commands: the package's errors become one line on stderr, with what to do next."""

from __future__ import annotations

import errno
import sys
from typing import IO, Any

import click

from onnxlet import errors

HINTS: dict[type[errors.OnnxletError], str] = {
    errors.ModelNotFoundError: "`onnxlet list` shows the models of this store; --store or ONNXLET_STORE names another",
    errors.VersionNotFoundError: "`onnxlet list NAME` shows the versions",
    errors.AliasNotFoundError: "`onnxlet promote NAME:VERSION` makes the alias `production`, --to another",
    errors.ContractFailedError: "`onnxlet verify DIRECTORY` shows what was lost; --force --reason WHY goes around it",
    errors.ContractMissingError: "`onnxlet ship MODEL_FILE NAME --data FILE` judges the model and publishes it anew; "
    "--force --reason WHY goes around it",
    errors.StoreUnavailableError: "check --store or ONNXLET_STORE, the network and your AWS credentials",
    errors.TrustRequiredError: "repeat with --trust if you know who made the file",
    errors.MissingExtraError: "pip install 'onnxlet[sklearn]'",
}
"""What to type next, by kind of error."""
SURROUNDINGS = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM))
"""What the system refuses for reasons that lie outside of the program: full disks, and what may not be written."""


class Failure(click.ClickException):
    """One of the package's errors, on its way to the terminal."""

    exit_code = 1

    def __init__(self, error: errors.OnnxletError, hint: str | None = None) -> None:
        super().__init__(error.detail)
        hints = (HINTS[kind] for kind in type(error).__mro__ if kind in HINTS)
        self.hint = hint or next(hints, None)
        if "extra" in error.context:
            self.hint = f"pip install 'onnxlet[{error.context['extra']}]'"

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the error, and its hint on a line of its own."""
        click.echo(f"error: {self.message}", file=file or sys.stderr)
        if self.hint:
            click.echo(f"  try: {self.hint}", file=file or sys.stderr)


class Frame(click.Group):
    """A group whose commands raise the package's errors. Ctrl-C and a closed pipe are click's to end quietly."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The commands in the order in which a model meets them."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Run the command. Raises Failure for what the package raised on purpose, and for a full or forbidden disk."""
        try:
            return super().invoke(ctx)
        except errors.OnnxletError as error:
            raise Failure(error) from error
        except OSError as error:
            if error.errno not in SURROUNDINGS:
                raise
            where = f" at {str(error.filename)!r}" if error.filename else ""
            said = f"the system refused{where}: {str(error.strerror).lower()}; nothing is left half written"
            raise Failure(errors.UnavailableError(said)) from error
