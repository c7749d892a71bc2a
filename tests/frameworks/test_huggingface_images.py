"""Converting Hugging Face models of images: the same labels and vectors for pictures, one or many at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import trained
from frameworks.conftest import Ship
from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.serving.engine import OnnxEngine, load_engine
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.verify import verify
from onnxlet.values.manifest import ReferenceOrigin
from onnxlet.values.signature import TensorSpec

pytestmark = pytest.mark.torch
torch.set_num_threads(1)

LABELS = ("normal", "opacity", "effusion")
SIZE = 32
VIT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "patch_size": 8}
STAGES = {"hidden_sizes": [8, 16, 32, 64], "depths": [1, 1, 1, 1]}
FAMILIES: dict[str, dict[str, Any]] = {
    "ViT": VIT,
    "Dinov2": VIT,
    "ConvNext": STAGES,
    "ResNet": {"embedding_size": 8, **STAGES},
    "MobileNetV2": {"depth_multiplier": 0.25},
    "EfficientNet": {"width_coefficient": 0.25, "depth_coefficient": 0.25, "hidden_dim": 320},
    "Swin": {"embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 4},
}


def model_of(family: str, head: str = "ForImageClassification", **settings: Any) -> Any:
    """A small model with random weights, whose normalisations have seen some pictures."""
    torch.manual_seed(0)
    named = {"id2label": dict(enumerate(LABELS)), "num_labels": len(LABELS)} if "Classification" in head else {}
    size = {} if family == "ResNet" else {"image_size": SIZE}
    config = getattr(transformers, f"{family}Config")(**FAMILIES[family], **size, **named, **settings)
    model = getattr(transformers, f"{family}{head}")(config)
    with torch.no_grad():
        model.train()(torch.from_numpy(pictures(16)))
    return model.eval()


def pictures(count: int, size: int = SIZE, seed: int = 0) -> trained.Array:
    return np.random.default_rng(seed).standard_normal((count, 3, size, size)).astype(np.float32)


def asked(model: Any, pixels: trained.Array) -> Any:
    with torch.no_grad():
        return model(pixel_values=torch.from_numpy(pixels))


def engine_of(converted: Path) -> OnnxEngine:
    return load_engine(converted / "model.onnx", threads=1, optimized=False, run_deadline=30)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_classifier_of_images_gives_its_labels_for_any_number_of_them(tmp_path: Path, family: str) -> None:
    model = model_of(family)
    model.save_pretrained(tmp_path / "model")

    draft = convert(tmp_path / "model", tmp_path / "out")

    assert draft.labels == LABELS
    assert draft.reference == ReferenceOrigin("object", "Hugging Face Transformers", transformers.__version__)
    side = -1 if family == "ResNet" else SIZE
    assert draft.graph.inputs == (TensorSpec("pixel_values", "FP32", (-1, 3, side, side)),)
    engine = engine_of(tmp_path / "out")
    for count in (1, 2, 7):
        pixels = pictures(count, seed=count)
        answers = engine.run({"pixel_values": pixels})
        expected = asked(model, pixels).logits.softmax(dim=1).numpy()
        np.testing.assert_allclose(answers["probabilities"], expected, atol=1e-5)
        assert answers["label"].tolist() == expected.argmax(axis=1).tolist()


@pytest.mark.parametrize(
    ("family", "states"), [("ViT", True), ("Dinov2", True), ("ConvNext", False), ("ResNet", False)]
)
def test_a_model_without_a_head_makes_vectors_of_images(tmp_path: Path, family: str, *, states: bool) -> None:
    model = model_of(family, "Model")
    model.save_pretrained(tmp_path / "model")

    draft = convert(tmp_path / "model", tmp_path / "out", data={"pixel_values": pictures(40)})

    assert [spec.name for spec in draft.graph.outputs] == ["pooler_output", "last_hidden_state"][: 1 + states]
    assert verify(tmp_path / "out", data={"pixel_values": pictures(40)}).holds
    for count in (1, 2, 7):
        answers = engine_of(tmp_path / "out").run({"pixel_values": pictures(count, seed=count)})
        expected = asked(model, pictures(count, seed=count))
        vectors = expected.pooler_output.flatten(1).numpy()
        np.testing.assert_allclose(answers["pooler_output"], vectors, atol=1e-5)
        if states:
            np.testing.assert_allclose(answers["last_hidden_state"], expected.last_hidden_state.numpy(), atol=1e-5)


def test_a_network_of_convolutions_takes_images_of_other_sizes(tmp_path: Path) -> None:
    model = model_of("ResNet")
    convert(model, tmp_path / "out")

    wide = np.random.default_rng(3).standard_normal((2, 3, 48, 80)).astype(np.float32)

    np.testing.assert_allclose(
        engine_of(tmp_path / "out").run({"pixel_values": wide})["probabilities"],
        asked(model, wide).logits.softmax(dim=1).numpy(),
        atol=1e-5,
    )


def test_a_live_model_is_measured_on_images_and_served(tmp_path: Path, shipping: Ship) -> None:
    model = model_of("ViT")
    pixels = pictures(40)
    names = np.array(LABELS)[asked(model, pixels).logits.argmax(dim=1).numpy()]
    data = trained.npz_of(tmp_path / "films.npz", {"pixel_values": pixels, "finding": names})

    shipped = shipping(model, data=data, target="finding")

    assert shipped.draft.evaluations[-1].metrics["accuracy"] == 1
    assert verify(shipped.converted, data=data, target="finding").holds
    answer = shipped.dataplane.invoke({"model": "model", "instances": pictures(2, seed=9).tolist()})
    expected = asked(model, pictures(2, seed=9)).logits.argmax(dim=1).numpy()
    assert [each["label"] for each in answer["predictions"]] == [LABELS[index] for index in expected]


def test_findings_that_do_not_exclude_each_other_are_served_one_by_one(tmp_path: Path) -> None:
    model = model_of("ViT", problem_type="multi_label_classification")

    convert(model, tmp_path / "out")

    answers = engine_of(tmp_path / "out").run({"pixel_values": pictures(4)})
    expected = asked(model, pictures(4)).logits.sigmoid().numpy()
    np.testing.assert_allclose(answers["probabilities_opacity"][:, 1], expected[:, 1], atol=1e-5)


def test_images_of_a_size_that_the_model_does_not_take_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="does not take these pictures"):
        convert(model_of("ViT"), tmp_path / "out", data={"pixel_values": pictures(8, size=40)})


def test_an_image_model_with_another_head_is_named(tmp_path: Path) -> None:
    config = transformers.ViTConfig(image_size=SIZE, **VIT)
    with pytest.raises(ConversionError, match="ViTForMaskedImageModeling neither classifies pictures nor"):
        convert(transformers.ViTForMaskedImageModeling(config), tmp_path / "out")


def test_a_head_that_was_never_saved_is_refused(tmp_path: Path) -> None:
    model_of("ViT").save_pretrained(tmp_path / "model")
    weights = load_file(tmp_path / "model/model.safetensors")
    del weights["classifier.weight"]
    save_file(weights, tmp_path / "model/model.safetensors", metadata={"format": "pt"})

    with pytest.raises(ConversionError, match=r"lack 'classifier\.weight'"):
        convert(tmp_path / "model", tmp_path / "out")
