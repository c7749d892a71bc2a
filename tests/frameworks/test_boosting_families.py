"""Boosted models beyond plain trees of numbers: thresholds, categories, linear models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import catboost
import numpy as np
import pytest

from onnxlet.toolchain.convert import convert
from toolchain.convert.scikit_learn.patients import ask_served, patients

pytestmark = pytest.mark.boosting

CATBOOST = {"iterations": 10, "depth": 4, "verbose": 0, "allow_writing_files": False, "thread_count": 1}


@pytest.mark.parametrize("probability", [0.0, 0.2, 0.9, 1.0])
@pytest.mark.parametrize("source", ["in memory", "its own file"])
def test_catboost_chooses_by_the_probability_that_was_set(probability: float, source: str, tmp_path: Path) -> None:
    known, illness = patients(1)
    model: Any = catboost.CatBoostClassifier(**CATBOOST).fit(known, illness > np.median(illness))
    model.set_probability_threshold(probability)
    model.save_model(str(tmp_path / "model.cbm"))

    convert(model if source == "in memory" else tmp_path / "model.cbm", tmp_path / "out", data=known)

    fresh, _ = patients(2)
    served = ask_served(tmp_path / "out", fresh)["label"].astype(bool)
    assert served.tolist() == [str(each) == "True" for each in model.predict(fresh)]
