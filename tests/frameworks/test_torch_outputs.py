"""What the outputs of PyTorch's networks are: the very models that once got a second sigmoid, or a softmax too many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import f1_score, jaccard_score
from torch import nn

import onnxlet
import trained
from frameworks.test_huggingface import SENTENCES, asked, engine_of, saved, tokens_of
from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.verify import verify
from onnxlet.values.manifest import OutputMeaning

pytestmark = pytest.mark.torch
torch.set_num_threads(1)

NAMES = ["malignant", "benign"]
FINDINGS = ["large", "rough", "benign"]


def tumours() -> tuple[trained.Array, trained.Array]:
    """Features of mean 0 and spread 1, and whether each tumour is benign."""
    bunch = load_breast_cancer()
    features = (bunch.data - bunch.data.mean(axis=0)) / bunch.data.std(axis=0)
    return features.astype(np.float32), bunch.target


class Clamped(nn.Module):  # type: ignore[misc]
    """A sigmoid, clamped so that no logarithm of it is infinite."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(30, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.clamp(torch.sigmoid(self.layer(features)), 1e-6, 1 - 1e-6)


class Twice(Clamped):
    """A sigmoid of a sigmoid."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(super().forward(features))


class Ensemble(nn.Module):  # type: ignore[misc]
    """The mean of what three networks give for a probability."""

    def __init__(self) -> None:
        super().__init__()
        self.members = nn.ModuleList(Clamped() for _ in range(3))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.stack([member(features) for member in self.members]).mean(dim=0)


class Findings(nn.Module):  # type: ignore[misc]
    """Three sigmoids, each for a label of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(30, 3)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.layer(features))


class Masks(nn.Module):  # type: ignore[misc]
    """Logits [N, 3, 32, 32] of three classes at each pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 3, 3, padding=1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.layers(image)
        return scores


def fitted(module: nn.Module, target: trained.Array) -> nn.Module:
    """The module, trained for a moment on the tumours."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.05)
    features, truth = torch.from_numpy(tumours()[0]), torch.from_numpy(target.astype(np.float32))
    optimizer = torch.optim.Adam(module.parameters(), lr=0.05)
    for _ in range(80):
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy(module(features), truth.reshape(len(truth), -1)).backward()
        optimizer.step()
    return module.eval()


def answered(module: nn.Module, inputs: trained.Array) -> trained.Array:
    with torch.no_grad():
        answers: trained.Array = module(torch.from_numpy(inputs)).numpy()
    return answers


def program(module: nn.Module, folder: Path) -> Path:
    example = (torch.from_numpy(tumours()[0][:3]),)
    exported = torch.export.export(module, example, dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(exported, folder / "model.pt2")
    return folder / "model.pt2"


@pytest.mark.parametrize("make", [Clamped, Ensemble])
def test_a_sigmoid_that_is_not_the_last_operator_is_served_as_it_is(tmp_path: Path, make: Any) -> None:
    features, truth = tumours()
    module = fitted(make(), truth)
    store = (tmp_path / "store").as_uri()

    onnxlet.ship(module, "tumour", data=features, target=truth, labels=NAMES, promote=True, store=store)
    version = onnxlet.load("tumour", store=store)

    own = answered(module, features).ravel()
    assert ((own > 0.5) == truth).mean() > 0.95
    assert version.manifest.outputs == OutputMeaning(are="probabilities", said_by="answers")
    assert version.manifest.contract is not None
    assert version.manifest.contract.holds
    np.testing.assert_allclose(version.predict_proba(features)[:, 1], own, atol=1e-5)
    assert np.array_equal(version.predict(features), (own > 0.5).astype(int))


def test_a_program_of_such_a_sigmoid_is_read_alike(tmp_path: Path) -> None:
    features, truth = tumours()
    module = fitted(Clamped(), truth)
    data = trained.npz_of(tmp_path / "data.npz", {"features": features, "benign": truth})

    draft = convert(program(module, tmp_path), tmp_path / "out", data=data, target="benign", labels=NAMES, trust=True)

    assert draft.reference is not None
    assert draft.reference.kind == "file"
    assert draft.evaluations[-1].metrics["accuracy"] == ((answered(module, features).ravel() > 0.5) == truth).mean()


def test_a_program_with_the_fingerprint_of_a_doubled_sigmoid_is_asked_about(tmp_path: Path) -> None:
    features, truth = tumours()
    module = fitted(Clamped(), truth)
    twice = Twice()
    twice.load_state_dict(module.state_dict())
    data = trained.npz_of(tmp_path / "data.npz", {"features": features, "benign": truth})
    path = program(twice.eval(), tmp_path)
    options: dict[str, Any] = {"data": data, "target": "benign", "labels": NAMES, "trust": True}
    share = answered(twice, features).ravel().astype(np.float64)
    expected = trained.npz_of(
        tmp_path / "expected.npz",
        {"label": (share > 0.5).astype(int), "probabilities": np.stack([1 - share, share], axis=1)},
    )

    with pytest.raises(InvalidInputError, match=r"between 0\.5 and 0\.7311 .* went through a sigmoid twice"):
        convert(path, tmp_path / "out", **options)

    said = convert(path, tmp_path / "out", **options, outputs_are="probabilities")
    assert said.outputs == OutputMeaning(are="probabilities", said_by="user")
    contract = verify(tmp_path / "out", data=data, target="benign")
    assert any("no better than always" in oddity for oddity in contract.oddities)
    assert convert(path, tmp_path / "expected", **options, expected=expected).reference is not None


def test_the_same_in_memory_is_odd_and_stops_nothing(tmp_path: Path) -> None:
    features, truth = tumours()
    module = fitted(Clamped(), truth)
    twice = Twice()
    twice.load_state_dict(module.state_dict())

    convert(twice, tmp_path / "out", data=features, target=truth, labels=NAMES)
    contract = verify(tmp_path / "out", data=features, target=truth)

    assert contract.holds
    assert "the class 'malignant' is never predicted" in contract.oddities


def test_three_sigmoids_are_three_labels(tmp_path: Path) -> None:
    features, truth = tumours()
    marks = np.stack([features[:, 0] > 0, features[:, 1] > 0.3, truth == 1], axis=1).astype(np.int64)
    module = fitted(Findings(), marks)
    store = (tmp_path / "store").as_uri()

    onnxlet.ship(module, "findings", data=features, target=marks, labels=FINDINGS, promote=True, store=store)
    version = onnxlet.load("findings", store=store)

    own = answered(module, features)
    assert version.manifest.outputs == OutputMeaning(are="independent", said_by="answers")
    assert np.array_equal(version.predict(features), (own > 0.5).astype(int))
    np.testing.assert_allclose(version.predict_proba(features), own, atol=1e-5)
    contract = version.manifest.contract
    assert contract is not None
    assert contract.stages[0].metrics["accuracy_rough"].value == pytest.approx(
        ((own[:, 1] > 0.5) == marks[:, 1]).mean(), rel=1e-5
    )


def test_masks_of_a_module_are_judged_along_its_channels(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Masks().eval()
    images = np.random.default_rng(0).normal(size=(24, 1, 32, 32)).astype(np.float32)
    own = answered(module, images).argmax(axis=1)
    masks = np.where(np.random.default_rng(1).random(own.shape) < 0.1, (own + 1) % 3, own)

    draft = convert(module, tmp_path / "out", data=images, target=masks)
    contract = verify(tmp_path / "out", data=images, target=masks)

    assert draft.outputs == OutputMeaning(are="logits", task="segmentation", output="prediction", class_axis=1)
    assert contract.holds
    metrics = contract.stages[0].metrics
    for metric, witness in (("dice", f1_score), ("iou", jaccard_score)):
        expected = witness(masks.ravel(), own.ravel(), average=None)
        assert [metrics[f"{metric}_{name}"].value for name in "012"] == pytest.approx(expected.tolist(), rel=1e-5)


def test_labels_that_an_encoder_gives_apart_are_served_apart(tmp_path: Path) -> None:
    folder, model = saved(
        tmp_path / "classifier",
        transformers.BertForSequenceClassification,
        num_labels=3,
        id2label={0: "pain", 1: "fever", 2: "cough"},
        problem_type="multi_label_classification",
    )

    draft = convert(folder, tmp_path / "out")

    assert draft.outputs == OutputMeaning(are="independent-logits", said_by="model")
    tokens = tokens_of(tmp_path / "out", SENTENCES)
    expected = torch.sigmoid(asked(model, tokens).logits).numpy()
    answers = engine_of(tmp_path / "out").run(tokens)
    for column, name in enumerate(("pain", "fever", "cough")):
        np.testing.assert_allclose(answers[f"probabilities_{name}"][:, 1], expected[:, column], atol=1e-5)


def test_classes_of_tokens_are_judged_token_by_token(tmp_path: Path) -> None:
    folder, _ = saved(
        tmp_path / "tagger",
        transformers.BertForTokenClassification,
        num_labels=3,
        id2label={0: "O", 1: "B-SITE", 2: "I-SITE"},
    )

    draft = convert(folder, tmp_path / "out")

    assert draft.outputs == OutputMeaning(
        are="logits",
        said_by="model",
        task="segmentation",
        output="prediction",
        class_axis=2,
        labels=("O", "B-SITE", "I-SITE"),
    )
