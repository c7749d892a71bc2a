"""The hospital of the month: its patients, its model, and what goes wrong there on which day."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

FEATURES = ("age", "marker", "dose", "ward", "note")
WARDS = ("surgery", "medicine", "icu")
WORDS = ("pain", "fever", "cough", "rash")
POLICY = {
    "columns": {
        "age": {"rule": "bucket", "width": 10},
        "dose": "round",
        "ward": "keep",
        "note": "drop",
        "marker": "drop",
    },
    "outputs": {"label": "keep", "probability": "keep"},
    "request_id": "keep",
}
OLDER_FROM = 11
"""The day on which a second hospital joins: its patients are twelve years older."""
OLDER_BY = 12
DOSELESS = range(18, 22)
"""Days on which a form sends no dose for four of ten patients."""
WITHOUT_DOSE = 0.4
OTHERWISE_FROM = 22
"""The day from which on the illness shows otherwise: what the model learned no longer holds for half of the wards."""
LATE_BY = 5
"""Days after which a diagnosis is certain."""
SENTINEL = 16
"""Letters of what stands for a patient's name in a note."""


def patients(rows: int, seed: int, *, day: int = 0) -> pd.DataFrame:
    """Rows with their diagnosis, as they are on a day of the month; on none of them nothing is wrong."""
    random = np.random.default_rng(seed)
    age = random.normal(52, 15, rows).clip(18, 99).round()
    if day >= OLDER_FROM:
        age = (age + OLDER_BY).clip(18, 99)
    marker = random.normal(1.0, 0.4, rows).round(4)
    dose = random.gamma(4.0, 2.5, rows).round(2)
    ward = random.choice(np.array(WARDS, dtype=object), rows, p=(0.4, 0.45, 0.15))
    words = random.choice(np.array(WORDS, dtype=object), rows)
    logit = 0.05 * (age - 52) + 2.5 * (marker - 1.0) + 0.9 * (words == "fever") - 0.4
    if day >= OTHERWISE_FROM:
        logit = np.where(ward == "surgery", logit, -logit)
    ill = random.random(rows) < 1 / (1 + np.exp(-3 * logit))
    if day in DOSELESS:
        dose = np.where(random.random(rows) < WITHOUT_DOSE, np.nan, dose)
    notes = [f"{name(random)} reports {word}" for word in words]
    columns = {"age": age, "marker": marker, "dose": dose, "ward": ward, "note": pd.Series(notes, dtype=object)}
    return pd.DataFrame({**columns, "diagnosis": np.where(ill, "ill", "well")})


def name(random: np.random.Generator) -> str:
    """A name that nobody else has, and nobody guesses."""
    return "".join(random.choice(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), SENTINEL))


def train() -> Any:  # noqa: ANN401 - scikit-learn has no types
    """Logistic regression of past patients."""
    from sklearn.compose import make_column_transformer
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    past = patients(3_000, seed=1)
    prepared = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["age", "marker", "dose"]),
        (OneHotEncoder(handle_unknown="ignore"), ["ward"]),
        (TfidfVectorizer(vocabulary=list(WORDS)), "note"),
    )
    model = make_pipeline(prepared, LogisticRegression(max_iter=1_000))
    return model.fit(past[list(FEATURES)], past["diagnosis"])
