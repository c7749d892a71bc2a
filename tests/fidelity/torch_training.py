"""Training PyTorch modules a while, and asking them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fidelity.case import Fresh
from fidelity.data import Array

EPOCHS = 25
BATCH = 64
Loss = Callable[[Any, torch.Tensor], torch.Tensor]


def trained(module: nn.Module, inputs: Array, target: Array, loss: Loss = nn.functional.cross_entropy) -> nn.Module:
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


def asked(module: nn.Module, inputs: Array) -> Callable[[], object]:
    """Asks the module for one row."""
    row = torch.from_numpy(inputs[:1])

    def ask() -> object:
        with torch.inference_mode():
            return module(row)

    return ask


def answers_of(module: nn.Module, inputs: Array) -> Array:
    """The module's own call."""
    with torch.inference_mode():
        answers: Array = module(torch.from_numpy(inputs)).numpy()
    return answers


def classes_of(module: nn.Module, inputs: Array) -> Fresh:
    """Fresh rows, to which the module answers with logits of classes."""
    logits = torch.from_numpy(answers_of(module, inputs))
    return Fresh(inputs, logits.argmax(dim=1).numpy(), logits.softmax(dim=1).numpy())


def saved_program(module: nn.Module, inputs: Array, folder: Path) -> Path:
    """An exported program, for any number of rows."""
    path = folder / "model.pt2"
    rows = torch.export.Dim("rows")
    with torch.no_grad():
        program = torch.export.export(module, (torch.from_numpy(inputs[:3]),), dynamic_shapes=({0: rows},))
        torch.export.save(program, path)
    return path
