"""Progress is for those who watch: a terminal shows stages and bars and clears them, a log has none of it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
import time

PROGRAM = """
import time
from onnxlet.lifecycle import progress
progress.PATIENCE = 0
with progress.showing_stages("converting") as begin:
    time.sleep(0.2)
    begin("optimizing")
    with progress.byte_bar("publishing") as advance:
        for done in range(0, 3001, 1000):
            advance(done, 3000)
            time.sleep(0.2)
print("done")
"""


def watch(terminal: int) -> str:
    """All that a terminal was sent, until nobody writes to it any more."""
    seen = b""
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # EIO: the last writer closed it
            break
        if not part:
            break
        seen += part
    return seen.decode()


def test_a_terminal_shows_stages_and_bars_and_is_left_clean() -> None:
    terminal, side = pty.openpty()
    termios.tcsetwinsize(side, (24, 100))
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stderr=side, stdout=subprocess.PIPE, text=True) as process:
        os.close(side)
        seen = watch(terminal)
        assert process.stdout is not None
        assert process.stdout.read() == "done\n"
    os.close(terminal)
    for part in ("converting …", "optimizing …", "publishing:", "3.00k/3.00k"):
        assert part in seen
    assert not seen.split("\r")[-1].strip(), "what is shown last is cleared"


def test_a_log_gets_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("done\n", "")
