"""Tokenizing: a tokenizer with its plan made once."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

# before the library is first used: its own threads would take the processors of others, and warn of processes that fork
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import tokenizers

from onnxlet.errors import InvalidInputError, RejectedModelError, RequestTooLargeError
from onnxlet.steps.base import Specs, spec_named, with_flags
from onnxlet.steps.tokenizer import MOST_PLACES
from onnxlet.values.tensors import Tensor, Tensors

if TYPE_CHECKING:
    from onnxlet.steps.tokenizer import Tokenizer

MOST_BYTES = 2**21
"""Bytes of all texts of a call, in UTF-8."""
BYTES_AT_ONCE = 2**17
"""Bytes of texts that are held as the library's own tokens at once, but for one longer text by itself."""

DECOMPOSED = 3
"""How many times the most characters a text may have once its characters are decomposed: Korean ones into three."""
_MOST_PARTS = 18
"""Parts of a single character, at most."""

Sent = str | tuple[str, ...]
"""A text, or a pair of them."""


class Encoded(NamedTuple):
    """A text, or a pair."""

    ids: list[int]
    types: list[int]
    is_cut: bool


class TokenReader:
    """The step with its plan made once; `apply` is what a prediction pays. Several threads may use it."""

    def __init__(self, step: Tokenizer, wanted: Specs, contents: bytes) -> None:
        self._step = step
        self._tokenizer = _load(step, contents)
        self._dtypes = {name: spec_named(name, wanted).type.numpy for name in step.fills()}

    def apply(self, tensors: Tensors) -> Tensors:
        """The graph's inputs in the place of the texts.

        Raises InvalidInputError for what is no text, for one that is too long and for one without tokens,
        RequestTooLargeError for more of them than memory is set aside for.
        """
        columns = [self._texts(tensors, name) for name in self._step.columns]
        if len(columns[0]) != len(columns[-1]):
            raise InvalidInputError("every column must be a list of values, and all of one length")
        if not columns[0]:
            raise InvalidInputError("there is no text: send at least one")
        encoded = [each for part in _parts(columns) for each in self._encode(part)]
        width = self._width(max(len(each.ids) for each in encoded))
        if len(encoded) > 1 and len(encoded) * width > MOST_PLACES:
            raise RequestTooLargeError(
                f"{len(encoded)} texts of {width} tokens, the padding included, take more memory than is set aside for "
                f"a call: send at most {max(1, MOST_PLACES // width)} of them"
            )
        rest = {name: tensor for name, tensor in tensors.items() if name not in self._step.columns}
        if self._step.overflow == "flag":
            named = ", ".join(self._step.columns)
            rest = with_flags(rest, np.array([named if each.is_cut else "" for each in encoded], dtype=object))
        return rest | self._padded(encoded, width)

    def _width(self, longest: int) -> int:
        """How many tokens all are padded to."""
        padding = self._step.padding
        return -(-max(longest, padding.length or 0) // padding.multiple) * padding.multiple

    def _texts(self, tensors: Tensors, name: str) -> list[str]:
        """The texts of a column, row by row."""
        column = tensors.get(name)
        if column is None:
            raise InvalidInputError(f"the column {name!r} is missing", missing=[name])
        texts = column.ravel().tolist()
        size, most = 0, self._step.max_characters
        for row, text in enumerate(texts):
            if not isinstance(text, str):
                raise self._refused(name, row, "is no text")
            if (count := _count_characters(text, most)) > most:
                advice = "send an excerpt, or its parts as texts of their own"
                raise self._refused(name, row, f"has {count} characters, the model reads {most}: {advice}")
            try:
                size += len(text) if text.isascii() else len(text.encode())
            except UnicodeEncodeError as error:
                raise self._refused(name, row, "has half of a surrogate pair") from error
        if size > MOST_BYTES:
            raise RequestTooLargeError(
                f"the texts of the column {name!r} have {size:,} bytes together, and {MOST_BYTES:,} are read at once: "
                "send fewer per call"
            )
        return texts

    def _refused(self, name: str, row: int, what: str) -> InvalidInputError:
        return InvalidInputError(f"the text in row {row} of the column {name!r} {what}", column=name, row=row)

    def _encode(self, part: tuple[int, Sequence[Sent]]) -> Iterator[Encoded]:
        """The texts from a row on."""
        step, (start, texts) = self._step, part
        try:
            made = self._tokenizer.encode_batch_fast(texts, add_special_tokens=step.special)
        except Exception as error:  # the library raises nothing more special
            raise InvalidInputError(f"the tokenizer does not take these texts: {error}") from error
        for row, each in enumerate(made, start):
            ids = each.ids
            if not ids:
                raise self._refused(step.columns[0], row, "has no tokens: send one with a word in it")
            if len(ids) > step.most_tokens:
                raise self._refused(
                    step.columns[0], row, f"has {len(ids)} tokens, the model reads {step.most_tokens}: send an excerpt"
                )
            types = each.type_ids if step.types and step.typed else [0] * len(ids)
            yield Encoded(ids, types, step.overflow == "flag" and bool(each.overflowing))

    def _padded(self, encoded: Sequence[Encoded], width: int) -> Tensors:
        step, padding = self._step, self._step.padding
        left = padding.side == "left"
        lengths = np.array([len(each.ids) for each in encoded])[:, None]
        places = np.arange(width)
        made = {step.ids: _fill([each.ids for each in encoded], width, padding.token, left=left)}
        if step.mask is not None:
            made[step.mask] = places >= width - lengths if left else places < lengths
        if step.types is not None:
            made[step.types] = _fill([each.types for each in encoded], width, padding.type, left=left)
        return {name: tensor.astype(self._dtypes[name], copy=False) for name, tensor in made.items()}


def _count_characters(text: str, most: int) -> int:
    """How many there are, or a third of their parts if that is more: tokenizers may take characters apart."""
    if text.isascii() or not most < len(text) * _MOST_PARTS // DECOMPOSED or len(text) > most:
        return len(text)
    return max(len(text), len(unicodedata.normalize("NFKD", text)) // DECOMPOSED)


def _fill(rows: Sequence[list[int]], width: int, padding: int, *, left: bool) -> Tensor:
    filled = [[padding] * (width - len(row)) + row if left else row + [padding] * (width - len(row)) for row in rows]
    return np.array(filled, dtype=np.int64)


def _parts(columns: Sequence[Sequence[str]]) -> Iterator[tuple[int, Sequence[Sent]]]:
    """The texts, or pairs, in parts of some bytes, each with the row that it begins with."""
    rows: Sequence[Sent] = columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
    start = size = 0
    for row, texts in enumerate(zip(*columns, strict=True)):
        each = sum(len(text) if text.isascii() else 4 * len(text) for text in texts)
        if row > start and size + each > BYTES_AT_ONCE:
            yield start, rows[start:row]
            start, size = row, 0
        size += each
    yield start, rows[start:]


def open_tokenizer(artifact: str, contents: bytes) -> Any:  # noqa: ANN401 - a tokenizers.Tokenizer
    """The tokenizer of the file, which cuts nothing. Raises RejectedModelError if it is none."""
    try:
        tokenizer = tokenizers.Tokenizer.from_buffer(contents)
        tokenizer.no_padding()
        tokenizer.no_truncation()
    except Exception as error:  # the library raises nothing more special
        raise RejectedModelError(f"{artifact!r} is no tokenizer: {error}") from error
    return tokenizer


def _load(step: Tokenizer, contents: bytes) -> Any:  # noqa: ANN401 - a tokenizers.Tokenizer
    """The same, cutting as the step says."""
    tokenizer = open_tokenizer(step.artifact, contents)
    try:
        if step.overflow != "refuse":
            tokenizer.enable_truncation(step.most_tokens, strategy=step.cut, direction=step.cut_side)
    except Exception as error:  # the library raises nothing more special
        raise RejectedModelError(f"{step.artifact!r} is no tokenizer: {error}") from error
    return tokenizer
