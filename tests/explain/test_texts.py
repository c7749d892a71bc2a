"""Texts by their parts: what each word or sentence does to the answer of a real classifier of texts."""

from __future__ import annotations

import tracemalloc
from itertools import compress, permutations, product
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxlet
from doors import Shop
from onnxlet.errors import InvalidInputError, NotExplainableError
from onnxlet.explain.request import ExplanationRequest
from onnxlet.lifecycle.loading import LoadedVersion
from onnxlet.registry.registry import Registry
from onnxlet.store import open_store
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.prepare import prepare
from onnxlet.values.refs import parse_ref
from wordings import publish_triage, tokenizer_of

pytest.importorskip("sklearn")
pytestmark = pytest.mark.toolchain

REPORTS = ["no finding, as planned", "pain over night, please see today", "Schmerzen über Nacht", "Befund wie geplant"]
TEXT = "pain  over night!\nno finding today"


@pytest.fixture(scope="module")
def triage() -> Any:  # noqa: ANN401
    """A classifier of texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression()).fit(REPORTS * 25, [0, 1, 1, 0] * 25)


@pytest.fixture(scope="module")
def loaded(triage: Any, tmp_path_factory: pytest.TempPathFactory) -> LoadedVersion:  # noqa: ANN401
    """Its version."""
    return published(tmp_path_factory.mktemp("texts"), triage, REPORTS * 25)


def published(folder: Path, model: Any, rows: Any) -> LoadedVersion:  # noqa: ANN401
    """The version of a model, loaded."""
    convert(model, folder / "out", data=rows)
    registry = Registry(open_store((folder / "store").as_uri()), who="tests")
    registry.publish("model", *prepare(folder / "out", folder / "prepared"))
    return onnxlet.load("model:1", store=folder / "store")


def test_words_have_offsets_and_the_shapley_values_of_all_orders(loaded: LoadedVersion, triage: Any) -> None:  # noqa: ANN401
    explained = loaded.explain([TEXT], method="words", classes=1)
    spans = [tuple(map(int, player.split(":"))) for player in explained.players]
    words = [TEXT[start:stop] for start, stop in spans]
    assert words == ["pain", "over", "night!", "no", "finding", "today"]
    values = np.zeros(len(words))
    orders = list(permutations(range(len(words))))
    known: dict[frozenset[int], float] = {}
    for order in orders:
        kept: set[int] = set()
        before = known.setdefault(frozenset(), triage.predict_proba([""])[0, 1])
        for place in order:
            kept.add(place)
            key = frozenset(kept)
            if key not in known:
                known[key] = triage.predict_proba([" ".join(words[each] for each in sorted(kept))])[0, 1]
            values[place] += (known[key] - before) / len(orders)
            before = known[key]
    np.testing.assert_allclose(explained.attributions[0, :, 0], values, atol=1e-5)
    assert explained.expected[0] == pytest.approx(triage.predict_proba([""])[0, 1], abs=1e-5)
    assert explained.predictions[0, 0] == pytest.approx(triage.predict_proba([TEXT])[0, 1], abs=1e-5)
    assert explained.background is None


def test_sentences_end_with_their_marks_or_lines(loaded: LoadedVersion) -> None:
    text = "Pain over night. Dr. Who was here?  No finding!\nas planned"
    explained = loaded.explain([text], method="sentences")
    parts = [text[int(start) : int(stop)] for start, stop in (each.split(":") for each in explained.players)]
    assert parts == ["Pain over night.", "Dr.", "Who was here?", "No finding!", "as planned"]
    assert explained.sum_error < 1e-9


def test_long_texts_are_sampled_and_sum(loaded: LoadedVersion) -> None:
    text = " ".join(["pain", "night", "planned", "finding"] * 5)
    explained = loaded.explain([text], method="words", classes=1, seed=3)
    again = loaded.explain([text], method="words", classes=1, seed=3)
    assert (len(explained.players), explained.pairs, explained.seed) == (20, 100, 3)
    assert explained.sum_error < 1e-9
    np.testing.assert_array_equal(explained.attributions, again.attributions)
    few = loaded.explain([text], method="words", max_evaluations=100)
    assert few.unreliable
    assert "18:25 = planned" not in explained._repr_html_()
    assert "11:18 = planned" in explained._repr_html_()


def test_texts_that_are_made_of_a_long_one_are_not_all_held_at_once(loaded: LoadedVersion) -> None:
    text = " ".join(["pain", "over", "night", "x" * 900_000, "no", "finding", "today"])
    tracemalloc.start()
    explained = loaded.explain([text], method="words", classes=1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert explained.attributions[0, 3, 0] == pytest.approx(0, abs=1e-6)
    assert peak < 50e6, "128 texts would be 58 MB"
    with pytest.raises(NotExplainableError, match="'max_ms' was over"):
        loaded.explain([text], method="words", max_ms=0.001)


def test_a_text_that_is_not_above_the_threshold_is_not_explained(loaded: LoadedVersion) -> None:
    told = loaded.explain([TEXT], method="words", above=2)
    assert (len(told), told.players, told.attributions.shape) == (0, (), (0, 0, 2))
    assert np.isnan(told.expected).all()


def test_what_cannot_be_taken_apart_is_refused(loaded: LoadedVersion, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="one row at a time"):
        loaded.explain(["pain", "night"], method="words")
    with pytest.raises(InvalidInputError, match="has 0 parts"):
        loaded.explain(["  "], method="words")
    with pytest.raises(InvalidInputError, match="has 401 parts"):
        loaded.explain(["pain " * 401], method="words")
    from sklearn.linear_model import Ridge

    numbers = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    with pytest.raises(NotExplainableError, match="takes no text"):
        published(tmp_path, Ridge().fit(numbers, numbers[:, 0]), numbers).explain(numbers[:1], method="words")


@pytest.fixture
def triage_by_tokens(tmp_path: Path) -> LoadedVersion:
    """A version that reads texts by a tokenizer of its own."""
    pytest.importorskip("tokenizers")
    publish_triage(Shop(open_store((tmp_path / "store").as_uri()), tmp_path / "shop"))
    return onnxlet.load("triage", store=tmp_path / "store")


def test_tokens_are_those_of_the_versions_tokenizer_and_stand_as_they_stood(triage_by_tokens: LoadedVersion) -> None:
    text = "東京  unfever, no"
    spans = tokenizer_of("WordPiece").encode(text, add_special_tokens=False).offsets
    assert len(spans) > len(text.split()), "some are within words"
    explained = triage_by_tokens.explain([text], method="tokens", classes=1)
    assert [tuple(map(int, each.split(":"))) for each in explained.players] == spans
    values = explained.attributions[0, :, 0]
    assert explained.sum_error < 1e-9

    ends = [*(start for start, _ in spans[1:]), len(text)]
    parts = [text[start:end] for (start, _), end in zip(spans, ends, strict=True)]
    subsets = list(product([False, True], repeat=len(parts)))
    kept = ["".join(compress(parts, each)).strip() if not all(each) else text for each in subsets]
    worth = dict(zip(subsets, triage_by_tokens.predict_proba(kept)[:, 1], strict=True))
    for place in range(len(parts)):
        share = 0.0
        for each in subsets:
            if not each[place]:
                more = (*each[:place], True, *each[place + 1 :])
                share += (worth[more] - worth[each]) / (len(parts) * comb(len(parts) - 1, sum(each)))
        assert values[place] == pytest.approx(share, abs=1e-5)


def test_texts_that_no_tokenizer_takes_apart_are_refused(
    triage_by_tokens: LoadedVersion, loaded: LoadedVersion
) -> None:
    for text, words in (
        ("a" * 100_001, "100001 characters, the model reads 100000"),
        ("no " * 401, "has 401 parts"),
        ("", "has 0 parts"),
    ):
        with pytest.raises(InvalidInputError, match=words):
            triage_by_tokens.explain([text], method="tokens")
    with pytest.raises(NotExplainableError, match="no tokenizer: its texts are explained by 'words'"):
        loaded.explain([TEXT], method="tokens")


def test_half_of_a_surrogate_pair_is_the_callers_error_there_too(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    shop = Shop(open_store((tmp_path / "store").as_uri()), tmp_path / "shop")
    publish_triage(shop)
    model = shop.predictor.served(parse_ref("triage")).model
    with pytest.raises(InvalidInputError, match="the tokenizer does not take this text"):
        model.explain({"text": np.array(["\ud800"], dtype=object)}, "columns", ExplanationRequest("tokens"))
