"""A large file opened, scanned and planned as the state machine has it done, one stretch after the other, and not
scored: STORE CACHE REF KEY TOLD, where TOLD becomes a JSON of what it took.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from msgspec import to_builtins

from onnxlet.batch.large.steps import Steps
from onnxlet.jobs.orders import order_landed
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import open_store

url, cache, ref, key, told = sys.argv[1:]
store, settings = open_store(url), Settings(store=url, cache_dir=cache, threads=1)
steps = Steps(store, Predictor(store, settings), settings)
context = SimpleNamespace(get_remaining_time_in_millis=lambda: 900_000)
opened = steps.take({"step": "open", "order": to_builtins(order_landed(key, ref))}, context)
stretches = json.loads(store.get(opened["items"]["key"]).data)
clocks = []
for name, events in (("scanning", stretches), ("planning", [{**opened, "step": "plan"}])):
    started = time.perf_counter()
    for event in events:
        answer = steps.take(event, context)
    clocks.append((f"{name} s", time.perf_counter() - started))
sections = json.loads(store.get(answer["items"]["key"]).data)
Path(told).write_text(json.dumps(dict(clocks) | {"stretches": str(len(stretches)), "sections": str(len(sections))}))
