"""Running a client in an environment of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def run_client(client: str, command: list[str | Path]) -> str:
    """What a command prints in the environment of `client`, which `make test-client-NAME` makes."""
    folder = REPOSITORY / f".venv-{client}" / "bin"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    program, *arguments = map(str, command)
    done = subprocess.run(
        [str(folder / program), *arguments], env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
