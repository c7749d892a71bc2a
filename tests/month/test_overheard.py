"""That the month hears what is not said on standard output."""

from __future__ import annotations

import logging
import subprocess
from pathlib import Path

from month.overheard import heard_in, overheard


def test_standard_error_and_logs_of_every_level_are_heard(tmp_path: Path) -> None:
    with overheard(tmp_path):
        subprocess.run("echo a name >&2", shell=True, check=True)
        logging.getLogger("onnxlet.anything").debug("another")
    logging.getLogger("onnxlet.anything").error("later")
    assert heard_in(tmp_path) == [("standard error", b"a name\n"), ("logs", b"another\n")]
