"""Warm calls of the handler beside the bare session: `warm.py HANDLER_DIR MODEL.onnx EVENT.marshal`; prints seconds.

What the handler leaves to its extension is done between calls, as Lambda lets it be done: a call appends alone.
They run in one process, in turn, on the same rows, and so does the least that a handler can be: it reads the numbers
through orjson, checks nothing, and writes what the graph gives. The session has the handler's threads and options.
"""

from __future__ import annotations

import json
import marshal
import os
import sys
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

directory, graph, event_file = sys.argv[1:]
sys.path[:0] = [directory, str(Path(__file__).parents[1])]

import numpy as np
import onnxruntime as ort
import orjson
from row import ROUNDS, quantiles

app = __import__("app")  # functions/predict/app.py
vars(app)["answered"] = bool  # nothing: no extension waits for the handler's end here
handler = app.handler
lines = open(os.devnull, "w")  # noqa: SIM115, PTH123 - as long as the process


def work_as_extension() -> None:
    """Do what is due, and write the metrics where nobody reads them."""
    with redirect_stdout(lines):
        app.telemetry.flush_if_due()


class Context:
    """What Lambda says of an invocation."""

    aws_request_id = "8f507cfc-0000-4697-b07a-ac58fc914c95"


event = marshal.loads(Path(event_file).read_bytes())  # noqa: S302 - written by ourselves
answer = handler(event, Context)
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
    "handler": partial(handler, event, Context),
    "bare": partial(bare, event),
    "run": partial(session.run, names, {feed: rows}),
}
best = dict.fromkeys(contenders, (float("inf"), float("inf")))
for _ in range(ROUNDS):
    for name, call in contenders.items():
        best[name] = min(best[name], quantiles(call, calls, work_as_extension if call.func is handler else bool))
print(json.dumps(best))  # noqa: T201 - a probe prints what it measured
