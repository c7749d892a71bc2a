"""PyTorch: programs, modules with weights, a graph of its own exporter; and models of Hugging Face."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from fidelity import encoders, networks, torch_outputs
from fidelity.case import SEED, Case, Fresh, Trained
from fidelity.data import TARGET, Array, Data, images, real
from fidelity.torch_training import answers_of, asked, classes_of, saved_program, trained

torch.set_num_threads(1)
FRAMEWORK = "PyTorch"
DIGITS = tuple(map(str, range(10)))


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
    yield from torch_outputs.cases()
    yield from encoders.cases()


def _made(factory: str) -> nn.Module:
    torch.manual_seed(SEED)
    module: nn.Module = getattr(networks, factory)()
    return module


def _of_digits(factory: str, shape: tuple[int, ...]) -> tuple[Data, nn.Module, Array, Fresh]:
    """A network for pictures, and those that it was not trained on."""
    data = real("digits")
    module = trained(_made(factory), images(data.train).reshape(-1, *shape), data.train_target)
    fresh = classes_of(module, images(data.fresh).reshape(-1, *shape))
    return data, module, images(data.test).reshape(-1, *shape), fresh


def _program(factory: str, shape: tuple[int, ...], folder: Path) -> Trained:
    data, module, pictures, fresh = _of_digits(factory, shape)
    path = saved_program(module, pictures, folder)
    name = "image" if factory.endswith("convolutions") else "lines"
    rows = data.npz(folder, **{name: pictures})
    return Trained(path, rows, TARGET, asked(module, pictures), fresh, {"trust": True, "labels": DIGITS})


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
    return Trained(source, data.npz(folder, image=pictures), TARGET, asked(module, pictures), fresh, told)


def _columns(folder: Path) -> Trained:
    data = real("breast cancer")
    train, test, fresh = (rows.astype(np.float32) for rows in (data.train, data.test, data.fresh))
    module = trained(_made("perceptron"), train, data.train_target)
    told = {"trust": True, "labels": ("malignant", "benign")}
    return Trained(
        saved_program(module, test, folder),
        data.csv(folder),
        TARGET,
        asked(module, test),
        classes_of(module, fresh),
        told,
    )


def _wide_columns(folder: Path) -> Trained:
    data = real("digits")
    train, test, fresh = (rows.astype(np.float32) for rows in (data.train, data.test, data.fresh))
    module = trained(_made("wide_perceptron"), train, data.train_target)
    told = {"trust": True, "labels": DIGITS}
    return Trained(
        saved_program(module, test, folder),
        data.csv(folder),
        TARGET,
        asked(module, test),
        classes_of(module, fresh),
        told,
    )


def _regression(folder: Path) -> Trained:
    data = real("diabetes")
    train, test, fresh = (rows.astype(np.float32) * 20 for rows in (data.train, data.test, data.fresh))
    scaled = Data(data.names, train, data.train_target, test, data.test_target, fresh)
    torch.manual_seed(SEED)
    module = trained(networks.Regression(), train, data.train_target.astype(np.float32), nn.functional.mse_loss)
    path = saved_program(module, test, folder)
    answers = Fresh(fresh, numbers=answers_of(module, fresh))
    return Trained(path, scaled.csv(folder), TARGET, asked(module, test), answers, {"trust": True})


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
    shares = torch.from_numpy(answers_of(module, pictures)).softmax(dim=1).numpy()
    expected = {"label": np.array(DIGITS)[shares.argmax(axis=1)], "probabilities": shares}
    told = {"labels": DIGITS, "expected": expected}
    return Trained(path, data.npz(folder, image=pictures), TARGET, asked(module, pictures), fresh, told)
