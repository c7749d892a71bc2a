"""ONNX Runtime on rows in memory: MODEL ROWS.npy; prints the seconds that its runs take, the best of three."""

from __future__ import annotations

import sys
from time import perf_counter

import numpy as np
import onnxruntime

ROWS = 1024
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
session = onnxruntime.InferenceSession(sys.argv[1], options)
rows = np.load(sys.argv[2])
name = session.get_inputs()[0].name
best = float("inf")
for _ in range(3):
    started = perf_counter()
    for first in range(0, len(rows), ROWS):
        session.run(None, {name: rows[first : first + ROWS]})
    best = min(best, perf_counter() - started)
print(best)  # noqa: T201 - what it is for
