"""The command that says what promoting asks of versions: require."""

from __future__ import annotations

import click

from onnxlet.cli.options import json_option
from onnxlet.cli.output import Output
from onnxlet.cli.workspace import pass_workspace
from onnxlet.lifecycle.workspace import Workspace


@click.command(short_help="Require accuracy contracts of what is promoted.")
@click.argument("what", type=click.Choice(("contracts",)))
@click.argument("wanted", type=click.Choice(("on", "off")), required=False)
@json_option
@pass_workspace
def require(workspace: Workspace, what: str, wanted: str | None, output: Output) -> None:
    """Require that every version has an accuracy contract before it is promoted, for all models of the store.

    Without `on` or `off` print which it is. A contract that does not hold is refused either way.

    \b
    Example:
      onnxlet require contracts on
    """
    from onnxlet.registry.reading.requirements import Requirements

    registry = workspace.open_registry()
    if wanted is not None:
        registry.require(Requirements(require_contract=wanted == "on"))
    requirements = registry.requirements
    output.show(requirements, f"{what} {'on' if requirements.require_contract else 'off'}")
