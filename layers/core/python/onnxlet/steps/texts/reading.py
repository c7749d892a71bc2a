"""Reading texts: a vectorizer with its plan made once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from onnxlet.errors import InvalidInputError, RejectedModelError, RequestTooLargeError
from onnxlet.steps.base import Read, Specs, spec_named
from onnxlet.steps.texts.analysis import Analyzer, make_analyzer, parts_within_words
from onnxlet.steps.texts.columns import Count, count_hashed, count_known, count_known_within_words
from onnxlet.steps.texts.weights import Weigh, make_weigher
from onnxlet.steps.texts.wordlist import WordList, decode_word_list
from onnxlet.values.tensors import Tensor, Tensors

if TYPE_CHECKING:
    from onnxlet.steps.vectorizer import Vectorizer

MOST_CHARACTERS = 1_000_000
"""Characters of one text."""
MOST_PLACES = 2**21
"""Texts of a call times the features of the richest, for all are padded to it: 25 to 34 MB."""
MOST_GATHERED = 2**25
"""These times what the graph gathers for each: 134 MB in single precision."""
MOST_NUMBERS = 2**24
"""Texts of a call times columns, where the graph takes them all: 64 MB in single precision."""


class TextReader:
    """The step with its plan made once; `apply` is what a prediction pays."""

    def __init__(self, step: Vectorizer, wanted: Specs, read: Read) -> None:
        words = WordList() if step.artifact is None else decode_word_list(read(step.artifact), step.artifact)
        self._column, self._features = step.column, step.features
        self._indices, self._values = step.indices, step.values
        self._most_places = min(MOST_PLACES, MOST_GATHERED // step.gathered)
        self._dtype = spec_named(step.values, wanted).type.numpy
        self._dropped = {step.values, step.indices, step.column} - {spec.name for spec in step.inputs(wanted)}
        self._keeps_texts = any(spec.name == step.column for spec in wanted)
        self._analyze = _analyzer(step, words)
        self._count = _counter(step, words)
        self._weigh = _weigher(step, words)

    def apply(self, tensors: Tensors) -> Tensors:
        """The graph's inputs in the place of the texts.

        Raises InvalidInputError for what is no text and for one that is too long, RequestTooLargeError for more texts
        than memory is set aside for.
        """
        texts = self._texts(tensors)
        made = self._dense(texts) if self._indices is None else self._sparse(texts, self._indices)
        others = (
            tensors if self._keeps_texts else {name: each for name, each in tensors.items() if name != self._column}
        )
        return others | made

    def _texts(self, tensors: Tensors) -> list[str]:
        """The texts, row by row."""
        column = tensors.get(self._column)
        if column is None:
            raise InvalidInputError(f"the column {self._column!r} is missing", missing=[self._column])
        texts: list[str] = column.ravel().tolist()
        for row, text in enumerate(texts):
            if not isinstance(text, str):
                raise InvalidInputError(
                    f"the column {self._column!r} holds no text in row {row}", column=self._column, row=row
                )
            if len(text) > MOST_CHARACTERS:
                raise InvalidInputError(
                    f"the text in row {row} of the column {self._column!r} has {len(text)} characters, the model reads "
                    f"{MOST_CHARACTERS}: send an excerpt, or its parts as texts of their own",
                    column=self._column,
                    row=row,
                )
        return texts

    def _read(self, text: str, row: int) -> tuple[Tensor, Tensor]:
        """The columns that a text has something in, in order, and the weights there."""
        try:
            columns, counts = self._count(self._analyze(text))
        except UnicodeEncodeError as error:
            raise InvalidInputError(
                f"the text in row {row} of the column {self._column!r} has half of a surrogate pair",
                column=self._column,
                row=row,
            ) from error
        return columns, self._weigh(counts, columns)

    def _sparse(self, texts: Sequence[str], name: str) -> Tensors:
        if len(texts) == 1:
            columns, weights = self._read(texts[0], 0)
            if len(columns):
                # a row by itself needs no padding
                return {name: columns[None], self._values: weights.astype(self._dtype, copy=False)[None]}
        read = [self._read(text, row) for row, text in enumerate(texts)]
        # one place at least: not every kernel likes none
        longest = max((len(columns) for columns, _ in read), default=0) or 1
        self._check_size(len(texts), longest, self._most_places, "different words or n-grams in the richest")
        indices = np.zeros((len(texts), longest), dtype=np.int64)
        values = np.zeros((len(texts), longest), dtype=self._dtype)
        for row, (columns, weights) in enumerate(read):
            indices[row, : len(columns)] = columns
            values[row, : len(columns)] = weights
        return {name: indices, self._values: values}

    def _dense(self, texts: Sequence[str]) -> Tensors:
        self._check_size(len(texts), self._features, MOST_NUMBERS, "columns each")
        values = np.zeros((len(texts), self._features), dtype=self._dtype)
        for row, text in enumerate(texts):
            columns, weights = self._read(text, row)
            values[row, columns] = weights
        return {self._values: values}

    def _check_size(self, texts: int, each: int, most: int, what: str) -> None:
        if texts > 1 and texts * each > most:
            raise RequestTooLargeError(
                f"{texts} texts with {each} {what} take more memory than is set aside for a call: send at most "
                f"{max(1, most // each)} of them",
                column=self._column,
            )


def _analyzer(step: Vectorizer, words: WordList) -> Analyzer:
    try:
        return make_analyzer(
            "spaces" if _counts_within_words(step) else step.analyzer,
            ngrams=step.ngrams,
            lowercase=step.lowercase,
            accents=step.accents,
            token_pattern=step.token_pattern,
            stop_words=words.stop_words,
        )
    except (re.error, RecursionError, OverflowError) as error:
        raise RejectedModelError(
            f"the pattern by which the column {step.column!r} is split is no regular expression: {error}"
        ) from error


def _counter(step: Vectorizer, words: WordList) -> Count:
    if step.hashed:
        return count_hashed(step.features, signed=step.signed)
    vocabulary = {word: column for column, word in enumerate(words.words)}
    if len(vocabulary) != step.features:
        raise RejectedModelError(
            f"{step.artifact!r} lists {len(vocabulary)} different words, the manifest says {step.features}"
        )
    if _counts_within_words(step):
        return count_known_within_words(vocabulary, parts_within_words(step.ngrams))
    return count_known(vocabulary)


def _counts_within_words(step: Vectorizer) -> bool:
    """Whether words stay whole until they are counted, which is faster for those that occur again."""
    return step.analyzer == "char_wb" and not step.hashed


def _weigher(step: Vectorizer, words: WordList) -> Weigh:
    frequencies = np.array(words.frequencies) if words.frequencies else None
    if frequencies is not None and len(frequencies) != step.features:
        raise RejectedModelError(
            f"{step.artifact!r} has frequencies of {len(frequencies)} words, the manifest says {step.features}"
        )
    return make_weigher(
        step.dtype, binary=step.binary, sublinear=step.sublinear, frequencies=frequencies, norm=step.norm
    )
