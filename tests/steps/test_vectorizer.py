"""Vectorizers: texts become the columns and weights that scikit-learn's own make of them, to the last bit."""

from __future__ import annotations

import json
import re
import sys
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.utils import murmurhash3_32

from onnxlet.errors import InvalidInputError, RejectedModelError, RequestTooLargeError
from onnxlet.steps.base import Preprocessor
from onnxlet.steps.texts.analysis import find_words
from onnxlet.steps.texts.columns import murmur3
from onnxlet.steps.texts.reading import MOST_CHARACTERS
from onnxlet.steps.vectorizer import WORD_PATTERN, Vectorizer
from onnxlet.toolchain.convert.scikit_learn.vectorizers import TextColumns, read_vectorizer
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import Tensors

pytestmark = [
    pytest.mark.toolchain,
    # scikit-learn warns of parameters that go without effect together
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

CORPUS = [
    "The lesion is benign, 2.5 cm; no pain over night.",
    "der Herd ist unauffällig: Schmerzen ÜBER Nacht, STRASSE und Straße",
    "naïve café, cafe\u0301, ﬁne ﬃ ½ Ⅷ K Å ŉ ǅ \u017f ẞ İstanbul \u0131I",
    "Привет, мир! Ёлка и ёлка",
    "東京都の病院で検査 かな カナ ｶﾅ 北京",
    "한국어 한글 \u1112\u1161\u11ab",
    "العربية هَٰذَا ﷺ עִבְרִית",
    "हिन्दी में लिखा ไทยไม่มีเว้นวรรค",
    "👩‍⚕️ 😀😀 🇩🇪 \u200b\u200d\ufeff",
    "a\x00b \x1c\x85\u2028 tab\tnew\nline\r\n  many   spaces\u3000\u00a0",
    "x_1 don't 12.5e-3 ٣٤ \ud800 half \udfff",
    "",
    " ",
    "a",
    "pain " * 2000,
]
ENCODABLE = [text.encode(errors="ignore").decode() for text in CORPUS]

words = st.sampled_from([word for text in CORPUS for word in text.split()])
texts = st.lists(words | st.text(), max_size=12).map(" ".join) | st.text(st.characters(codec=None))
parameters: dict[str, st.SearchStrategy[Any]] = {
    "analyzer": st.sampled_from(["word", "char", "char_wb"]),
    "ngram_range": st.sampled_from([(1, 1), (1, 2), (2, 2), (2, 4), (5, 7)]),
    "lowercase": st.booleans(),
    "strip_accents": st.sampled_from([None, "ascii", "unicode"]),
    "token_pattern": st.sampled_from([r"(?u)\b\w\w+\b", r"\S+", r"(?u)(\w)\w*", r"[^\W\d_]+"]),
    "stop_words": st.sampled_from([None, "english", ["über", "мир", "a"]]),
    "binary": st.booleans(),
    "dtype": st.sampled_from([np.float32, np.float64]),
}
weighing = {"norm": st.sampled_from([None, "l1", "l2"])}
frequencies = {"use_idf": st.booleans(), "smooth_idf": st.booleans(), "sublinear_tf": st.booleans()}


def planned(columns: TextColumns, *, indices: bool, datatype: str = "FP64") -> Preprocessor:
    """What reads the column `t`, in the precision that keeps every bit."""
    changed = {"column": "t", "values": "v", "artifact": "words", "indices": "i" if indices else None}
    step = Vectorizer(**{name: getattr(columns.step, name) for name in columns.step.__struct_fields__} | changed)
    data = columns.encode()
    wanted = [TensorSpec("v", datatype, (-1, -1))] + [TensorSpec("i", "INT64", (-1, -1))] * indices
    return step.plan(tuple(wanted), lambda _: data)


def column(texts: list[str]) -> Tensors:
    return {"t": np.array(texts, dtype=object)}


def check_equal(vectorizer: Any, columns: TextColumns, texts: list[str], expected: Any = None) -> None:  # noqa: ANN401
    """The indices and the weights are those of `transform`, bit by bit; and so is the matrix."""
    rows = vectorizer.transform(texts) if expected is None else expected
    read, dense = planned(columns, indices=True)(column(texts)), planned(columns, indices=False)(column(texts))
    assert np.array_equal(dense["v"], rows.toarray())
    for row, (start, stop) in enumerate(zip(rows.indptr, rows.indptr[1:], strict=False)):
        filled = stop - start
        assert read["i"][row][:filled].tolist() == rows.indices[start:stop].tolist()
        assert read["v"][row][:filled].tolist() == rows.data[start:stop].astype(np.float64).tolist()
        assert not read["v"][row][filled:].any(), "what is left is padding"


def fitted(vectorizer: Any, texts: list[str]) -> Any:  # noqa: ANN401
    """The vectorizer; None where nothing is left of the texts."""
    with suppress(ValueError):
        return vectorizer.fit(texts)
    return None


@settings(max_examples=60, deadline=None)
@given(st.fixed_dictionaries(parameters), st.lists(texts, min_size=1, max_size=6))
def test_counts_are_those_of_scikit_learn(chosen: dict[str, Any], fresh: list[str]) -> None:
    vectorizer = fitted(CountVectorizer(**chosen), ENCODABLE)
    if vectorizer is not None:
        check_equal(vectorizer, read_vectorizer(vectorizer), [*CORPUS, *fresh])


@settings(max_examples=60, deadline=None)
@given(st.fixed_dictionaries(parameters | weighing | frequencies), st.lists(texts, min_size=1, max_size=6))
def test_weights_are_those_of_scikit_learn(chosen: dict[str, Any], fresh: list[str]) -> None:
    vectorizer = fitted(TfidfVectorizer(**chosen), ENCODABLE)
    if vectorizer is not None:
        check_equal(vectorizer, read_vectorizer(vectorizer), [*CORPUS, *fresh])


@settings(max_examples=60, deadline=None)
@given(
    st.fixed_dictionaries(
        parameters | weighing | {"alternate_sign": st.booleans(), "n_features": st.sampled_from([1, 7, 2**20])}
    ),
    st.lists(texts, min_size=1, max_size=6),
)
def test_hashed_columns_are_those_of_scikit_learn(chosen: dict[str, Any], fresh: list[str]) -> None:
    vectorizer = HashingVectorizer(**chosen)
    columns = read_vectorizer(vectorizer)
    sent = [text.encode(errors="ignore").decode() for text in [*ENCODABLE, *fresh]]
    rows = vectorizer.transform(sent)
    read = planned(columns, indices=True)(column(sent))
    for row, (start, stop) in enumerate(zip(rows.indptr, rows.indptr[1:], strict=False)):
        assert read["i"][row][: stop - start].tolist() == rows.indices[start:stop].tolist()
        assert read["v"][row][: stop - start].tolist() == rows.data[start:stop].astype(np.float64).tolist()


def test_counts_that_a_transformer_weighs_are_weighed_in_one_step() -> None:
    counting = CountVectorizer(ngram_range=(1, 2)).fit(ENCODABLE)
    transformer = TfidfTransformer(sublinear_tf=True).fit(counting.transform(ENCODABLE))
    columns = read_vectorizer(counting)
    assert columns.is_counted
    weighed = columns.weigh(transformer)
    assert not weighed.is_counted
    check_equal(counting, weighed, CORPUS, transformer.transform(counting.transform(CORPUS)))


def test_words_are_those_of_the_pattern_beside_every_character_that_there_is() -> None:
    find = re.compile(WORD_PATTERN).findall
    ascii_text = " ".join(f"x{chr(one)}{chr(other)}yz{chr(one)}" for one in range(128) for other in range(128))
    for text in (ascii_text, "".join(f"x{chr(code)}yz{chr(code)} " for code in range(sys.maxunicode + 1))):
        assert find_words(text) == find(text)


@given(st.binary(max_size=40))
def test_the_hash_is_that_of_scikit_learn(data: bytes) -> None:
    assert murmur3(data) == murmurhash3_32(data, seed=0)


def test_the_words_of_a_long_text_are_remembered_for_a_while_alone() -> None:
    vectorizer = HashingVectorizer(n_features=64)
    read = planned(read_vectorizer(vectorizer), indices=False)
    many = [" ".join(f"word{number}" for number in range(start, start + 40_000)) for start in (0, 40_000)]
    for text in many:
        assert np.array_equal(read(column([text]))["v"], vectorizer.transform([text]).toarray())


COUNTS = Vectorizer("t", "v", 2, indices="i", artifact="words")
BROKEN = Vectorizer("t", "v", 2, artifact="words", token_pattern="(")  # noqa: S106 - no password
SPECS = (TensorSpec("i", "INT64", (-1, -1)), TensorSpec("v", "FP32", (-1, -1)), TensorSpec("age", "FP32", (-1, 1)))


def reader(step: Vectorizer = COUNTS, words: object = None, specs: tuple[TensorSpec, ...] = SPECS) -> Preprocessor:
    data = json.dumps({"words": ["pain", "night"]} if words is None else words).encode()
    return step.plan(specs, lambda _: data)


def test_other_columns_pass_and_texts_stay_for_whoever_else_wants_them() -> None:
    age = np.zeros((1, 1), np.float32)
    assert [spec.name for spec in COUNTS.inputs(SPECS)] == ["t", "age"]
    assert sorted(reader()(column(["pain"]) | {"age": age})) == ["age", "i", "v"]

    both = (*SPECS, TensorSpec("t", "BYTES", (-1, 1)))
    kept = COUNTS.plan(both, lambda _: b'{"words":["pain","night"]}')(
        {"t": np.array([["pain"]], dtype=object), "age": age}
    )
    assert [spec.name for spec in COUNTS.inputs(both)] == ["age", "t"]
    assert kept["t"].tolist() == [["pain"]]


def test_a_text_without_a_known_word_has_one_place_and_no_weight() -> None:
    read = reader()(column(["", "nothing known"]))
    assert read["i"].tolist() == [[0], [0]]
    assert read["v"].tolist() == [[0.0], [0.0]]


@pytest.mark.parametrize(
    ("sent", "complaint"),
    [
        ({"t": np.array(["pain", None], dtype=object)}, "no text in row 1"),
        ({"t": np.array([b"pain"], dtype=object)}, "no text in row 0"),
        ({"t": np.array([1.5])}, "no text in row 0"),
        ({"age": np.zeros(1)}, "'t' is missing"),
        (column(["", "x" * (MOST_CHARACTERS + 1)]), "row 1 of the column 't' has 1000001 characters.*send an excerpt"),
    ],
    ids=["missing", "bytes", "number", "absent", "too long"],
)
def test_what_is_no_text_or_too_long_a_one_is_refused(sent: Tensors, complaint: str) -> None:
    with pytest.raises(InvalidInputError, match=complaint):
        reader()(sent)


def test_half_a_surrogate_pair_has_no_hash_and_is_refused() -> None:
    read = planned(read_vectorizer(HashingVectorizer(analyzer="char")), indices=True)
    with pytest.raises(InvalidInputError, match=r"row 1 .* half of a surrogate pair"):
        read(column(["pain", "pain \ud800\ud800"]))


def test_more_texts_than_memory_is_set_aside_for_are_refused_with_how_many_may_be_sent() -> None:
    words = [f"w{number}" for number in range(3000)]
    rich = Vectorizer("t", "v", 3000, indices="i", artifact="words")
    many = column([" ".join(words), *["pain"] * 999])
    with pytest.raises(RequestTooLargeError, match=r"1000 texts with 3000 different words .* send at most 699"):
        reader(rich, {"words": words})(many)

    many_outputs = Vectorizer("t", "v", 3000, indices="i", artifact="words", gathered=500)
    with pytest.raises(RequestTooLargeError, match="send at most 22 of them"):
        reader(many_outputs, {"words": words})(many)

    wide = Vectorizer("t", "v", 2**20, hashed=True)
    with pytest.raises(RequestTooLargeError, match=r"17 texts with 1048576 columns each .* send at most 16"):
        wide.plan(SPECS, lambda _: b"")(column(["pain"] * 17))
    assert wide.most_rows() <= 16
    assert rich.most_rows() == 256


@pytest.mark.parametrize(
    ("step", "words", "complaint"),
    [
        (COUNTS, {"words": ["pain"]}, "lists 1 different words, the manifest says 2"),
        (COUNTS, {"words": ["pain", "pain"]}, "lists 1 different words, the manifest says 2"),
        (COUNTS, {"words": ["pain", "night"], "frequencies": [1.0]}, "frequencies of 1 words"),
        (COUNTS, {"words": ["pain", 1]}, "no list of words"),
        (COUNTS, {"vocabulary": {}}, "no list of words"),
        (BROKEN, {"words": ["a", "b"]}, "no regular expression"),
    ],
    ids=["too few", "twice", "weights", "numbers", "another document", "pattern"],
)
def test_words_and_patterns_that_do_not_fit_are_refused(step: Vectorizer, words: object, complaint: str) -> None:
    with pytest.raises(RejectedModelError, match=complaint):
        reader(step, words)


def test_a_version_without_the_words_is_refused() -> None:
    with pytest.raises(RejectedModelError, match="the artifact 'words', which the version lacks"):
        COUNTS.preprocessor(SPECS)


def test_a_step_is_told_in_a_line() -> None:
    assert COUNTS.describe() == "t: words, lowered, 2 columns"
    told = Vectorizer(
        "t", "v", 9, hashed=True, analyzer="char_wb", ngrams=(2, 4), lowercase=False, norm="l2"
    ).describe()
    assert told == "t: characters within words, n-grams of 2 to 4, hashed into 9 columns, norm l2"
