"""Hugging Face models: directories as transformers or sentence-transformers saves them, and models in memory.

Nothing is downloaded and no code of the directory is run: weights come from safetensors files alone, architectures from
the installed transformers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.steps.token_ids import TokenIds
from onnxlet.toolchain.convert.networks.network import Network
from onnxlet.toolchain.convert.networks.probing_inputs import find_random_inputs
from onnxlet.toolchain.convert.networks.tensor_model import TensorModel
from onnxlet.toolchain.convert.options import SourceOptions
from onnxlet.toolchain.workbench.extras import require, versions
from onnxlet.toolchain.workbench.progress import Progress
from onnxlet.values.manifest import ReferenceKind
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import VARIABLE, Tensors

EXAMPLE_ROWS = 3
TOKENIZER = "tokenizer.json"

Encode = Callable[..., Any]
"""A SentenceTransformer's own: vectors [N, features] of texts."""


def open_model(path: Path, *, trust: bool, progress: Progress, options: SourceOptions) -> TensorModel:  # noqa: ARG001 - nothing is run
    """The encoder or image model in a directory. Raises ConversionError for others, and for weights in pickles."""
    require("huggingface", "torch", "onnxscript", "safetensors", "transformers", "tokenizers")
    if options.processor is not None:
        raise InvalidInputError("a processor is given beside a model in memory: save it in the model's directory")
    return TensorModel(_open_network(path, options, progress), options, progress)


def open_object(model: Any, *, progress: Progress, options: SourceOptions) -> TensorModel:
    """A model in memory, or a pipeline of one, by way of what its save_pretrained writes, its processors' too.

    Raises ConversionError for those not known here.
    """
    require("huggingface", "torch", "onnxscript", "safetensors", "transformers", "tokenizers")
    from transformers import Pipeline

    parts: tuple[Any, ...] = (model, options.processor)
    if isinstance(model, Pipeline):
        parts = (model.model, model.tokenizer, model.image_processor, options.processor)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder, type(parts[0]).__name__)
        for part in (each for each in parts if each is not None):
            part.save_pretrained(str(directory))
        encode = getattr(model, "encode", None)
        return TensorModel(_open_network(directory, options, progress, encode), options, progress)


def _open_network(directory: Path, options: SourceOptions, progress: Progress, encode: Encode | None = None) -> Network:
    from onnxlet.toolchain.convert.huggingface.images import ImageNetwork, is_image_model
    from onnxlet.toolchain.convert.huggingface.sentence_transformers import read_json

    architecture = next(iter(read_json(directory / "config.json").get("architectures") or []), "")
    if is_image_model(architecture) and not (directory / "modules.json").is_file():
        return ImageNetwork(directory, architecture, progress)
    return EncoderNetwork(directory, options.text or {}, progress, encode)


class EncoderNetwork:
    """An encoder as a network: a transformer, the layers after it, and its tokenizer."""

    framework = "Hugging Face Transformers"
    reference: ReferenceKind | None = "object"

    def __init__(
        self, directory: Path, text: Mapping[str, Any], progress: Progress, encode: Encode | None = None
    ) -> None:
        """`text` are fields of the tokenizer step; `encode` is a sentence encoder's own, in memory."""
        from onnxlet.toolchain.convert.huggingface.encoders import load_encoder
        from onnxlet.toolchain.convert.huggingface.sentence_transformers import read_encoder_layout
        from onnxlet.toolchain.convert.huggingface.tokenizer import load_tokenizer

        self.versions = versions("transformers", "tokenizers", "torch", "onnxscript", "onnx")
        layout = read_encoder_layout(directory)
        self._encoder = load_encoder(layout)
        self.labels = self._encoder.labels
        self.hints = self._encoder.hints
        self.names = self._encoder.names
        most_tokens = min(layout.max_tokens or self._encoder.max_tokens, self._encoder.max_tokens)
        self._encode = encode
        self._tokenizer = load_tokenizer(layout, self._encoder, most_tokens, text)
        if self._tokenizer is None:
            progress(
                f"{directory.name!r} has no tokenizer, or none that a step can follow: the version will take token ids "
                "and no texts"
            )
        self.tokenizer = None if self._tokenizer is None else self._tokenizer.step
        flags = self.tokenizer is not None and self.tokenizer.overflow == "flag"
        self.token_ids = TokenIds(self._encoder.bounds, self._encoder.max_tokens, flags)
        self.pairs = self._encoder.pairs
        self.assets: Mapping[str, bytes] = {TOKENIZER: self._tokenizer.contents} if self._tokenizer else {}

    def input_specs(self, example: Tensors | None) -> tuple[TensorSpec, ...]:
        """Token ids and what goes with them, of any number of texts and any length."""
        del example
        return tuple(TensorSpec(name, "INT64", (VARIABLE, VARIABLE)) for name in self.names)

    def answer(self, texts: Tensors) -> Tensors:
        """What the encoder gives for what its tokenizer makes of the texts, or of pairs of them.

        Raises InvalidInputError for texts that the version would read otherwise, or not at all.
        """
        if self._tokenizer is None:
            raise InvalidInputError("the model has no tokenizer that texts could be read by")
        tokens = self._tokenizer.tokens(texts)
        if self._encode is not None and len(texts) == 1:
            (column,) = texts.values()
            return {"embedding": np.asarray(self._encode(column.tolist(), show_progress_bar=False))}
        return self.run(tokens)

    def random_texts(self, names: Sequence[str], rows: int, tokens: int, *, seed: int) -> Tensors:
        """Texts of words of the vocabulary. Raises InvalidInputError without a tokenizer."""
        if self._tokenizer is None:
            raise InvalidInputError("the model has no tokenizer that texts could be made by")
        return self._tokenizer.random_texts(tuple(names), rows, tokens, seed=seed)

    def random_inputs(self, shapes: Mapping[str, tuple[int, ...]], *, seed: int) -> Tensors:
        """Random token ids of the vocabulary, texts after the first padded at their ends."""
        random = np.random.default_rng(seed)
        shape = next(iter(shapes.values()))
        rows, length = shape
        lengths = np.concatenate([[length], random.integers(1, length + 1, rows - 1)])
        mask = np.arange(length) < lengths[:, None]
        ids = random.integers(0, self._encoder.vocabulary, shape)
        # a padding token within a text would be another text
        ids = np.where(ids == self._encoder.pad, (ids + 1) % self._encoder.vocabulary, ids)
        tensors = {
            "input_ids": np.where(mask, ids, self._encoder.pad),
            "attention_mask": mask,
            "token_type_ids": mask & (np.arange(length) >= lengths[:, None] // 2),
        }
        return {name: tensors[name].astype(np.int64) for name in shapes}

    def run(self, inputs: Tensors) -> Tensors:
        """The encoder's answers. Raises InvalidInputError for texts that are too long, or tokens it does not know."""
        length = max(tensor.shape[1] if tensor.ndim > 1 else 0 for tensor in inputs.values())
        if length > self._encoder.max_tokens:
            raise InvalidInputError(f"the encoder reads {self._encoder.max_tokens} tokens, not {length}")
        return self._encoder.run(inputs)

    def export_graph(self) -> onnx.ModelProto:
        """The graph. Raises ConversionError."""
        from onnxlet.toolchain.convert.torch.exporter import export, to_onnx

        specs = self.input_specs(None)
        inputs = find_random_inputs(self, specs, rows=EXAMPLE_ROWS, seed=0)
        outputs = list(self._encoder.run(inputs))
        model = to_onnx(export(self._encoder.module, inputs, specs, by_name=True), self.names, outputs)
        if not outputs:
            raise ConversionError("the encoder gives no tensors")
        return model
