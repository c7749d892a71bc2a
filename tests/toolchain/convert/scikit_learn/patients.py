"""Rows of patients that many estimators are fitted on here, and fresh ones that they never saw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import trained


def patients(seed: int, rows: int = 300, *, missing: float = 0.0) -> tuple[Any, trained.Array]:
    """A DataFrame of numbers on scales of their own, `missing` of two columns' cells empty; and how ill each is."""
    import pandas as pd

    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "marker": random.normal(size=rows),
            "count": random.lognormal(3, 1, rows),
            "age": random.integers(20, 90, rows).astype(np.float64),
            "pressure": random.normal(120, 15, rows),
        }
    )
    illness = (frame["marker"] + frame["age"] / 30 + random.normal(0, 0.3, rows)).to_numpy()
    for name in ("marker", "count"):
        frame.loc[random.random(rows) < missing, name] = np.nan
    return frame, illness


def ask_served(directory: Path, frame: Any) -> dict[str, trained.Array]:  # noqa: ANN401
    """What the converted model in the directory answers, served, to the frame's columns."""
    columns = {str(name): frame[name].to_numpy() for name in frame}
    return dict(trained.served_model(directory).predict(columns, "columns"))
