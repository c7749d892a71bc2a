"""What tests of the laptop twin share: what it said, and another project's template around the real functions."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from onnxlet.local.twin.cloud import Cloud

ROOT = Path(__file__).parents[1]

Start = Callable[..., Cloud]
"""Starts the twin of a template with values of its parameters."""


def wait_for(condition: Callable[[], Any], seconds: float = 200) -> Any:  # noqa: ANN401 - what the condition gives
    give_up = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < give_up
        time.sleep(0.05)
    return found


class Said(list[str]):
    """What the twin said."""

    def wait_for(self, words: str) -> str:
        """The first line with these words."""
        line: str = wait_for(lambda: next((line for line in self if words in line), None))
        return line


_FAULTY = """
import os, runpy, time
_handler = runpy.run_path({real!r})["handler"]
def handler(event, context):
    if "step" in event:
        {fault}
    else:
        {delay}
    return _handler(event, context)
"""


def clone(folder: Path, *, fault: str = "pass", delay: str = "pass", timeout: int = 300) -> Path:
    """The project's template beside stacks and functions; what Score does before it answers, and its timeout.

    That is a `fault` of its sections, and a `delay` of files that landed.
    """
    (folder / "functions" / "score").mkdir(parents=True)
    for name in ("plan", "finish", "predict", "api", "watch"):
        (folder / "functions" / name).symlink_to(ROOT / "functions" / name)
    (folder / "infra").symlink_to(ROOT / "infra")
    real = str(ROOT / "functions" / "score" / "app.py")
    (folder / "functions" / "score" / "app.py").write_text(_FAULTY.format(real=real, fault=fault, delay=delay))
    template = folder / "template.yaml"
    template.write_text((ROOT / "template.yaml").read_text().replace("Timeout: 300\n", f"Timeout: {timeout}\n"))
    return template
