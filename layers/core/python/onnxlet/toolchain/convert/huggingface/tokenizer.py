"""Tokenizers of Hugging Face directories: transformers' own, and the step that does the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from onnxlet.errors import ConversionError, InvalidInputError, OnnxletError
from onnxlet.steps.base import Preprocessor
from onnxlet.steps.tokenizer import Padding, Tokenizer
from onnxlet.toolchain.convert.huggingface.sentence_transformers import EncoderLayout, read_json
from onnxlet.toolchain.convert.networks.model_errors import MODEL_ERRORS
from onnxlet.toolchain.convert.torch.exporter import silence_torch
from onnxlet.toolchain.workbench.data import PAIR
from onnxlet.toolchain.workbench.error_text import first_line
from onnxlet.toolchain.workbench.probing_rows import ODD_TEXTS
from onnxlet.toolchain.workbench.table import quoted
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import VARIABLE, Tensor, Tensors

if TYPE_CHECKING:
    from onnxlet.toolchain.convert.huggingface.encoders import Encoder

FILE = "tokenizer.json"
CHOICES = ("overflow", "most_tokens", "cut", "max_characters")
"""Fields of the step that users may choose; the others are the tokenizer's."""
_ENDLESS = 10**6
"""A larger limit in tokenizer_config.json means that there is none."""
_ODD_TEXTS = (
    *(text for text in ODD_TEXTS if text.strip()),
    " two  spaces\n\tand a tab ",
    "İstanbul ﬁne ½ cafe\u0301 \u200b\u00ad [SEP] <s>",
    "東京 한글 العربية 👩‍⚕️ \x00 \x1f \ufdfa",
)
"""Texts on which step and tokenizer are compared."""


class OwnTokenizer:
    """A model's own tokenizer, called as its users do, and the step that does the same."""

    def __init__(self, tokenizer: Any, names: tuple[str, ...], step: Tokenizer) -> None:
        """`names` are the inputs that the model takes."""
        self._tokenizer, self._names = tokenizer, names
        self._planned: dict[tuple[str, ...], Preprocessor] = {}
        self.step = step

    @cached_property
    def contents(self) -> bytes:
        """The file that travels with a version; who reads it elsewhere finds the cutting and padding in it as well."""
        import tokenizers

        step, padding = self.step, self.step.padding
        written = tokenizers.Tokenizer.from_str(self._tokenizer.backend_tokenizer.to_str())
        written.enable_truncation(step.most_tokens, direction=step.cut_side)
        written.enable_padding(
            direction=padding.side, pad_id=padding.token, pad_type_id=padding.type, pad_token=self._tokenizer.pad_token
        )
        return str(written.to_str()).encode()

    def tokens(self, texts: Tensors) -> Tensors:
        """What the tokenizer makes of texts, or of pairs, padded to the longest.

        Raises InvalidInputError for texts that the step refuses, and where it makes other token ids of them.
        """
        own, served = self._own(texts), self._served(texts)
        if not all(np.array_equal(own[name], served[name]) for name in self._names):
            raise InvalidInputError(
                "the version would make other token ids of the texts than the model's own tokenizer does: convert it "
                "for token ids, in a .npz file"
            )
        return own

    def same(self) -> bool:
        """Whether the step does the same on texts of its vocabulary, odd ones, and pairs."""
        try:
            for names in (PAIR[:1], PAIR):
                self.tokens(self.random_texts(names, 8, 20, seed=0))
                self.tokens(dict.fromkeys(names, _column(_ODD_TEXTS)))
        except (*MODEL_ERRORS, OnnxletError):
            return False
        return True

    def random_texts(self, names: tuple[str, ...], rows: int, tokens: int, *, seed: int) -> Tensors:
        """Texts of about so many tokens of the vocabulary, in columns of these names."""
        random = np.random.default_rng(seed)
        special = set(self._tokenizer.all_special_ids)
        known = [number for number in sorted(self._tokenizer.get_vocab().values()) if number not in special]
        fitting = self.step.max_characters
        if self.step.overflow == "refuse" or self.step.cut != "longest_first":
            # a character may be four tokens, and there may be two texts
            fitting = min(fitting, self.step.most_tokens // 8)
        lengths = random.integers(1, tokens + 1, (len(names), rows)).tolist()
        return {
            name: _column(self._tokenizer.decode(random.choice(known, each).tolist())[:fitting] or "a" for each in row)
            for name, row in zip(names, lengths, strict=True)
        }

    def _own(self, texts: Tensors) -> Tensors:
        """As users do."""
        columns, step = [column.tolist() for column in texts.values()], self.step
        try:
            with silence_torch():
                made = self._tokenizer(
                    *columns,
                    padding=True,
                    truncation=False if step.overflow == "refuse" else step.cut,
                    max_length=step.most_tokens,
                    return_attention_mask=True,
                    return_tensors="np",
                )
        except Exception as error:  # its library raises nothing more special
            raise InvalidInputError(f"the tokenizer does not take these texts: {first_line(error)}") from error
        missing = np.zeros_like(made["input_ids"])
        return {name: np.asarray(made.get(name, missing), dtype=np.int64) for name in self._names}

    def _served(self, texts: Tensors) -> Tensors:
        """As the version does."""
        columns = tuple(texts)
        if columns not in self._planned:
            step = msgspec.structs.replace(self.step, columns=columns)
            specs = tuple(TensorSpec(name, "INT64", (VARIABLE, VARIABLE)) for name in self._names)
            self._planned[columns] = step.plan(specs, lambda _: self.contents)
        return self._planned[columns](texts)


def load_tokenizer(
    layout: EncoderLayout, encoder: Encoder, most_tokens: int, chosen: Mapping[str, Any]
) -> OwnTokenizer | None:
    """The directory's tokenizer, with what users chose of its step; None without one that a step can follow.

    Raises ConversionError for a broken one, InvalidInputError for choices that there are not.
    """
    loaded = _load(layout.transformer) or (_load(layout.directory) if layout.directory != layout.transformer else None)
    if loaded is None or getattr(loaded, "backend_tokenizer", None) is None:
        return None
    limit = read_json(layout.transformer / "tokenizer_config.json").get("model_max_length")
    if isinstance(limit, int) and limit < _ENDLESS:
        most_tokens = min(most_tokens, limit)
    if layout.lowercase:
        _lower(loaded.backend_tokenizer)
    if loaded.pad_token_id is None:
        loaded.pad_token = loaded.convert_ids_to_tokens(encoder.pad)
    step = make_step(loaded, encoder.names, most_tokens)
    if not OwnTokenizer(loaded, encoder.names, step).same():
        return None
    pairs = {"cut": "only_second"} if encoder.pairs else {}
    return OwnTokenizer(loaded, encoder.names, _choose(step, {**pairs, **chosen}))


def make_step(tokenizer: Any, names: tuple[str, ...], most_tokens: int) -> Tokenizer:
    """What a tokenizer of transformers does, as a step for a single text."""
    # where a tokenizer gives no types, the model takes all for 0
    typed = "token_type_ids" in tokenizer.model_input_names
    padding = Padding(tokenizer.pad_token_id, tokenizer.pad_token_type_id if typed else 0, tokenizer.padding_side)
    step = Tokenizer(PAIR[:1], most_tokens, cut_side=tokenizer.truncation_side, padding=padding)
    mask, types = (name if name in names else None for name in ("attention_mask", "token_type_ids"))
    return msgspec.structs.replace(step, mask=mask, types=types, typed=typed)


def _choose(step: Tokenizer, chosen: Mapping[str, Any]) -> Tokenizer:
    unknown = [name for name in chosen if name not in CHOICES]
    if unknown:
        raise InvalidInputError(f"{quoted(unknown)} cannot be chosen for a tokenizer, only {quoted(CHOICES)}")
    try:
        made = msgspec.convert({**msgspec.to_builtins(step), **chosen}, Tokenizer)
    except msgspec.ValidationError as error:
        raise InvalidInputError(f"this is nothing that a tokenizer can do: {error}") from error
    if made.most_tokens > step.most_tokens:
        raise InvalidInputError(f"the model reads {step.most_tokens} tokens, and not {made.most_tokens}")
    return made


def _lower(tokenizer: Any) -> None:
    """Let the tokenizer lower texts, as sentence-transformers does."""
    from tokenizers import normalizers

    rest = [tokenizer.normalizer] if tokenizer.normalizer else []
    tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *rest])


def _load(directory: Path) -> Any:
    """What transformers reads; None where it has no files of a tokenizer."""
    from transformers import AutoTokenizer

    try:
        with silence_torch():
            return AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    except MODEL_ERRORS as error:
        if (directory / FILE).is_file():
            raise ConversionError(f"{FILE!r} is no tokenizer: {first_line(error)}", path=str(directory)) from error
        return None


def _column(texts: Iterable[str]) -> Tensor:
    listed = list(texts)
    column = np.empty(len(listed), dtype=object)
    column[:] = listed
    return column
