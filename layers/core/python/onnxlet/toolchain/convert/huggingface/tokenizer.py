"""Tokenizers of Hugging Face directories, with the model's truncation and padding written into them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert.huggingface.sentence_transformers import EncoderLayout, read_json
from onnxlet.toolchain.convert.networks.model_errors import MODEL_ERRORS
from onnxlet.toolchain.convert.torch.exporter import silence_torch
from onnxlet.values.tensors import Tensors

FILE = "tokenizer.json"
_ENDLESS = 10**6
"""A larger limit in tokenizer_config.json means that there is none."""


class Tokenizer:
    """Texts to tokens, as `tokenizer.json` describes it."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def tokens(self, texts: list[str]) -> Tensors:
        """Ids, mask and types [texts, longest]."""
        encoded = self._tokenizer.encode_batch(texts)
        return {
            "input_ids": np.array([one.ids for one in encoded], dtype=np.int64),
            "attention_mask": np.array([one.attention_mask for one in encoded], dtype=np.int64),
            "token_type_ids": np.array([one.type_ids for one in encoded], dtype=np.int64),
        }

    def to_json(self) -> bytes:
        """The file that travels with a version."""
        return str(self._tokenizer.to_str()).encode()


def load_tokenizer(layout: EncoderLayout, max_tokens: int, pad: int) -> Tokenizer | None:
    """The directory's tokenizer; None if it has none that can be read. Raises ConversionError for a broken one."""
    import tokenizers

    places = dict.fromkeys((layout.transformer, layout.directory))
    file = next((place / FILE for place in places if (place / FILE).is_file()), None)
    if file is None:
        tokenizer = _convert_tokenizer(layout.transformer)
        if tokenizer is None:
            return None
    else:
        try:
            tokenizer = tokenizers.Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises nothing more special
            raise ConversionError(f"{file.name!r} is no tokenizer: {error}", path=str(file)) from error
    limit = read_json(layout.transformer / "tokenizer_config.json").get("model_max_length")
    if isinstance(limit, int) and limit < _ENDLESS:
        max_tokens = min(max_tokens, limit)
    if layout.lowercase:
        normalizers = [tokenizers.normalizers.Lowercase(), *([tokenizer.normalizer] if tokenizer.normalizer else [])]
        tokenizer.normalizer = tokenizers.normalizers.Sequence(normalizers)
    tokenizer.enable_truncation(max_tokens)
    tokenizer.enable_padding(pad_id=pad, pad_token=tokenizer.id_to_token(pad) or "[PAD]")
    return Tokenizer(tokenizer)


def _convert_tokenizer(directory: Path) -> Any:
    """What transformers makes of a vocabulary in older files; None if it cannot."""
    from transformers import AutoTokenizer

    try:
        with silence_torch():
            loaded = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    except MODEL_ERRORS:
        return None
    return getattr(loaded, "backend_tokenizer", None)
