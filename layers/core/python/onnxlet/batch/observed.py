"""What a file's rows were given and got, appended to the telemetry as requests do it, and folded at once: chunks are
large, and what holds on to one holds a good part of the file.
"""

from __future__ import annotations

from time import perf_counter, time
from typing import TYPE_CHECKING

import msgspec

from onnxlet.telemetry.recording import Observation, Prediction

if TYPE_CHECKING:
    from onnxlet.batch.book import Scorer
    from onnxlet.serving.model import Model
    from onnxlet.telemetry.recording import Telemetry
    from onnxlet.values.tensors import Tensors

_OK = 200


class ScoringVersion(msgspec.Struct, frozen=True):
    """The version that scores a file, as telemetry wants to know it."""

    model: Model
    version: int
    alias: str | None
    fallback: bool
    stale: bool = False


class ObservedModel:
    """A model whose runs are observed; `threads` are the model's own."""

    def __init__(self, model: Model, scorer: Scorer, telemetry: Telemetry) -> None:
        self.threads = model.threads
        self._model = model
        self._name = scorer.model
        self._version = ScoringVersion(model, scorer.version, scorer.alias, scorer.fallback)
        self._telemetry = telemetry

    def predict(self, inputs: Tensors, signature: str) -> Tensors:
        """What the model gives. Raises as `Model.predict` does."""
        began = perf_counter()
        outputs = self._model.predict(inputs, signature)
        run = perf_counter() - began
        prediction = Prediction(signature, inputs, outputs, run)
        if self._model.withhold is not None:
            prediction = self._model.withhold(prediction)
        self._telemetry.observe(
            Observation(time(), "", "", self._name, self._version, prediction, _OK, None, 0, 0, run, requests=0)
        )
        self._telemetry.fold()
        return outputs
