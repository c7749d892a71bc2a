"""Choose the versions of a layer's wheels anew: requirements.in in, requirements.txt for each architecture out.

    python layers/pin.py layers/engine layers/web

A requirements.in lists what our code imports. Its dependencies are added, except those on `# without:` lines, which
the layer's makefile tries to live without. Every pin carries the digests of the wheels that it was chosen from.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from packager import MACHINES, find_python, pip_platform

WITHOUT = "# without:"


def resolve(wanted: Path, architecture: str) -> dict[str, tuple[str, str]]:
    """Each distribution's version and digest, as pip chooses them for Lambda."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.json"
        command = [find_python(), "-m", "pip", "install", "-qq", "--dry-run", "--ignore-installed"]
        command += [f"--report={report}", f"--target={directory}", *pip_platform(architecture)]
        subprocess.run([*command, f"--requirement={wanted}"], check=True)
        chosen = json.loads(report.read_text())["install"]
    return {
        item["metadata"]["name"].lower().replace("_", "-"): (
            item["metadata"]["version"],
            item["download_info"]["archive_info"]["hashes"]["sha256"],
        )
        for item in chosen
    }


def pin(layer: Path) -> None:
    """Write requirements.txt of both architectures."""
    wanted = layer / "requirements.in"
    lines = wanted.read_text().splitlines()
    without = {name for line in lines if line.startswith(WITHOUT) for name in line.removeprefix(WITHOUT).split()}
    for architecture in MACHINES:
        chosen = resolve(wanted, architecture)
        pins = [
            f"{name}=={version} \\\n    --hash=sha256:{digest}\n"
            for name, (version, digest) in sorted(chosen.items())
            if name not in without
        ]
        (layer / architecture).mkdir(exist_ok=True)
        (layer / architecture / "requirements.txt").write_text("# Written by layers/pin.py.\n" + "".join(pins))


if __name__ == "__main__":
    for path in sys.argv[1:]:
        pin(Path(path))
