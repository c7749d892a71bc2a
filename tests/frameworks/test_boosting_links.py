"""A booster's file whose probabilities look linked twice is asked about; its estimator is believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost

import trained
from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.convert import convert

pytestmark = pytest.mark.boosting


def hesitant() -> tuple[Any, trained.Array, trained.Array]:
    """A booster that honestly gives everybody a little more than a half: two weak trees, four of five are ill."""
    random = np.random.default_rng(0)
    features = random.normal(size=(400, 3)).astype(np.float32)
    ill = (features[:, 0] + random.normal(size=400) > -1).astype(int)
    model = xgboost.XGBClassifier(n_estimators=2, max_depth=1, learning_rate=0.1, base_score=0.6)
    return model.fit(features, ill), features, ill


def test_a_file_is_asked_about_and_an_answer_is_taken(tmp_path: Path) -> None:
    model, features, ill = hesitant()
    second = model.predict_proba(features)[:, 1]
    assert second.min() > 0.5
    assert second.max() < 0.73
    model.save_model(tmp_path / "model.ubj")
    data = trained.csv_of(tmp_path / "data.csv", features.astype(np.float64), ill)
    options: dict[str, Any] = {"data": data, "target": "target"}

    with pytest.raises(InvalidInputError, match="went through a sigmoid twice"):
        convert(tmp_path / "model.ubj", tmp_path / "out", **options)
    assert convert(tmp_path / "model.ubj", tmp_path / "out", **options, outputs_are="probabilities").contract is None
    with pytest.raises(InvalidInputError, match="says itself what its scores are"):
        convert(tmp_path / "model.ubj", tmp_path / "again", **options, outputs_are="logits")

    held = convert(model, tmp_path / "object", data=features, target=ill)
    assert held.reference is not None
    assert held.reference.kind == "object"
