"""Vectorizers of texts, read into what their step needs. Somebody's own code does not travel, and is refused."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np

from onnxlet.errors import ConversionError
from onnxlet.steps.texts.wordlist import WordList, encode_word_list
from onnxlet.steps.vectorizer import WORD_PATTERN, Vectorizer
from onnxlet.toolchain.convert.scikit_learn.parts import all_parts

DTYPES: dict[str, Literal["float32", "float64"]] = {
    "float32": "float32",
    **dict.fromkeys(("float64", "int32", "int64"), "float64"),
}
"""The precision of weights, by the vectorizer's own dtype."""
OWN_CODE = ("analyzer", "preprocessor", "tokenizer", "strip_accents")
"""Parameters that may be a function."""


class TextColumns(NamedTuple):
    """What a fitted vectorizer makes of texts: its step, whose names are still open, and its words."""

    step: Vectorizer
    words: WordList

    def weigh(self, transformer: Any) -> TextColumns:
        """The same, and then what a fitted TfidfTransformer makes of the counts."""
        step = msgspec.structs.replace(self.step, sublinear=transformer.sublinear_tf, norm=transformer.norm)
        return TextColumns(step, msgspec.structs.replace(self.words, frequencies=_frequencies(transformer)))

    @property
    def is_counted(self) -> bool:
        """Whether it gives counts, not weights."""
        return not self.step.norm and not self.step.sublinear and not self.words.frequencies

    def encode(self) -> bytes:
        """The list of words, as the artifact is. Raises ConversionError for words that no text can have."""
        try:
            return encode_word_list(self.words)
        except UnicodeEncodeError as error:
            raise ConversionError(
                "a vectorizer learned halves of surrogate pairs, which no text over HTTP can have: fit it on texts "
                "that were decoded as UTF-8"
            ) from error


def fitted_vectorizers(estimator: Any) -> list[Any]:
    """The vectorizers in it that answer; a ColumnTransformer also holds what it was made of, which was never fitted."""
    parts = [part for part in all_parts(estimator) if _is_vectorizer(part)]
    return [part for part in parts if hasattr(part, "vocabulary_") or hasattr(part, "n_features")]


def takes_texts(estimator: Any) -> bool:
    """Whether it takes texts, one a row, where others take rows of columns: what stands first in it says so."""
    if _is_vectorizer(estimator):
        return True
    steps = [step for _, step in getattr(estimator, "steps", ()) if step not in (None, "passthrough")]
    inner = steps[:1] or [part for _, part in getattr(estimator, "transformer_list", ())]
    inner = inner or [getattr(estimator, "best_estimator_", None), *_parts_of_ensemble(estimator)]
    return any(takes_texts(each) for each in inner if hasattr(each, "get_params"))


def _parts_of_ensemble(estimator: Any) -> list[Any]:
    parts = getattr(estimator, "estimators_", None)
    calibrated = [each.estimator for each in getattr(estimator, "calibrated_classifiers_", ())]
    return [*(parts if isinstance(parts, list) else ()), *calibrated]


def _is_vectorizer(estimator: Any) -> bool:
    from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer

    return isinstance(estimator, CountVectorizer | HashingVectorizer)


def read_vectorizer(vectorizer: Any) -> TextColumns:
    """What a fitted CountVectorizer, TfidfVectorizer or HashingVectorizer does.

    Raises ConversionError for one with functions of its own, or that reads files.
    """
    name = type(vectorizer).__name__
    _refuse_own_code(vectorizer, name)
    if vectorizer.input != "content":
        raise ConversionError(f"the {name} reads texts from files ({vectorizer.input!r}): fit it with input='content'")
    counted_in = np.dtype(vectorizer.dtype).name
    if counted_in not in DTYPES:
        raise ConversionError(f"the {name} counts in {counted_in}: fit it with dtype=numpy.float32")
    hashed = not hasattr(vectorizer, "vocabulary_")
    words = () if hashed else tuple(sorted(vectorizer.vocabulary_, key=vectorizer.vocabulary_.get))
    if not all(isinstance(word, str) for word in words):
        raise ConversionError(f"the vocabulary of the {name} holds other things than texts: fit it on texts")
    of_words = vectorizer.analyzer == "word"
    least, most = map(int, vectorizer.ngram_range)
    step = Vectorizer(
        column="",
        values="",
        features=vectorizer.n_features if hashed else len(words),
        hashed=hashed,
        signed=hashed and bool(vectorizer.alternate_sign),
        analyzer=vectorizer.analyzer,
        ngrams=(least, most),
        lowercase=bool(vectorizer.lowercase),
        accents=vectorizer.strip_accents,
        token_pattern=vectorizer.token_pattern if of_words else WORD_PATTERN,
        binary=bool(vectorizer.binary),
        sublinear=bool(getattr(vectorizer, "sublinear_tf", False)),
        norm=getattr(vectorizer, "norm", None),
        dtype=DTYPES[counted_in],
    )
    stop_words = sorted(vectorizer.get_stop_words() or ()) if of_words else []
    return TextColumns(step, WordList(words, _frequencies(vectorizer), tuple(stop_words)))


def _frequencies(weighing: Any) -> tuple[float, ...]:
    """The inverse frequencies of documents, column by column; none if it does not weigh by them."""
    weighs = getattr(weighing, "use_idf", False)
    return tuple(np.asarray(weighing.idf_, dtype=np.float64).tolist()) if weighs else ()


def _refuse_own_code(vectorizer: Any, name: str) -> None:
    """Raise ConversionError for functions, and for classes that change what scikit-learn's do."""
    way_out = (
        "code does not travel with a version: use the parameters of scikit-learn's own, such as token_pattern; or do "
        r"that before, fit on its words joined by spaces, with token_pattern=r'\S+', and send texts so prepared"
    )
    for parameter in OWN_CODE:
        value = getattr(vectorizer, parameter, None)
        unused = parameter == "tokenizer" and vectorizer.analyzer != "word"
        if callable(value) and not unused:
            called = getattr(value, "__name__", type(value).__name__)
            raise ConversionError(f"the {name} has a function for {parameter}, {called!r}; {way_out}", estimator=name)
    if not type(vectorizer).__module__.startswith("sklearn."):
        raise ConversionError(f"the {name} is a class that scikit-learn does not have; {way_out}", estimator=name)
