"""Warm calls of the handler beside the bare session: `warm.py HANDLER_DIR MODEL.onnx EVENT.marshal`; prints seconds.

Both run in one process, in turn, on the same rows; the session has the threads and options that the handler's has.
"""

from __future__ import annotations

import json
import marshal
import sys
from functools import partial
from pathlib import Path

directory, graph, event_file = sys.argv[1:]
sys.path[:0] = [directory, str(Path(__file__).parents[1])]

import numpy as np
import onnxruntime as ort
from row import ROUNDS, quantiles

handler = __import__("app").handler  # functions/predict/app.py
event = marshal.loads(Path(event_file).read_bytes())  # noqa: S302 - written by ourselves
answer = handler(event, None)
if answer["statusCode"] != 200:
    sys.exit(f"the handler answered {answer}")
rows = np.asarray(json.loads(event["body"])["instances"], np.float32)
options = ort.SessionOptions()
options.intra_op_num_threads = 1
options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
names = [output.name for output in session.get_outputs()]
calls = 4000 if len(rows) == 1 else 600
best = {"handler": (float("inf"), float("inf")), "run": (float("inf"), float("inf"))}
for _ in range(ROUNDS):
    for name, call in (
        ("handler", partial(handler, event, None)),
        ("run", partial(session.run, names, {session.get_inputs()[0].name: rows})),
    ):
        best[name] = min(best[name], quantiles(call, calls))
print(json.dumps(best))  # noqa: T201 - a probe prints what it measured
