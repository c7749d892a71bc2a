"""Calibration: the ranges of a graph's activations on a sample of the data."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from onnxlet.toolchain.optimize.evaluation_rows import EvaluationRows
from onnxlet.toolchain.optimize.quantizer_output import contain_quantizer
from onnxlet.values.digests import parts_digest
from onnxlet.values.optimization import Calibration
from onnxlet.values.tensors import Tensors

FEWEST_ROWS = 32
"""Fewer rows say little about the ranges of activations."""
MOST_ROWS = 256
BATCH = 32
METHODS = ("min-max", "percentile", "entropy")
_CHOICES: dict[str, dict[str, Any]] = {
    "min-max": {},
    "percentile": {"symmetric": False, "percentile": 99.99},
    "entropy": {},
}


@dataclass
class Sample:
    """Rows to calibrate on, and the ranges measured so far."""

    inputs: Tensors
    rows: int
    _ranges: dict[tuple[str, tuple[str, ...]], Any] = field(default_factory=dict)

    def ranges(self, graph: Path, method: str, operators: Sequence[str]) -> Any:
        """The ranges of what these operators read and write. Raises RejectedModelError if they cannot be measured."""
        key = method, tuple(operators)
        if key not in self._ranges:
            self._ranges[key] = _measure_ranges(graph, method, operators, self._batches())
        return self._ranges[key]

    def record(self, method: str) -> Calibration:
        """The calibration to record; its digest is that of the rows' names, datatypes, shapes and bytes."""
        tensors = sorted(self.inputs.items())
        parts = (
            part
            for name, tensor in tensors
            for part in (
                f"{name} {tensor.dtype} {tensor.shape}\n".encode(),
                np.ascontiguousarray(tensor).tobytes(),
            )
        )
        return Calibration(method=method, rows=self.rows, digest=parts_digest(parts))

    def _batches(self) -> Iterator[Tensors]:
        for start in range(0, self.rows, BATCH):
            yield {name: tensor[start : start + BATCH] for name, tensor in self.inputs.items()}


def choose_sample(rows: EvaluationRows) -> Sample | str:
    """Choose evenly spread rows without NaN and infinities; or return why there are too few."""
    if rows.kind != "given":
        return "calibration needs --data: rows that were made up have ranges of their own"
    if any(tensor.dtype.kind == "O" for tensor in rows.inputs.values()):
        return "the graph reads texts, which quantizers cannot follow"
    finite = np.ones(rows.count, dtype=bool)
    for tensor in rows.inputs.values():
        if tensor.dtype.kind == "f":
            finite &= np.isfinite(tensor.reshape(rows.count, -1)).all(axis=1)
    usable = np.flatnonzero(finite)
    if len(usable) < FEWEST_ROWS:
        without = "" if finite.all() else " without NaN"
        return f"calibration needs at least {FEWEST_ROWS} rows{without}, {len(usable)} of the data's do not judge"
    chosen = usable[np.linspace(0, len(usable) - 1, min(MOST_ROWS, len(usable))).round().astype(int)]
    return Sample({name: tensor[chosen] for name, tensor in rows.inputs.items()}, len(chosen))


class _SingleBatchReader:
    """One batch, as onnxruntime reads calibration data."""

    def __init__(self, batch: Tensors) -> None:
        self._waiting: Tensors | None = batch

    def get_next(self) -> Tensors | None:
        batch, self._waiting = self._waiting, None
        return batch


def _measure_ranges(graph: Path, method: str, operators: Sequence[str], batches: Iterator[Tensors]) -> Any:
    from onnxruntime.quantization import CalibrationMethod, create_calibrator

    kind = {"min-max": "MinMax", "percentile": "Percentile", "entropy": "Entropy"}[method]
    with tempfile.TemporaryDirectory(prefix="onnxlet-") as folder, contain_quantizer():
        calibrator = create_calibrator(
            graph,
            list(operators),
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=CalibrationMethod[kind],
            extra_options=_CHOICES[method],
        )
        for batch in batches:
            calibrator.collect_data(_SingleBatchReader(batch))
        return calibrator.compute_data()
