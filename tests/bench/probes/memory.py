"""Peak memory of loading one model through the predictor, in bytes over the imported floor: `memory.py STORE REF`."""

import os
import sys
from pathlib import Path

from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import open_store
from onnxlet.values.refs import parse_ref


def peak() -> int:
    """The largest resident set of this program so far, in bytes; getrusage would count what forked it, too."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


store = open_store(sys.argv[1])
predictor = Predictor(store, Settings.from_environ(os.environ))
before = peak()
served = predictor.served(parse_ref(sys.argv[2]))
print(peak() - before)  # noqa: T201 - a probe prints what it measured
