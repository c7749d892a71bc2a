"""What evidently says of the same rows, by its defaults. It needs a pandas of its own, so only `make drift` has it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd
from evidently import Report
from evidently.legacy.calculations.stattests import get_stattest
from evidently.presets import DataDriftPreset

from onnxlet.values.tensors import Tensors

SHARE = 0.5
"""Of the columns: from then on the dataset has drifted."""
_KINDS = {"f": "num", "O": "cat"}


def alarmed(reference: Tensors, windows: list[Tensors]) -> tuple[bool, bool]:
    """Whether a window has a drifted column, and whether one has as many as make the dataset drift.

    The tests are those that its report chooses, without the report's plots, which take twenty times as long.
    """
    given = pd.DataFrame(reference)
    counts = []
    for window in windows:
        drifted = list(_drifted(given, pd.DataFrame(window)))
        counts.append(np.mean(drifted))
    return bool(max(counts) > 0), bool(max(counts) >= SHARE)


def drifted_columns(reference: Tensors, window: Tensors) -> tuple[int, int]:
    """How many columns have drifted by the tests alone, and by the whole report, which is their witness."""
    given, current = pd.DataFrame(reference), pd.DataFrame(window)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        snapshot = Report([DataDriftPreset()]).run(current, given)
    return sum(_drifted(given, current)), int(snapshot.dict()["metrics"][0]["value"]["count"])


def _drifted(reference: pd.DataFrame, current: pd.DataFrame) -> Iterator[bool]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of cells with few rows
        for name in reference:
            before, now = reference[name].dropna(), current[name].dropna()
            kind = _KINDS[before.dtype.kind]
            test = get_stattest(before, now, kind, None)
            yield bool(test(before, now, kind, None).drifted)
