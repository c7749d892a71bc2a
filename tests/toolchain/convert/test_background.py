"""The background of a conversion: rows that the graph answers, and none of the data unless somebody says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import trained
from onnxlet.errors import InvalidInputError
from onnxlet.explain.background import MOST_ROWS, decode_background
from onnxlet.toolchain.convert import convert

pytest.importorskip("sklearn")
pytestmark = pytest.mark.toolchain


def wards(rows: int = 200) -> tuple[pd.DataFrame, Any]:
    """Patients of three wards, one of which has a single patient, and an age that some lack."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"age": random.normal(60, 9, rows), "ward": random.choice(["A", "B"], rows)})
    frame.loc[7, "ward"] = "the only one of its kind"
    frame.loc[::9, "age"] = np.nan
    return frame, random.integers(0, 2, rows)


def pipeline() -> Any:  # noqa: ANN401
    """Reads columns by name, and refuses wards that it does not know."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    encode = make_column_transformer((OneHotEncoder(), ["ward"]), (SimpleImputer(), ["age"]))
    return make_pipeline(encode, LogisticRegression())


def test_a_background_is_made_of_statistics(tmp_path: Path) -> None:
    frame, target = wards()
    draft = convert(pipeline().fit(frame, target), tmp_path / "out", data=frame)
    assert draft.explanations == {
        "background": {"path": "explain.background.json", "kind": "synthetic", "rows": MOST_ROWS}
    }
    assert "explain.background.json" in draft.assets
    background = decode_background((tmp_path / "out" / "explain.background.json").read_bytes())
    assert list(background) == ["age", "ward"]
    assert set(background["ward"]) <= {"A", "B", "the only one of its kind"}
    real = set(zip(frame["age"].astype(np.float32), frame["ward"], strict=True))
    assert not real & set(zip(background["age"], background["ward"], strict=True))


def test_rows_of_the_data_travel_only_where_somebody_says_so_and_a_note_tells(tmp_path: Path) -> None:
    frame, target = wards()
    draft = convert(pipeline().fit(frame, target), tmp_path / "out", data=frame, background_from="data")
    assert draft.explanations is not None
    assert draft.explanations["background"]["kind"] == "data"
    assert any("rows of the data travel with it" in note for note in draft.notes)
    background = decode_background((tmp_path / "out" / "explain.background.json").read_bytes())
    assert set(background["age"][~np.isnan(background["age"])]) <= set(frame["age"].astype(np.float32))
    with pytest.raises(InvalidInputError, match="need --data"):
        convert(pipeline().fit(frame, target), tmp_path / "other", background_from="data")


@pytest.mark.long
def test_a_thousand_columns_are_the_most_that_get_one(tmp_path: Path) -> None:
    features, target = trained.slopes(features=1001)
    from sklearn.linear_model import Ridge

    draft = trained.converted(tmp_path, Ridge(), features, target)
    assert draft.explanations is None
