"""`python -m fidelity ENVIRONMENT` measures an environment's cases; `python -m fidelity write` makes docs/fidelity.md.

`make fidelity` does all of it. Both exit 0 when they ran, whatever the rows say.
"""

from __future__ import annotations

import os
import sys

os.environ |= {
    "ORT_DISABLE_TELEMETRY": "1",
    # one thread for everybody, as on a small function
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
}

from fidelity.document import write
from fidelity.environments import ENVIRONMENTS, measure

if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write"]:
            write()
        case [name, *only] if name in ENVIRONMENTS:
            measure(name, only)
        case _:
            sys.exit(f"python -m fidelity write, or one of {', '.join(ENVIRONMENTS)}")
