"""Tokenizers that tests train, and a model that reads their token ids."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from onnx import helper

from doors import Shop, spec
from onnxlet.steps import Classification, Steps
from onnxlet.steps.token_ids import Bound, TokenIds
from onnxlet.steps.tokenizer import Tokenizer

pytest.importorskip("tokenizers", reason="needs the text extra")
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

SENTENCES = [
    "pain in the left knee after a fall, no fever",
    "short of breath over night; cough with sputum",
    "no finding, follow-up as planned in 12 weeks (2.5 cm)",
    "Schmerzen ÜBER Nacht, unauffälliger Befund: Straße",
    "naïve café, cafe\u0301, ﬁne ½ Ⅷ İstanbul",
    "Привет, мир! Ёлка и ёлка",
    "東京都の病院で検査 かな カナ",
    "한국어 한글 العربية हिन्दी 👩‍⚕️ 😀",
] * 4
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
LABELS = ("routine", "urgent")
LONGEST = 24
SIZE = 300


def around(tokenizer: tokenizers.Tokenizer) -> Any:  # noqa: ANN401 - a processor
    """[CLS] text [SEP], or [CLS] text [SEP] pair [SEP], whose second part is of type 1."""
    ids = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    return processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ids
    )


def word_pieces() -> tokenizers.Tokenizer:
    """As BERT's."""
    tokenizer = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106 - no secret
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(
        SENTENCES, trainers.WordPieceTrainer(vocab_size=SIZE, special_tokens=SPECIAL, show_progress=False)
    )
    tokenizer.post_processor = around(tokenizer)
    return tokenizer


def byte_pairs() -> tokenizers.Tokenizer:
    """As RoBERTa's, of bytes."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE + 256, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = around(tokenizer)
    return tokenizer


def unigrams() -> tokenizers.Tokenizer:
    """As XLM-RoBERTa's."""
    tokenizer = tokenizers.Tokenizer(models.Unigram())
    spaces = normalizers.Replace(tokenizers.Regex(" {2,}"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), spaces])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    unknown = SPECIAL[1]
    trainer = trainers.UnigramTrainer(vocab_size=SIZE, special_tokens=SPECIAL, unk_token=unknown, show_progress=False)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = around(tokenizer)
    return tokenizer


FAMILIES = {"WordPiece": word_pieces, "BPE": byte_pairs, "Unigram": unigrams}


@cache
def file_of(family: str) -> bytes:
    """The `tokenizer.json` of a family: no two trainings number their tokens alike."""
    return str(FAMILIES[family]().to_str()).encode()


def tokenizer_of(family: str) -> tokenizers.Tokenizer:
    """The same one, to be set up."""
    return tokenizers.Tokenizer.from_buffer(file_of(family))


def publish_triage(shop: Shop, **settings: Any) -> None:  # noqa: ANN401 - the step's
    """Publish a model that calls texts urgent by the mean of their tokens' numbers, and takes texts and token ids."""
    tokenizer = tokenizer_of("WordPiece")
    usual: dict[str, Any] = {"columns": ("text",), "mask": "attention_mask", "types": "token_type_ids"}
    step = Tokenizer(**usual | settings, most_tokens=LONGEST)
    flags = step.overflow == "flag"
    bounds = TokenIds((Bound("input_ids", tokenizer.get_vocab_size()), Bound("token_type_ids", 2)), LONGEST, flags)
    table = np.random.default_rng(0).normal(size=(tokenizer.get_vocab_size(), 2)).astype(np.float32)
    shop.publish(
        "triage",
        [spec(name, "INT64", -1, -1) for name in ("input_ids", "attention_mask", "token_type_ids")],
        [spec("class", "INT64", -1), spec("scores", "FP32", -1, 2)],
        [
            helper.make_node("Gather", ["table", "input_ids"], ["vectors"]),
            helper.make_node("Cast", ["attention_mask"], ["mask"], to=1),
            helper.make_node("Cast", ["token_type_ids"], ["types"], to=1),
            helper.make_node("Add", ["mask", "types"], ["weights"]),
            helper.make_node("Unsqueeze", ["weights", "last"], ["column"]),
            helper.make_node("Mul", ["vectors", "column"], ["weighed"]),
            helper.make_node("ReduceSum", ["weighed", "first"], ["sums"], keepdims=0),
            helper.make_node("Softmax", ["sums"], ["scores"], axis=1),
            helper.make_node("ArgMax", ["scores"], ["class"], axis=1, keepdims=0),
        ],
        weights={"table": table, "last": np.array([2]), "first": np.array([1])},
        served=[
            spec("label", "BYTES", -1),
            spec("probability", "FP32", -1),
            spec("probabilities", "FP32", -1, 2),
            *step.adds(),
        ],
        steps=Steps((step, bounds, Classification("class", "scores", LABELS, (0, 1)))),
        artifacts={"tokenizer.json": file_of("WordPiece")},
    )
