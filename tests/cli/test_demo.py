"""The demo, run as `make demo` runs it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from command_line import ONNXLET

pytest.importorskip("sklearn")
pytestmark = pytest.mark.toolchain


@pytest.mark.slow
def test_the_demo_tells_its_story_in_less_than_a_screenful(tmp_path: Path) -> None:
    done = subprocess.run(
        [*ONNXLET, "demo"], cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, check=False, timeout=200
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) < 60
    for part in ("int8", "probability", "cold", "warm", "set aside", "rollback", "accuracy fell"):
        assert part in done.stdout
    assert "Traceback" not in (tmp_path / ".demo" / "server.log").read_text()
