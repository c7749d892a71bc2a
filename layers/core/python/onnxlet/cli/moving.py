"""Commands that move aliases, and the history of the moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from onnxlet.cli.contracts import force_option
from onnxlet.cli.options import alias_option, json_option, model_argument, version_argument, why_option
from onnxlet.cli.output import Output
from onnxlet.cli.workspace import pass_workspace
from onnxlet.lifecycle.summaries import describe_history, format_move, gate_warning
from onnxlet.lifecycle.workspace import Workspace

if TYPE_CHECKING:
    from onnxlet.values.aliases import Alias
    from onnxlet.values.refs import Ref


@click.command()
@version_argument
@alias_option("--to", "The alias to move.")
@force_option
@why_option
@json_option
@pass_workspace
def promote(workspace: Workspace, /, *, ref: Ref, alias: str, force: bool, why: str, output: Output) -> None:
    """Route an alias to a version.

    Running functions and servers follow within their alias TTL, without a deploy. A version whose accuracy contract
    does not hold is refused, as is one without a contract if the registry requires that, and any where the alias's
    history is broken; --force with a --reason overrides all of them, and the history says so. A version whose files are
    damaged is refused in any case. Where the alias routes to the version already nothing is written, and "changed" is
    false in the JSON.

    \b
    Example:
      onnxlet promote diagnosis:7
      onnxlet promote diagnosis:8 --to candidate --why "recall on the June cohort"
    """
    assert ref.version is not None  # noqa: S101 - the argument's type refuses others
    from msgspec import to_builtins

    from onnxlet.lifecycle.releasing import promote_version

    registry = workspace.open_registry()
    move = promote_version(registry, ref.model, ref.version, alias=alias, why=why, force=force)
    if move.changed:
        warn_of_gate(move.alias, output)
    output.show({**to_builtins(move.alias), "changed": move.changed}, str(move))


def warn_of_gate(alias: Alias, output: Output) -> None:
    """Say what the gates did not vouch for."""
    warning = gate_warning(alias)
    if warning:
        output.say(f"warning: {warning}")


@click.command()
@model_argument
@alias_option("--alias", "The alias to move.")
@click.option("--force", is_flag=True, help="Even if the alias's history is broken; needs --reason.")
@why_option
@json_option
@pass_workspace
def rollback(workspace: Workspace, /, *, name: str, alias: str, force: bool, why: str, output: Output) -> None:
    """Route an alias to where it was before.

    Repeated, it walks further back; it never returns to a version that was rolled back from.

    \b
    Example:
      onnxlet rollback diagnosis --why "recall fell"
    """
    moved = workspace.open_registry().rollback(name, alias=alias, why=why, force=force)
    warn_of_gate(moved, output)
    output.show(moved, format_move(moved))


@click.command(short_help="Show who moved an alias, when and why.")
@model_argument
@alias_option("--alias", "The alias whose moves to show.")
@click.option(
    "--verify",
    is_flag=True,
    help="Prove that no entry was changed since the next was written, none added or left out; else exit with 1.",
)
@json_option
@pass_workspace
def history(workspace: Workspace, name: str, alias: str, verify: bool, output: Output) -> None:
    """Show who moved an alias, when, from where to where, and why.

    \b
    Example:
      onnxlet history diagnosis --verify
    """
    registry = workspace.open_registry()
    entries = registry.history(name, alias)
    output.show(entries, describe_history(entries).text())
    if verify:
        output.say(f"verified: the chain of {registry.verify_history(name, alias)} entries holds")
