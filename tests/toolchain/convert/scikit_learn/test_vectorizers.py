"""Vectorizers of texts: what ONNX would split or lower otherwise is refused, by its reason and once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import trained

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert import convert

pytestmark = pytest.mark.toolchain

GERMAN = ["der Herd ist unauffällig", "Schmerzen über Nacht", "kein Befund", "leichte Schwäche"] * 10
ENGLISH = ["the lesion is benign", "pain over night", "no finding", "some weakness"] * 10
KIND = np.array([0, 1, 0, 1] * 10)


def reports(texts: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"report": texts, "age": np.arange(len(texts))})


def pipeline(vectorizer: CountVectorizer, texts: list[str]) -> Pipeline:
    steps = make_column_transformer((vectorizer, "report"), ("passthrough", ["age"]))
    return make_pipeline(steps, LogisticRegression()).fit(reports(texts), KIND)


@pytest.mark.parametrize("vectorizer", [TfidfVectorizer(), CountVectorizer(lowercase=False, analyzer="char")])
def test_a_vocabulary_that_is_not_ascii_is_refused(vectorizer: CountVectorizer, tmp_path: Path) -> None:
    model = pipeline(vectorizer, GERMAN)
    with pytest.raises(ConversionError, match=r"words in its vocabulary that are not ASCII \(.*ä") as refusal:
        convert(model, tmp_path / "out", data=reports(GERMAN), target=KIND)
    assert type(vectorizer).__name__ in refusal.value.detail
    assert "scale features" not in refusal.value.detail


def test_a_vectorizer_that_lowers_texts_is_refused_for_its_locale_and_once(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"the locale en_US\.UTF-8.*lowercase=False") as refusal:
        convert(pipeline(TfidfVectorizer(), ENGLISH), tmp_path / "out", data=reports(ENGLISH), target=KIND)
    assert refusal.value.detail.count("locale") == 1
    assert "scale features" not in refusal.value.detail


def test_a_vectorizer_of_lower_case_ascii_answers_fresh_texts_as_scikit_learn_does(tmp_path: Path) -> None:
    model = pipeline(TfidfVectorizer(lowercase=False, token_pattern="[a-zA-Z]+"), ENGLISH)  # noqa: S106 - no password
    convert(model, tmp_path / "out", data=reports(ENGLISH), target=KIND)

    fresh = reports(["no pain", "the weakness is benign, some unknown words", "pain pain pain", ""])
    columns = {"report": fresh["report"].to_numpy(dtype=object), "age": fresh["age"].to_numpy()}
    answers = trained.served_model(tmp_path / "out").predict(columns, "columns")
    assert answers["label"].tolist() == model.predict(fresh).tolist()
    np.testing.assert_allclose(answers["probabilities"], model.predict_proba(fresh), atol=1e-5)
