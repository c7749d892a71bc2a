"""Row 13: what it costs to read a body that is made to be hard to read, and how that grows with its bytes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from time import process_time

sys.path.append(str(Path(__file__).parents[1]))

from row import Row
from stage import Stage

from bodies import OPEN_INFERENCE, TENSORFLOW_SERVING, Form
from onnxlet.dataplane.protocols.open_inference.body import read_body as read_open_inference
from onnxlet.dataplane.protocols.tensorflow_serving.body import read_body as read_tensorflow_serving
from onnxlet.errors import InvalidInputError
from onnxlet.serving.model import Model
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import open_store
from onnxlet.values.refs import Ref

SIZES = (93_750, 187_500, 375_000, 750_000, 1_500_000, 3_000_000, 6_000_000)
"""Bytes of the bodies, each twice the one before."""
SHORTEST = 0.002
"""Seconds below which growth is the clock's own noise."""
ROUNDS = 3
PROTOCOLS: tuple[tuple[str, dict[str, Form], Callable[[bytes, Model], object]], ...] = (
    ("TensorFlow Serving", TENSORFLOW_SERVING, read_tensorflow_serving),
    ("Open Inference", OPEN_INFERENCE, read_open_inference),
)


def reading_rows(stage: Stage) -> list[Row]:
    """The longest reading of 6 MB of any form, and the most that twice the bytes cost, over models of all kinds."""
    predictor = Predictor(open_store(stage.store), Settings(cache_dir=str(stage.directory / "cache-reading")))
    models = [predictor.load(Ref(name)).model for name in ("diagnosis", "identity", "encoder", "pair", "text")]
    slowest, steepest = (0.0, ""), (0.0, "")
    for protocol, forms, read in PROTOCOLS:
        for name, form in forms.items():
            bodies = [form(size) for size in SIZES]
            for model in models:
                seconds = [_seconds(read, body, model) for body in bodies]
                label = f"{protocol}: {name} ({model.manifest.model})"
                slowest = max(slowest, (seconds[-1], label))
                steepest = max(steepest, (_growth(seconds), label))
    return [
        Row(13, "reading 6 MB of any form, CPU", slowest[0], 0.5, "s", parts={"the slowest": slowest[1]}),
        Row(13, "reading twice the bytes, most", steepest[0], 2.6, "ratio", parts={"the steepest": steepest[1]}),
    ]


def _growth(seconds: list[float]) -> float:
    """The most that a doubling cost."""
    return max(after / max(before, SHORTEST) for before, after in pairwise(seconds))


def _seconds(read: Callable[[bytes, Model], object], body: bytes, model: Model) -> float:
    """The processor's seconds for a reading, the best of a few."""
    best = float("inf")
    for _ in range(ROUNDS):
        started = process_time()
        with suppress(InvalidInputError):
            read(body, model)
        best = min(best, process_time() - started)
    return best
