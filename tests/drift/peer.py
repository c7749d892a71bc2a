"""What evidently says of the same rows, by its defaults. It needs a pandas of its own, so only `make drift` has it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pandas as pd
from evidently import Report
from evidently.legacy.calculations.stattests import get_stattest
from evidently.presets import DataDriftPreset

from onnxlet.values.tensors import Tensors

_KINDS = {"f": "num", "O": "cat"}


def alarmed(reference: Tensors, windows: list[Tensors]) -> bool:
    """Whether a window has a drifted column.

    The tests are those that its report chooses, without the report's plots, which take twenty times as long.
    """
    given = pd.DataFrame(reference)
    return any(any(_drifted(given, pd.DataFrame(window))) for window in windows)


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
