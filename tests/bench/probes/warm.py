"""Warm calls of the handler beside the bare session: `warm.py HANDLER_DIR MODEL.onnx EVENT.marshal`; prints seconds.

They run in one process, in turn, on the same rows, and so does the least that a handler can be: it reads the numbers
through orjson, checks nothing, and writes what the graph gives. The session has the handler's threads and options.
"""

from __future__ import annotations

import json
import marshal
import sys
from functools import partial
from pathlib import Path
from typing import Any

directory, graph, event_file = sys.argv[1:]
sys.path[:0] = [directory, str(Path(__file__).parents[1])]

import numpy as np
import onnxruntime as ort
import orjson
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
feed = session.get_inputs()[0].name


def bare(event: dict[str, Any]) -> dict[str, object]:
    """Answer without a look at what comes."""
    rows = np.asarray(orjson.loads(event["body"])["instances"], np.float32)
    outputs = dict(zip(names, session.run(names, {feed: rows}), strict=True))
    body = orjson.dumps({"outputs": outputs}, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": body}


calls = 4000 if len(rows) == 1 else 600
contenders = {
    "handler": partial(handler, event, None),
    "bare": partial(bare, event),
    "run": partial(session.run, names, {feed: rows}),
}
best = dict.fromkeys(contenders, (float("inf"), float("inf")))
for _ in range(ROUNDS):
    for name, call in contenders.items():
        best[name] = min(best[name], quantiles(call, calls))
print(json.dumps(best))  # noqa: T201 - a probe prints what it measured
