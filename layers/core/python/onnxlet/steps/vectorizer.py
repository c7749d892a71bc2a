"""Vectorizers: a column of texts becomes the weights of its words or characters, as scikit-learn has them.

What reads texts is loaded with the first version that has such a step.
"""

from __future__ import annotations

from typing import Literal

from onnxlet.steps.base import Preprocessor, Read, Specs, Step, no_artifacts
from onnxlet.values.datatypes import VARIABLE
from onnxlet.values.signature import TensorSpec

WORD_PATTERN = r"(?u)\b\w\w+\b"
"""scikit-learn's own: words of two characters or more."""
MOST_TEXTS = 256
"""Texts that are sent at once by those who choose how many."""
MOST_DENSE = 2**22
"""Numbers that are made of these, where the graph takes all columns."""


class Vectorizer(Step, frozen=True, tag="vectorizer"):
    """Texts of `column` [N] become the `features` columns of a CountVectorizer, TfidfVectorizer or HashingVectorizer.

    They fill the graph input `values` [N, features]; or, where `indices` is one too, that takes the columns with a
    weight, [N, richest], and `values` the weights, of the same shape; both are padded by 0, and the graph gathers so
    many numbers, `gathered`, for each. `artifact` is the list of
    words: their order is that of the columns, unless these are `hashed`, and `signed` too where the hash gives a sign.
    The rest are scikit-learn's own parameters: its `ngram_range`, `strip_accents` and so on.
    """

    column: str
    values: str
    features: int
    indices: str | None = None
    gathered: int = 1
    artifact: str | None = None
    hashed: bool = False
    signed: bool = False
    analyzer: Literal["word", "char", "char_wb"] = "word"
    ngrams: tuple[int, int] = (1, 1)
    lowercase: bool = True
    accents: Literal["ascii", "unicode"] | None = None
    token_pattern: str = WORD_PATTERN
    binary: bool = False
    sublinear: bool = False
    norm: Literal["l1", "l2"] | None = None
    dtype: Literal["float32", "float64"] = "float64"

    def artifacts(self) -> tuple[str, ...]:
        """The words."""
        return () if self.artifact is None else (self.artifact,)

    def fills(self) -> tuple[str, ...]:
        """The values, and the indices if the graph takes them."""
        return (self.values,) if self.indices is None else (self.indices, self.values)

    def inputs(self, wanted: Specs) -> Specs:
        """The texts in the place of what it fills, unless what comes next takes them too."""
        filled, named = self.fills(), {spec.name for spec in wanted}
        texts = () if self.column in named else (TensorSpec(self.column, "BYTES", (VARIABLE,)),)
        place = next((place for place, spec in enumerate(wanted) if spec.name in filled), len(wanted))
        before, behind = (
            tuple(spec for spec in part if spec.name not in filled) for part in (wanted[:place], wanted[place:])
        )
        return (*before, *texts, *behind)

    def preprocessor(self, wanted: Specs) -> Preprocessor:
        """What makes them of texts, if it needs no artifact."""
        return self.plan(wanted, no_artifacts)

    def plan(self, wanted: Specs, read: Read) -> Preprocessor:
        """What makes them of texts. Raises RejectedModelError for words or a pattern that do not fit."""
        from onnxlet.steps.texts.reading import TextReader

        return TextReader(self, wanted, read).apply

    def computes(self) -> bool:
        """It splits and counts."""
        return True

    def most_rows(self) -> int:
        """Few enough that the richest text among them, or many columns, take little memory."""
        return MOST_TEXTS if self.indices is not None else max(1, min(MOST_TEXTS, MOST_DENSE // self.features))

    def describe(self) -> str:
        """`report: words, n-grams of 1 to 2, lowered, 5000 columns, weighted by their frequencies`."""
        kinds = {"word": "words", "char": "characters", "char_wb": "characters within words"}
        least, most = self.ngrams
        parts = (
            kinds[self.analyzer],
            "" if most == 1 else f"n-grams of {least} to {most}" if least != most else f"n-grams of {most}",
            "lowered" if self.lowercase else "",
            f"accents stripped ({self.accents})" if self.accents else "",
            f"{'hashed into ' if self.hashed else ''}{self.features} columns",
            "only whether they occur" if self.binary else "",
            "logarithms of counts" if self.sublinear else "",
            f"norm {self.norm}" if self.norm else "",
        )
        return f"{self.column}: {', '.join(filter(None, parts))}"
