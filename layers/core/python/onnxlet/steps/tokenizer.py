"""Tokenizers: texts become the token ids of a transformer, as Hugging Face's tokenizers make them.

`texts.tokenizing` reads them, with the library `tokenizers`, when a version with such a step is loaded; nothing else
needs it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from onnxlet.errors import RejectedModelError
from onnxlet.steps.base import FLAGS, Column, Preprocessor, Read, Specs, Step, no_artifacts, spec_named
from onnxlet.values.datatypes import VARIABLE
from onnxlet.values.signature import COLUMNS, SERVING_DEFAULT, TensorSpec

TOKENIZER = "tokenizer.json"
MOST_CHARACTERS = 100_000
"""Characters of a text, unless the step says otherwise: 900 bytes of memory each while it is read, at most."""
MOST_PLACES = 2**16
"""Texts of a call times the tokens of the longest, for all are padded to it; one alone may have more."""
MOST_TEXTS = 32
"""Texts that are sent at once by those who choose how many."""

Side = Literal["left", "right"]
_BEYOND = {"truncate": "longer texts are cut", "flag": "longer texts are cut and flagged", "refuse": "else refused"}


class Padding(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What fills the places of shorter texts: the id of a `token`, of the `type`, on one `side`.

    All are as long as the longest, or `length` tokens, rounded up to a `multiple`.
    """

    token: int = 0
    type: int = 0
    side: Side = "right"
    length: int | None = None
    multiple: int = 1

    def __post_init__(self) -> None:
        """Raise ValueError for what is out of range."""
        if self.multiple < 1 or (self.length is not None and self.length < 1):
            raise ValueError("length and multiple of a padding are at least 1")


class Tokenizer(Step, frozen=True, tag="tokenizer", omit_defaults=True):
    """Texts of the `columns` [N], of one or of the two of a pair, become token ids [N, tokens] in the input `ids`.

    `mask` and `types` are the inputs that say which places hold tokens, and which of the texts each is of. `artifact`
    is a `tokenizer.json`, whose own truncation and padding do not count. A text or pair of more than `most_tokens`, the
    special ones included, is cut, cut and flagged, or refused as `overflow` says; of a pair `cut` says which. Whoever
    has the token ids may send these instead.
    """

    columns: tuple[str, ...]
    most_tokens: int
    ids: str = "input_ids"
    mask: str | None = None
    types: str | None = None
    artifact: str = TOKENIZER
    special: bool = True
    """Whether the special tokens, such as [CLS], are added."""
    typed: bool = True
    """Whether the types are those of the tokenizer; else all are 0, as models take them that are given none."""
    overflow: Literal["truncate", "flag", "refuse"] = "truncate"
    cut: Literal["longest_first", "only_first", "only_second"] = "longest_first"
    cut_side: Side = "right"
    padding: Padding = Padding()
    max_characters: int = MOST_CHARACTERS

    def __post_init__(self) -> None:
        """Raise ValueError for neither one column nor two, and for what is out of range."""
        if len(self.columns) not in (1, 2) or len(set(self.columns)) < len(self.columns):
            raise ValueError("a tokenizer reads one column, or the two of a pair")
        if self.most_tokens < 1 or not 0 < self.max_characters <= 10 * MOST_CHARACTERS:
            raise ValueError(f"most_tokens is at least 1, max_characters at most {10 * MOST_CHARACTERS:,}")

    def signatures(self) -> tuple[str, ...]:
        """All but that of token ids."""
        return SERVING_DEFAULT, COLUMNS

    def named_columns(self) -> tuple[Column, ...]:
        """The text, or the two of a pair."""
        return tuple(Column(name, "BYTES") for name in self.columns)

    def artifacts(self) -> tuple[str, ...]:
        """The tokenizer."""
        return (self.artifact,)

    def fills(self) -> tuple[str, ...]:
        """The token ids, and what goes with them."""
        return tuple(filter(None, (self.ids, self.mask, self.types)))

    def inputs(self, wanted: Specs) -> Specs:
        """The texts in the place of what it fills. Raises RejectedModelError for inputs that hold no token ids."""
        filled = self.fills()
        for name in filled:
            self._check(spec_named(name, wanted))
        others = tuple(spec for spec in wanted if spec.name not in filled)
        return (*(TensorSpec(name, "BYTES", (VARIABLE,)) for name in self.columns), *others)

    def preprocessor(self, wanted: Specs) -> Preprocessor:
        """Raises RejectedModelError: there is no tokenizer to read."""
        return self.plan(wanted, no_artifacts)

    def plan(self, wanted: Specs, read: Read) -> Preprocessor:
        """What makes token ids of texts. Raises RejectedModelError without the library, and for a broken file."""
        try:
            from onnxlet.steps.texts.tokenizing import TokenReader
        except ImportError as error:
            raise RejectedModelError(
                "the version reads texts by a tokenizer, and tokenizers is not installed here: deploy with the "
                "parameter Media=true, or pip install 'onnxlet[text]'"
            ) from error
        return TokenReader(self, wanted, read(self.artifact)).apply

    def tells(self) -> tuple[str, ...]:
        """The rows that were cut, where it flags them."""
        return (FLAGS,) if self.overflow == "flag" else ()

    def adds(self) -> Specs:
        """`flags`, of the columns of texts that were cut."""
        return (TensorSpec(FLAGS, "BYTES", (VARIABLE,)),) if self.overflow == "flag" else ()

    def computes(self) -> bool:
        """It splits, looks up and pads."""
        return True

    def most_rows(self) -> int:
        """Few enough that all may be as long as the longest may be."""
        return max(1, min(MOST_TEXTS, MOST_PLACES // self.most_tokens))

    def describe(self) -> str:
        """`text: tokens by tokenizer.json, at most 256, others cut`."""
        parts = (
            f"tokens by {self.artifact}",
            "" if self.special else "no special ones",
            f"at most {self.most_tokens}, {_BEYOND[self.overflow]}",
            f"padded to {self.padding.length}" if self.padding.length else "",
        )
        return f"{' and '.join(self.columns)}: {', '.join(filter(None, parts))}"

    def measure(self, read: Read) -> Preprocessor | None:
        """The share of unknown tokens of each text; None for tokenizers that know everything, as those of bytes do."""
        from onnxlet.steps.measuring import measure_tokens

        return measure_tokens(self, read(self.artifact))

    def _check(self, spec: TensorSpec) -> None:
        fixed = spec.shape[1:] not in ((VARIABLE,), (self.padding.length,))
        if spec.type.kind != "i" or len(spec.shape) != 2 or fixed or spec.shape[0] not in (VARIABLE, 1):  # noqa: PLR2004 - rows, tokens
            length = VARIABLE if self.padding.length is None else self.padding.length
            raise RejectedModelError(f"texts become [{VARIABLE}, {length}] token ids, and the graph's input is {spec}")
