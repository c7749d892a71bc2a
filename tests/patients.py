"""Patients as a hospital's table has them, and pipelines that are trained on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

FEATURES = ("age", "marker ß", "ward", "smoker", "dose")
WARDS = ("surgery", "Åse", "icu")


def patients(rows: int, seed: int) -> pd.DataFrame:
    """Integers, floats with gaps, texts with gaps, truth values; and the diagnosis."""
    random = np.random.default_rng(seed)
    age = random.integers(20, 90, rows)
    ward = random.choice(np.array(WARDS, dtype=object), rows)
    ward[random.random(rows) < 0.1] = None
    frame = pd.DataFrame(
        {
            "age": age.astype(np.int16),
            "marker ß": random.normal(size=rows).astype(np.float32),
            "ward": pd.Series(ward, dtype=object),
            "smoker": random.random(rows) < 0.4,
            "dose": np.where(random.random(rows) < 0.2, np.nan, random.normal(3, 1, rows)),
        }
    )
    ill = age + 20 * frame["smoker"] + 5 * (frame["ward"] == "icu") + random.normal(0, 5, rows) > 65
    return frame.assign(diagnosis=np.where(ill, "malignant", "benign"), risk=age / 10 + frame["marker ß"])


def pipeline(estimator: Any) -> Any:  # noqa: ANN401 - scikit-learn has no types
    """Imputers, an encoder and a scaler before the estimator."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    return make_pipeline(
        make_column_transformer(
            (make_pipeline(SimpleImputer(), StandardScaler()), ["age", "marker ß", "dose"]),
            (OneHotEncoder(handle_unknown="ignore"), ["ward"]),
            ("passthrough", ["smoker"]),
        ),
        estimator,
    )
