"""The probe: a fresh process that loads a version as a cold start does and runs it.

`python -m onnxlet.toolchain.fit.probe FOLDER`: FOLDER holds `request.json`; the probe leaves `findings.json` there. A
model that crashes leaves none: the one who waits judges by that.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from time import perf_counter

SERVING = (
    "onnxlet.dataplane.dispatch",
    "onnxlet.dataplane.lambda_events",
    "onnxlet.serving.predictor",
    "onnxlet.store",
    "obstore.store",
)
"""What functions/predict/app.py imports, and what a store on S3 adds."""


def main(folder: Path) -> None:
    """Do what `request.json` asks for, and leave `findings.json`."""
    started = perf_counter()
    for module in SERVING:
        import_module(module)
    imports = perf_counter() - started
    from onnxlet.errors import OnnxletError
    from onnxlet.toolchain.fit import observing
    from onnxlet.toolchain.fit.probe_messages import RESULT, ProbeFailure, ProbeResult

    try:
        result = ProbeResult(measurements=observing.observe(folder, imports))
    except MemoryError:
        result = ProbeResult(
            failure=ProbeFailure("RejectedModelError", "the model wants more memory than this machine has")
        )
    except OnnxletError as error:
        result = ProbeResult(failure=ProbeFailure(type(error).__name__, error.detail))
    observing.write_result(folder / RESULT, result)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
