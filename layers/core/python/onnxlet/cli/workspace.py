"""The store that `--store` names, handed to the commands that ask for it."""

from __future__ import annotations

import click

from onnxlet.lifecycle.workspace import Workspace

pass_workspace = click.make_pass_decorator(Workspace)
