"""Commands as one would type them, run in this process, for the demo."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import click


class CommandRunner:
    """Runs commands on one store: each is shown as one would type it, and gives its JSON."""

    def __init__(self, store: str) -> None:
        self.store = store

    def run(self, *words: str) -> Any:  # noqa: ANN401 - any JSON
        """Run a command. Raises what it raises."""
        from onnxlet.cli.root import cli

        click.echo("$ onnxlet " + " ".join(f'"{word}"' if " " in word else word for word in words))
        data, talk = io.StringIO(), io.StringIO()
        with redirect_stdout(data), redirect_stderr(talk):
            cli(["--store", self.store, *words, "--json"], standalone_mode=False)
        return json.loads(data.getvalue())
