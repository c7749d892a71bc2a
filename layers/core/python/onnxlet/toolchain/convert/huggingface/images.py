"""Image models: what classifies pictures, or makes vectors of them, as a network that takes `pixel_values`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
import transformers
from torch import nn

from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.toolchain.convert.huggingface.image_processor import FILE, load_processor
from onnxlet.toolchain.convert.huggingface.pretrained import (
    check_weights,
    labels_of,
    load_pretrained,
    missing_weights,
    read_config,
    run_module,
)
from onnxlet.toolchain.convert.networks.outputs import OutputHints
from onnxlet.toolchain.convert.networks.probing_inputs import find_random_inputs, random_tensors
from onnxlet.toolchain.convert.torch.exporter import export, to_onnx
from onnxlet.toolchain.workbench.extras import versions
from onnxlet.toolchain.workbench.progress import Progress
from onnxlet.toolchain.workbench.table import quoted
from onnxlet.values.manifest import ReferenceKind
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import VARIABLE, Tensors

PIXELS = "pixel_values"
EXAMPLE_ROWS = 3
_HEADS = {
    "ForImageClassification": ("logits",),
    # whose logits are the mean of two heads'
    "ForImageClassificationWithTeacher": ("logits",),
    "ModelWithProjection": ("image_embeds",),
    "Model": ("pooler_output", "last_hidden_state"),
}
"""The outputs that are served, by the ending of the architecture's name."""
_STATES = 3
"""Dimensions of [rows, tokens, features]."""


def is_image_model(architecture: str) -> bool:
    """Whether transformers has this architecture, and gives it pictures."""
    return getattr(getattr(transformers, architecture, None), "main_input_name", "") == PIXELS


class ImageNetwork:
    """A model of pictures, for rows of one size."""

    framework = "Hugging Face Transformers"
    reference: ReferenceKind | None = "object"
    names: tuple[str, ...] = (PIXELS,)

    def __init__(self, directory: Path, architecture: str, progress: Progress) -> None:
        self.versions = versions("transformers", "torch", "onnxscript", "onnx")
        self.assets: Mapping[str, bytes] = {}
        config = read_config(directory)
        outputs = _choose_outputs(architecture)
        model, lacking = load_pretrained(getattr(transformers, architecture), directory, config)
        if missing_weights(lacking, pooler=True):
            outputs = tuple(name for name in outputs if name != "pooler_output")
        check_weights(directory.name, missing_weights(lacking, pooler=False))
        self._module = _ImageModule(model, outputs).eval().requires_grad_(requires_grad=False)
        self._channels = int(getattr(config, "num_channels", 3))
        self._processor = load_processor(directory, PIXELS)
        if self._processor is None and (directory / FILE).is_file():
            progress(f"{FILE!r} asks for what no step does, so the version will take tensors and no pictures")
        self.image = None if self._processor is None else self._processor.step
        self._size = (self.image.size if self.image else None) or _size_of(config)
        self.labels = labels_of(config) if outputs == ("logits",) else ()
        self.hints = _hints(config, outputs)

    def input_specs(self, example: Tensors | None) -> tuple[TensorSpec, ...]:
        """Pictures of the size that the processor makes, else the example's, or the configuration's; else of any."""
        if (
            self.image is None
            and example is not None
            and VARIABLE not in self._size
            and example[PIXELS].ndim == 2 + len(self._size)
        ):
            self._size = tuple(example[PIXELS].shape[2:])
        return (TensorSpec(PIXELS, "FP32", (VARIABLE, self._channels, *self._size)),)

    def read_pictures(self, files: Sequence[Path]) -> Tensors:
        """What the directory's own processor makes of pictures. Raises InvalidInputError without one."""
        if self._processor is None:
            raise InvalidInputError(
                f"the model has no {FILE} that pictures could be read by: save its processor beside it, or give "
                f"{PIXELS} in a .npz file"
            )
        return {PIXELS: self._processor.read(files)}

    def random_inputs(self, shapes: Mapping[str, tuple[int, ...]], *, seed: int) -> Tensors:
        """Normal numbers, as scaled pixels are."""
        return random_tensors({spec.name: spec for spec in self.input_specs(None)}, shapes, seed=seed)

    def run(self, inputs: Tensors) -> Tensors:
        """The model's answers. Raises InvalidInputError for pictures of a size that it does not take."""
        return run_module(self._module, inputs, "the model does not take these pictures")

    def export_graph(self) -> onnx.ModelProto:
        """The graph. Raises ConversionError."""
        specs = self.input_specs(None)
        inputs = find_random_inputs(self, specs, rows=EXAMPLE_ROWS, seed=0)
        outputs = list(self.run(inputs))
        return to_onnx(export(self._module, inputs, specs, by_name=True), self.names, outputs)


def _choose_outputs(architecture: str) -> tuple[str, ...]:
    """What such a model is served for. Raises ConversionError for one with a head that is not known here."""
    for ending, outputs in _HEADS.items():
        if architecture.endswith(ending):
            return outputs
    raise ConversionError(
        f"a {architecture} neither classifies pictures nor makes vectors of them: architectures that do end in "
        f"{quoted(_HEADS)}; export it yourself and convert the .onnx file",
        architecture=architecture,
    )


def _size_of(config: Any) -> tuple[int, int]:
    """Height and width that the configuration names; of any size without."""
    size = getattr(config, "image_size", None) or VARIABLE
    height, width = (size, size) if isinstance(size, int) else size
    return int(height), int(width)


def _hints(config: Any, outputs: tuple[str, ...]) -> OutputHints:
    """What a head is known to give: logits, of each label by itself where the configuration says so."""
    if outputs != ("logits",):
        return OutputHints(task="embedding")
    several = getattr(config, "problem_type", None) == "multi_label_classification"
    return OutputHints(are="independent-logits" if several else "logits")


class _ImageModule(nn.Module):  # type: ignore[misc]
    """The model's own call, with what it gives by name; maps of features [rows, features, 1, 1] as vectors."""

    def __init__(self, model: nn.Module, outputs: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.outputs = model, outputs

    def forward(self, pixel_values: torch.Tensor) -> dict[str, torch.Tensor]:
        answer = self.model(pixel_values=pixel_values, return_dict=True)
        given = {name: answer[name] for name in self.outputs if answer.get(name) is not None}
        if "pooler_output" in given:
            given["pooler_output"] = given["pooler_output"].flatten(1)
            # a convolutional network's is a map, which its vector sums up
            given = {name: tensor for name, tensor in given.items() if tensor.ndim <= _STATES}
        return given
