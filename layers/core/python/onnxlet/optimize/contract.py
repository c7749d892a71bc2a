"""The accuracy contract: how far a quantized graph may be from the graph it was made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onnxlet.convert.evaluation import LABEL, PROBABILITIES
from onnxlet.tensors import Tensors
from onnxlet.verify import Comparison

LOWEST_AGREEMENT = 0.995
"""Share of the labels that stay, one of them aside."""
LARGEST_DROP = 0.005
"""Of a metric, relative; one row aside where it counts rows."""
LARGEST_DISTANCE = 0.05
"""Between two probabilities; of other outputs relative to their spread."""
_LESS_IS_BETTER = ("rmse", "mae")
_COUNTED = ("accuracy", "f1")


@dataclass(frozen=True)
class Quality:
    """A quantized graph beside the one it was made of, on the same rows."""

    batch: Comparison
    alone: Comparison
    before: dict[str, float]
    after: dict[str, float]

    def metrics(self) -> dict[str, float]:
        """The figures to record."""
        return {
            **self.after,
            **self.batch.metrics(),
            "largest_distance_alone": self.alone.largest_distance,
        }

    def breach(self, expected: Tensors) -> str:
        """In what the contract does not hold; empty if it does."""
        rows = self.batch.rows
        agreement = min(c.label_agreement if c.label_agreement is not None else 1.0 for c in (self.batch, self.alone))
        if (1 - agreement) * rows > max(1.0, (1 - LOWEST_AGREEMENT) * rows) + 1e-9:
            return f"only {agreement:.1%} of {rows} labels stay the same"
        for name, before in self.before.items():
            drop = _drop(name, before, self.after[name])
            if drop > max(LARGEST_DROP, 1.5 / rows if name in _COUNTED else 0.0):
                return f"{name} goes from {before:.4g} to {self.after[name]:.4g} on {rows} rows"
        distance = max(self.batch.largest_distance, self.alone.largest_distance)
        if distance > LARGEST_DISTANCE * spread(expected):
            return f"answers move by up to {distance:.3g}"
        return ""


def spread(expected: Tensors) -> float:
    """The scale on which distances count: 1 for probabilities, else the standard deviation of the floats."""
    if PROBABILITIES in expected or LABEL in expected:
        return 1.0
    floats = [tensor.ravel() for tensor in expected.values() if tensor.dtype.kind == "f"]
    return float(np.std(np.concatenate(floats))) if floats else 1.0


def _drop(name: str, before: float, after: float) -> float:
    worse = after - before if name in _LESS_IS_BETTER else before - after
    return worse / max(abs(before), 1e-9)
