"""Converting image models with their processors: pictures in, the labels and vectors that transformers gives out."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers.image_utils import load_image

import trained
from frameworks.conftest import Ship
from frameworks.shipping import Shipped
from frameworks.test_huggingface_images import LABELS, model_of
from onnxlet.dataplane.messages import Request
from onnxlet.errors import InvalidInputError
from onnxlet.steps import decode_steps
from onnxlet.steps.image import Image
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.optimize import optimize
from onnxlet.toolchain.verify import verify
from pictures import picture, written

pytestmark = pytest.mark.torch
torch.set_num_threads(1)

SQUARE = {"height": 32, "width": 32}


def processor_of(family: str, **settings: Any) -> Any:
    """The processor of a family, of transformers' portable kind."""
    module = importlib.import_module(f"transformers.models.{family.lower()}.image_processing_pil_{family.lower()}")
    return getattr(module, f"{family}ImageProcessorPil")(**settings)


def saved(folder: Path, family: str, processor: Any, **settings: Any) -> Any:
    """A model with its processor in a directory."""
    model = model_of(family, **settings)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return model


def films(folder: Path, count: int = 24) -> list[Path]:
    """Pictures of many shapes and formats."""
    folder.mkdir(exist_ok=True)
    files = []
    for index in range(count):
        kind = ("JPEG", "PNG", "WEBP", "TIFF")[index % 4]
        random = np.random.default_rng(index)
        width, height = random.integers(20, 120, 2).tolist()
        files.append(folder / f"film {index}.{kind.lower()}")
        files[-1].write_bytes(written(picture(width, height, "L" if index % 5 == 0 else "RGB", seed=index), kind))
    return files


def probabilities_of(model: Any, processor: Any, files: list[Path]) -> trained.Array:
    """What transformers' own pipeline gives for the files."""
    rows = []
    for file in files:
        pixels = processor(images=load_image(str(file)), return_tensors="pt")["pixel_values"]
        with torch.no_grad():
            rows.append(model(pixel_values=pixels).logits.softmax(dim=1).numpy())
    return np.concatenate(rows)


def listed(folder: Path, files: list[Path], labels: list[str], **more: list[str]) -> Path:
    """A CSV file that names the pictures and what is on them."""
    columns = {"image": [file.name for file in files], **more, "finding": labels}
    return trained.write_csv(
        folder / "films.csv", list(columns), [list(row) for row in zip(*columns.values(), strict=True)]
    )


def answer_to(shipped: Shipped, file: Path) -> dict[str, Any]:
    """What the served version answers to a file as a body."""
    kind = file.suffix.removeprefix(".")
    response = shipped.dataplane.answer(
        Request("POST", "/v1/models/model:predict", "", {"content-type": f"image/{kind}"}, file.read_bytes())
    )
    assert response.status == 200, response.body
    assert isinstance(response.body, bytes)
    (told,) = json.loads(response.body)["predictions"]
    return dict(told)


@pytest.mark.representative
def test_a_version_answers_pictures_as_the_processor_and_the_model_do(tmp_path: Path, shipping: Ship) -> None:
    processor = processor_of("ViT", size=SQUARE)
    model = saved(tmp_path / "model", "ViT", processor)
    files = films(tmp_path / "films")
    expected = probabilities_of(model, processor, files)
    labels = [LABELS[index] for index in expected.argmax(axis=1)]
    data = listed(tmp_path / "films", files, labels, ward=["a", "b"] * 12)

    shipped = shipping(tmp_path / "model", data=data, target="finding")

    assert shipped.draft.evaluations[-1].metrics["accuracy"] == 1
    assert verify(shipped.converted, data=data, target="finding", slices=("ward",)).holds
    for file, row, label in zip(files, expected, labels, strict=True):
        answer = answer_to(shipped, file)
        assert answer["label"] == label
        np.testing.assert_allclose(answer["probabilities"], row, atol=1e-5)


def test_verify_reads_the_pictures_again_by_the_versions_own_step(tmp_path: Path) -> None:
    processor = processor_of("ViT", size=SQUARE)
    model = saved(tmp_path / "model", "ViT", processor)
    files = films(tmp_path / "films")
    labels = [LABELS[index] for index in probabilities_of(model, processor, files).argmax(axis=1)]
    data = listed(tmp_path / "films", files, labels)
    convert(tmp_path / "model", tmp_path / "out", data=data, target="finding")
    optimize(tmp_path / "out", tmp_path / "optimized", data=data, target="finding")
    assert verify(tmp_path / "optimized", data=data, target="finding").holds

    files[2].write_bytes(files[2].read_bytes()[:-40])

    with pytest.raises(InvalidInputError, match="row 3: picture 0 is broken or cut off"):
        verify(tmp_path / "out", data=data, target="finding")


@pytest.mark.parametrize(
    ("family", "processor", "settings"),
    [
        ("ViT", "ViT", {"size": SQUARE, "resample": 3, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}),
        ("ViT", "ViT", {"size": SQUARE, "do_normalize": False}),
        ("ViT", "CLIP", {"size": {"shortest_edge": 40}, "crop_size": SQUARE}),
        ("Dinov2", "Bit", {"size": {"shortest_edge": 47}, "crop_size": SQUARE}),
        ("ConvNext", "ConvNext", {"size": {"shortest_edge": 32}}),
        ("ResNet", "ConvNext", {"size": {"shortest_edge": 32}, "crop_pct": 0.95}),
        ("ConvNext", "ConvNext", {"size": {"shortest_edge": 384}}),
        ("EfficientNet", "EfficientNet", {"size": SQUARE}),
        ("EfficientNet", "EfficientNet", {"size": SQUARE, "rescale_offset": True, "include_top": False}),
    ],
)
def test_the_processors_of_transformers_become_steps(
    tmp_path: Path, family: str, processor: str, settings: dict[str, Any]
) -> None:
    made = processor_of(processor, **settings)
    model = saved(tmp_path / "model", family, made)
    files = films(tmp_path / "films", 8)
    data = listed(tmp_path / "films", files, [LABELS[0]] * 8)

    draft = convert(tmp_path / "model", tmp_path / "out", data=data, target="finding")

    step = next(step for step in decode_steps(draft.steps).each if isinstance(step, Image))
    assert draft.graph.inputs[0].shape == (-1, 3, *(step.size or ()))
    served = step.preprocessor(draft.graph.inputs)
    sent = np.array([file.read_bytes() for file in files], dtype=object)
    pixels = np.concatenate([made(images=load_image(str(file)), return_tensors="np")["pixel_values"] for file in files])
    got = np.concatenate([served({"image_bytes": sent[row : row + 1]})["pixel_values"] for row in range(len(files))])
    if family == "EfficientNet":
        np.testing.assert_allclose(got, pixels, rtol=1e-5, atol=1e-5)
    else:
        assert np.array_equal(got, pixels)
    assert model.config.id2label[0] == draft.labels[0]


def test_a_processor_that_no_step_can_follow_leaves_a_version_of_tensors(tmp_path: Path) -> None:
    saved(tmp_path / "model", "ViT", processor_of("ViT", size={"longest_edge": 32, "shortest_edge": 20}))
    said: list[str] = []

    draft = convert(tmp_path / "model", tmp_path / "out", on_progress=said.append)

    assert [step["kind"] for step in draft.steps] == ["classification"]
    assert any("asks for what no step does" in line for line in said)


def test_pictures_that_cannot_be_served_are_named_by_their_rows(tmp_path: Path) -> None:
    saved(tmp_path / "model", "ViT", processor_of("ViT", size=SQUARE))
    files = films(tmp_path / "films", 4)
    data = listed(tmp_path / "films", files, [LABELS[0]] * 4)
    files[1].write_bytes(written(picture(mode="CMYK"), "JPEG"))
    with pytest.raises(InvalidInputError, match="row 2: picture 0 is in CMYK"):
        convert(tmp_path / "model", tmp_path / "out", data=data, target="finding")
    files[1].unlink()
    with pytest.raises(InvalidInputError, match="row 2: the file cannot be read: No such file"):
        convert(tmp_path / "model", tmp_path / "out", data=data, target="finding")
    (tmp_path / "model/preprocessor_config.json").unlink()
    with pytest.raises(InvalidInputError, match=r"no preprocessor_config\.json that pictures could be read by"):
        convert(tmp_path / "model", tmp_path / "out", data=data, target="finding")


def test_a_model_in_memory_is_given_its_processor_beside_it(tmp_path: Path, shipping: Ship) -> None:
    processor = processor_of("ViT", size=SQUARE)
    model = model_of("ViT")
    files = films(tmp_path / "films", 8)
    expected = probabilities_of(model, processor, files)
    data = listed(tmp_path / "films", files, [LABELS[index] for index in expected.argmax(axis=1)])

    shipped = shipping(model, data=data, target="finding", processor=processor)

    for file, row in zip(files, expected, strict=True):
        np.testing.assert_allclose(answer_to(shipped, file)["probabilities"], row, atol=1e-5)
