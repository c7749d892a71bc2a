"""Analysis: a text becomes features, as scikit-learn's own regular expressions split it.

The same functions of Python in the same order: lowering, stripping of accents, splitting, dropping of stop words,
n-grams. What Unicode says of a character is what this Python's tables say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from functools import partial
from itertools import pairwise
from typing import Literal

from onnxlet.steps.vectorizer import WORD_PATTERN

Analyzer = Callable[[str], Sequence[str]]
"""The features of a text, each as often as it occurs; their order means nothing."""

Kind = Literal["word", "char", "char_wb", "spaces"]
_SPACES = re.compile(r"\s\s+")
_find_words = re.compile(r"\w{2,}").findall
_WORDS_APART = bytes(code if chr(code).isalnum() or chr(code) == "_" else ord(" ") for code in range(256))


def make_analyzer(
    kind: Kind,
    *,
    ngrams: tuple[int, int],
    lowercase: bool,
    accents: str | None,
    token_pattern: str,
    stop_words: Collection[str],
) -> Analyzer:
    """What takes a text apart into `word`s, `char`s or `char_wb`, or into what `spaces` separate.

    `accents` are stripped by `ascii` or `unicode`.

    Raises re.error for a pattern that is none.
    """
    clean = _cleaner(accents, lowercase=lowercase)
    split = _splitter(kind, ngrams, token_pattern, frozenset(stop_words))
    return split if clean is None else lambda text: split(clean(text))


def _cleaner(accents: str | None, *, lowercase: bool) -> Callable[[str], str] | None:
    strip = None if accents is None else strip_to_ascii if accents == "ascii" else strip_marks
    if not lowercase:
        return strip
    return str.lower if strip is None else lambda text: strip(text.lower())


def _splitter(kind: Kind, ngrams: tuple[int, int], token_pattern: str, stop_words: frozenset[str]) -> Analyzer:
    if kind == "spaces":
        return str.split
    if kind == "char":
        return partial(_characters, ngrams=ngrams)
    if kind == "char_wb":
        return parts_within_words(ngrams)
    find = find_words if token_pattern == WORD_PATTERN else re.compile(token_pattern).findall
    if ngrams == (1, 1) and not stop_words:
        return find

    def words(text: str) -> list[str]:
        found = find(text)
        if stop_words:
            found = [word for word in found if word not in stop_words]
        return _word_ngrams(found, ngrams)

    return words


def find_words(text: str) -> list[str]:
    """What WORD_PATTERN finds, words of two characters or more: each begins at the first that is found and is taken
    whole, so that nobody needs to look for its bounds.
    """
    if not text.isascii():
        return _find_words(text)
    # a quarter of the regular expression's time
    return [word for word in text.encode().translate(_WORDS_APART).decode().split() if len(word) > 1]


def parts_within_words(ngrams: tuple[int, int]) -> Analyzer:
    """What takes words apart as `char_wb` does."""
    return partial(_characters_within_words, ngrams=ngrams)


def strip_marks(text: str) -> str:
    """Without combining marks, once characters are decomposed."""
    if text.isascii():
        return text
    import unicodedata

    return "".join([each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each)])


def strip_to_ascii(text: str) -> str:
    """What is left in ASCII once characters are decomposed."""
    if text.isascii():
        return text
    import unicodedata

    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")


def _word_ngrams(words: list[str], ngrams: tuple[int, int]) -> list[str]:
    least, most = ngrams
    features: list[str] = []
    for size in range(least, min(most, len(words)) + 1):
        if size == 1:
            features += words
        elif size == 2:  # noqa: PLR2004 - half the time of slices
            features += [f"{first} {second}" for first, second in pairwise(words)]
        else:
            features += [" ".join(words[start : start + size]) for start in range(len(words) - size + 1)]
    return features


def _characters(text: str, ngrams: tuple[int, int]) -> list[str]:
    text = _SPACES.sub(" ", text)
    least, most = ngrams
    features: list[str] = list(text) if least == 1 else []
    for size in range(max(least, 2), min(most, len(text)) + 1):
        features += [text[start : start + size] for start in range(len(text) - size + 1)]
    return features


def _characters_within_words(text: str, ngrams: tuple[int, int]) -> list[str]:
    """N-grams of each word with a space on either side; a word that is shorter than one counts once."""
    least, most = ngrams
    features: list[str] = []
    for word in text.split():
        padded = f" {word} "
        length = len(padded)
        for size in range(least, most + 1):
            if size >= length:
                features.append(padded)
                break
            features += [padded[start : start + size] for start in range(length - size + 1)]
    return features
