"""The command that says what promoting asks of versions: require."""

from __future__ import annotations

import click

from onnxlet.cli.options import json_option
from onnxlet.cli.output import Output
from onnxlet.cli.workspace import pass_workspace
from onnxlet.lifecycle.workspace import Workspace

SETTINGS = {"contracts": ("on", "off"), "reference": ("object", "expected", "off")}
"""What can be required, and how."""


@click.command(short_help="Require accuracy contracts, and whose answers count, of what is promoted.")
@click.argument("what", type=click.Choice(tuple(SETTINGS)))
@click.argument("wanted", required=False, metavar="[on|object|expected|off]")
@json_option
@pass_workspace
def require(workspace: Workspace, what: str, wanted: str | None, output: Output) -> None:
    """Require an accuracy contract of every version before it is promoted, for all models of the store.

    `reference object` requires that it is held to the model's own answers, `reference expected` at least to those that
    the user computed where it was trained. Without a value print which it is. A contract that does not hold is refused
    either way.

    \b
    Example:
      onnxlet require contracts on
      onnxlet require reference object
    """
    if wanted is not None and wanted not in SETTINGS[what]:
        raise click.UsageError(f"{what} can be {', '.join(SETTINGS[what])}, not {wanted!r}")
    import msgspec

    registry = workspace.open_registry()
    if wanted is not None:
        changed = {"require_contract": wanted == "on"} if what == "contracts" else {"require_reference": wanted}
        registry.require(msgspec.structs.replace(registry.requirements, **changed))
    requirements = registry.requirements
    contracts = "on" if requirements.require_contract else "off"
    output.show(requirements, f"{what} {contracts if what == 'contracts' else requirements.require_reference}")
