"""Row 13: what it costs to read a body that is made to be hard to read, and how that grows with its bytes."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from time import process_time

sys.path.append(str(Path(__file__).parents[1]))

from row import Row
from stage import Stage

from bodies import OPEN_INFERENCE, TENSORFLOW_SERVING, Form
from onnxlet.dataplane.dispatch import DataPlane
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
ROUNDS = 4
"""How often the slowest and the steepest form are read, which may make others these."""
PROTOCOLS: tuple[tuple[str, dict[str, Form], Callable[[bytes, Model], object]], ...] = (
    ("TensorFlow Serving", TENSORFLOW_SERVING, read_tensorflow_serving),
    ("Open Inference", OPEN_INFERENCE, read_open_inference),
)


@dataclass
class _Reading:
    """One form of body for one model, and the processor's seconds for it at each of the sizes, the best of all."""

    label: str
    form: Form
    read: Callable[[bytes, Model], object]
    model: Model
    seconds: list[float] = field(default_factory=lambda: [float("inf")] * len(SIZES))
    rounds: int = 0

    def measure(self) -> None:
        self.rounds += 1
        for place, size in enumerate(SIZES):
            body = self.form(size)
            self.seconds[place] = min(self.seconds[place], _seconds(self.read, body, self.model))

    @property
    def growth(self) -> float:
        """The most that a doubling cost over the dearest shorter body, for some lengths are refused at a glance."""
        dearest = accumulate((max(self.seconds[0], SHORTEST), *self.seconds[1:-1]), max)
        return max(after / before for before, after in zip(dearest, self.seconds[1:], strict=True))


def reading_rows(stage: Stage) -> list[Row]:
    """The longest reading of 6 MB of any form, and the most that twice the bytes cost, over models of all kinds."""
    predictor = Predictor(open_store(stage.store), Settings(cache_dir=str(stage.directory / "cache-reading")))
    DataPlane(predictor)  # it sets the allocator up as serving does
    models = [predictor.load(Ref(name)).model for name in ("diagnosis", "identity", "encoder", "pair", "text")]
    readings = [
        _Reading(f"{protocol}: {name} ({model.manifest.model})", form, read, model)
        for protocol, forms, read in PROTOCOLS
        for name, form in forms.items()
        for model in models
    ]
    gc.freeze()  # what the bench has imported is none of a request's garbage
    for reading in readings:
        reading.measure()
    # whichever is told was read as often as it takes for a disturbed machine not to name it
    while (suspect := min(_worst(readings), key=lambda reading: reading.rounds)).rounds < ROUNDS:
        suspect.measure()
    slow, steep = _worst(readings)
    return [
        Row(13, "reading 6 MB of any form, CPU", slow.seconds[-1], 0.5, "s", parts={"the slowest": slow.label}),
        Row(13, "reading twice the bytes, most", steep.growth, 2.6, "ratio", parts={"the steepest": steep.label}),
    ]


def _worst(readings: Sequence[_Reading]) -> tuple[_Reading, _Reading]:
    """The slowest at the largest size, and the steepest."""
    return max(readings, key=lambda one: one.seconds[-1]), max(readings, key=lambda one: one.growth)


def _seconds(read: Callable[[bytes, Model], object], body: bytes, model: Model) -> float:
    """The processor's seconds for a reading."""
    started = process_time()
    with suppress(InvalidInputError):
        read(body, model)
    return process_time() - started
