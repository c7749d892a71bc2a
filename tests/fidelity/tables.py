"""Tables as hospitals have them, made of real rows: magnitudes far apart, names in every script, categories."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets

from fidelity.case import SEED
from fidelity.data import Data, divide

LEAST, MOST = 1e-5, 1.7e9
RANGES = "breast cancer, numbers from 1e-5 to 1.7e9"
CLINIC = "breast cancer, a clinic's columns"
SIZE, HEAT, LENGTH, DOSE, SEEN = 'Größe, "außen" (µm)', "température °C", "長さ", "dose [mol/l]; o'clock", "admitted"
WARD, STAGE, CODE, ABROAD = "Station", 'stage "T"', "code", "à l'étranger?"
NUMBERS = (SIZE, HEAT, LENGTH, DOSE, SEEN)
WARDS = ("Intensiv", "Ärzte & Co.", "外科", 'O\'Neill "B"')
UNSEEN = "Kreißsaal"
SHARE_UNSEEN = 0.15


@cache
def ranges() -> Data:
    """Each column has a magnitude of its own, from a concentration's to that of seconds since 1970."""
    bunch = datasets.load_breast_cancer()
    scales = np.geomspace(LEAST, MOST, bunch.data.shape[1])
    rows = bunch.data / bunch.data.max(axis=0) * scales
    return divide(tuple(map(str, bunch.feature_names)), rows, bunch.target)


@cache
def clinic(*, holes: float = 0.05, texts: bool = True) -> Data:
    """Numbers, some missing, words, codes and yes or no; among fresh rows are wards and codes that nobody has seen."""
    bunch = datasets.load_breast_cancer(as_frame=True)
    table = bunch.data
    random = np.random.default_rng(SEED)
    frame = pd.DataFrame(
        {
            SIZE: table["mean radius"],
            HEAT: table["mean texture"] + 20,
            LENGTH: table["worst perimeter"],
            DOSE: table["mean smoothness"] * LEAST,
            SEEN: np.round(MOST + table["worst area"] * 1e4),
        }
    )
    frame = frame.mask(random.random(frame.shape) < holes)
    frame[CODE] = pd.qcut(table["mean symmetry"], 4, labels=False).map({0: 10.0, 1: 20.0, 2: 30.0, 3: -1.0})
    frame[ABROAD] = (table["fractal dimension error"] > 0.003).to_numpy()
    if texts:
        frame[WARD] = _words(table["mean concavity"], WARDS)
        frame[STAGE] = _words(table["worst texture"], ("I", "II", "III", "IV"))
    data = divide(tuple(frame.columns), frame, bunch.target.map({0: "bösartig", 1: "gutartig"}).to_numpy(dtype=object))
    return Data(data.names, data.train, data.train_target, data.test, data.test_target, _with_unseen(data.fresh))


def _words(numbers: Any, words: tuple[str, ...]) -> Any:  # noqa: ANN401 - a column
    return pd.qcut(numbers, len(words), labels=list(words)).astype(object)


def _with_unseen(rows: pd.DataFrame) -> pd.DataFrame:
    random = np.random.default_rng(SEED)
    rows = rows.copy()
    for name, value in ((CODE, 9.0), (WARD, UNSEEN)):
        if name in rows:
            rows.loc[random.random(len(rows)) < SHARE_UNSEEN, name] = value
    return rows
