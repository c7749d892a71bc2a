"""Modules and encoders in memory: converted as they are, without changing them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from sklearn.datasets import load_digits
from torch import nn

from frameworks.test_huggingface import SENTENCES, saved, tokens_of
from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.serving.engine import load_engine
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.verify import verify
from onnxlet.values.manifest import ReferenceOrigin

pytestmark = pytest.mark.torch
torch.set_num_threads(1)

DIGITS = [str(digit) for digit in range(10)]


def digits() -> tuple[Any, Any]:
    bunch = load_digits()
    return (bunch.images[:, None] / 16).astype(np.float32), bunch.target


def network() -> nn.Module:
    """A convolutional network with a dropout, trained for a moment, in training mode as training left it."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(144, 10))
    images, shown = digits()
    optimizer = torch.optim.Adam(module.parameters(), 0.01)
    for _ in range(20):
        loss = nn.functional.cross_entropy(module(torch.from_numpy(images[:600])), torch.from_numpy(shown[:600]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return module


def test_a_module_answers_as_its_own_call_does_and_stays_as_it_is(tmp_path: Path) -> None:
    module = network()
    images, shown = digits()
    said: list[str] = []

    draft = convert(
        module, tmp_path / "out", data=images[600:900], target=shown[600:900], labels=DIGITS, on_progress=said.append
    )

    assert draft.reference == ReferenceOrigin("object", "PyTorch", draft.provenance.versions["torch"])
    assert draft.evaluations[-1].metrics["label_agreement"] == 1
    assert verify(tmp_path / "out", data=images[600:900], target=shown[600:900]).holds
    assert module.training
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert any("training mode" in line for line in said)
    fresh = images[900:]
    with torch.no_grad():
        expected = module.eval()(torch.from_numpy(fresh)).softmax(dim=1).numpy()
    answers = load_engine(tmp_path / "out/model.onnx", threads=1, optimized=False, run_deadline=30).run(
        {"input": fresh}
    )
    np.testing.assert_allclose(answers["probabilities"], expected, atol=1e-5)
    assert answers["label"].tolist() == expected.argmax(axis=1).tolist()


def test_a_module_has_its_weights_and_needs_an_example(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="the Linear has its weights"):
        convert(nn.Linear(2, 1), tmp_path / "out", weights=tmp_path / "weights.safetensors")
    with pytest.raises(InvalidInputError, match="does not say what its inputs are like"):
        convert(nn.Linear(2, 1), tmp_path / "out")


def test_an_encoder_answers_as_its_own_call_does(tmp_path: Path) -> None:
    folder, encoder = saved(tmp_path / "encoder", hidden_act="gelu")
    convert(folder, tmp_path / "tokens", data=None)
    tokens = tokens_of(tmp_path / "tokens", SENTENCES[:2])
    length = max(len(row) for row in tokens["input_ids"])
    assert length == tokens["input_ids"].shape[1]

    draft = convert(encoder, tmp_path / "out", data=tokens)

    assert draft.reference is not None
    assert draft.reference.kind == "object"
    with torch.no_grad():
        expected = encoder(**{name: torch.from_numpy(array) for name, array in tokens.items()}).last_hidden_state
    answers = load_engine(tmp_path / "out/model.onnx", threads=1, optimized=False, run_deadline=30).run(tokens)
    np.testing.assert_allclose(answers["last_hidden_state"], expected.numpy(), atol=1e-5)


def test_a_model_that_writes_texts_is_refused_by_its_name(tmp_path: Path) -> None:
    config = transformers.GPT2Config(vocab_size=20, n_positions=16, n_embd=8, n_layer=1, n_head=2)
    with pytest.raises(ConversionError, match="a GPT2LMHeadModel is no encoder"):
        convert(transformers.GPT2LMHeadModel(config), tmp_path / "out")
