"""PyTorch networks by what their outputs are: probabilities, labels by themselves, positions, numbers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import nn

from fidelity import networks
from fidelity.case import SEED, Case, Fresh, Trained
from fidelity.data import TARGET, Array, Data, images, real
from fidelity.torch_training import BATCH, EPOCHS, answers_of, asked, classes_of, saved_program, trained

FRAMEWORK = "PyTorch"
BINARY = ("malignant", "benign")
FINDINGS = ("large", "rough", "benign")
DIGITS = tuple(map(str, range(10)))
LIGHT, DARK = 0.25, 0.6
"""Where a picture's pixels are of another class."""


def cases() -> Iterator[Case]:
    """All of them."""
    cancer, digits = "breast cancer", "digits"
    yield Case("a clamped sigmoid, .pt2", FRAMEWORK, cancer, partial(_probability, networks.Clamped, True))
    yield Case("mean of three sigmoids, in memory", FRAMEWORK, cancer, partial(_probability, networks.Members, False))
    twice = partial(_probability, networks.Twice, True)
    yield Case("a sigmoid of a sigmoid, .pt2", FRAMEWORK, cancer, twice, refused="--outputs-are")
    yield Case("three labels by themselves, .pt2", FRAMEWORK, cancer, partial(_labels, True))
    yield Case("three labels by themselves, in memory", FRAMEWORK, cancer, partial(_labels, False))
    yield Case("classes at each position, in memory", FRAMEWORK, digits, _positions)
    yield Case("two numbers, in memory", FRAMEWORK, digits, _forecast)
    yield Case("a picture and numbers, in memory", FRAMEWORK, digits, _two_inputs)
    yield Case("two convolutions, in memory", FRAMEWORK, digits, _live)


def _scaled() -> Data:
    data = real("breast cancer")
    scaler = StandardScaler().fit(data.train)
    train, test, fresh = (scaler.transform(rows).astype(np.float32) for rows in (data.train, data.test, data.fresh))
    return Data(data.names, train, data.train_target, test, data.test_target, fresh)


def _probability(kind: type[nn.Module], saved: bool, folder: Path) -> Trained:
    data = _scaled()
    torch.manual_seed(SEED)
    module = trained(
        kind(), data.train, data.train_target.astype(np.float32)[:, None], nn.functional.binary_cross_entropy
    )
    share = answers_of(module, data.fresh).ravel()
    fresh = Fresh(data.fresh, (share > 0.5).astype(int), np.stack([1 - share, share], axis=1))
    return _given(module, data, fresh, BINARY, folder if saved else None)


def _labels(saved: bool, folder: Path) -> Trained:
    data = _scaled()

    def marks(rows: Array, benign: Array) -> Array:
        return np.stack([rows[:, 0] > 0, rows[:, 1] > 0.3, benign == 1], axis=1).astype(np.int64)

    torch.manual_seed(SEED)
    truth = marks(data.train, data.train_target)
    module = trained(networks.Findings(), data.train, truth.astype(np.float32), nn.functional.binary_cross_entropy)
    shares = answers_of(module, data.fresh)
    marked = Data(data.names, data.train, truth, data.test, marks(data.test, data.test_target), data.fresh)
    fresh = Fresh(data.fresh, (shares > 0.5).astype(int), shares)
    return _given(module, marked, fresh, FINDINGS, folder if saved else None)


def _given(module: nn.Module, data: Data, fresh: Fresh, labels: tuple[str, ...], folder: Path | None) -> Trained:
    """As an exported program with its rows in a file, or all in memory."""
    alone = asked(module, data.test)
    if folder is None:
        return Trained(module, data.test, data.test_target, alone, fresh, {"labels": labels})
    path, rows = saved_program(module, data.test, folder), data.npz(folder, features=data.test)
    return Trained(path, rows, TARGET, alone, fresh, {"trust": True, "labels": labels})


def _positions(folder: Path) -> Trained:  # noqa: ARG001 - nothing is saved
    """Which pixels are light, grey or dark, told from a picture with noise."""
    data = real("digits")
    random = np.random.default_rng(SEED)
    clear = [images(rows) for rows in (data.train, data.test, data.fresh)]
    train, test, fresh = ((each + random.normal(0, 0.1, each.shape)).astype(np.float32)[:, None] for each in clear)
    classes = [np.digitize(each, [LIGHT, DARK]) for each in clear]
    torch.manual_seed(SEED)
    module = trained(networks.Masks(), train, classes[0])
    answers = Fresh(fresh, numbers=answers_of(module, fresh))
    return Trained(module, test, classes[1], asked(module, test), answers)


def _forecast(folder: Path) -> Trained:  # noqa: ARG001 - nothing is saved
    data = real("digits")
    pictures = [images(rows) for rows in (data.train, data.test, data.fresh)]
    train, test, fresh = (each[:, :6] for each in pictures)
    ink = [each[:, 6:].sum(axis=2) for each in pictures]
    torch.manual_seed(SEED)
    module = trained(networks.Forecast(), train, ink[0], nn.functional.mse_loss)
    answers = Fresh(fresh, numbers=answers_of(module, fresh))
    return Trained(module, test, ink[1], asked(module, test), answers)


def _two_inputs(folder: Path) -> Trained:  # noqa: ARG001 - nothing is saved
    data = real("digits")

    def both(rows: Array) -> dict[str, Array]:
        picture = images(rows)
        return {"image": picture[:, None], "numbers": picture.mean(axis=2)}

    train, test, fresh = map(both, (data.train, data.test, data.fresh))
    torch.manual_seed(SEED)
    module = networks.PictureAndColumns()
    optimizer = torch.optim.Adam(module.parameters(), lr=3e-3)
    tensors, truth = [torch.from_numpy(each) for each in train.values()], torch.from_numpy(data.train_target)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(truth)).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(*(each[batch] for each in tensors)), truth[batch]).backward()
            optimizer.step()
    module.eval()

    def ask(rows: dict[str, Array]) -> torch.Tensor:
        with torch.inference_mode():
            scores: torch.Tensor = module(*map(torch.from_numpy, rows.values()))
        return scores

    logits = ask(fresh)
    answers = Fresh(fresh, logits.argmax(dim=1).numpy(), logits.softmax(dim=1).numpy())
    row = {name: each[:1] for name, each in test.items()}
    return Trained(module, test, data.test_target, partial(ask, row), answers, {"labels": DIGITS})


def _live(folder: Path) -> Trained:  # noqa: ARG001 - nothing is saved
    data = real("digits")
    train, test, fresh = (images(rows)[:, None] for rows in (data.train, data.test, data.fresh))
    torch.manual_seed(SEED)
    module = trained(networks.convolutions(), train, data.train_target)
    told = {"labels": DIGITS}
    return Trained(module, test, data.test_target, asked(module, test), classes_of(module, fresh), told)
