"""Measures of what has no columns: pictures and texts, of which some rows are measured as the steps read them."""

from __future__ import annotations

import numpy as np

from onnxlet.steps import Steps
from onnxlet.steps.base import Preprocessor
from onnxlet.telemetry import log
from onnxlet.values.tensors import Tensors

MOST_MEASURED = 16
"""Rows that are measured whenever live rows are counted: a picture takes milliseconds."""


def plan_measures(steps: Steps) -> list[Preprocessor]:
    """What measures what a version is sent; a step that cannot measure here is left out, which is logged."""
    found = []
    for step in steps.each:
        try:
            measure = step.measure(steps.read)
        except Exception as error:  # noqa: BLE001 - a library that is missing or a broken file harms no counting
            log(__name__).warning("what is sent is not measured: %s", type(error).__name__)
            continue
        if measure is not None:
            found.append(measure)
    return found


def measure_rows(measures: list[Preprocessor], inputs: Tensors, most: int = MOST_MEASURED) -> Tensors:
    """Numbers [n] by name, of the first rows, or of rows spread over all where there are more."""
    rows = len(next(iter(inputs.values()), ()))
    places = np.linspace(0, rows - 1, min(most, rows)).astype(np.intp)
    some = {name: tensor[places] for name, tensor in inputs.items() if tensor.ndim and len(tensor) == rows}
    return {name: numbers for measure in measures for name, numbers in measure(some).items()} if rows else {}
