"""What is used of a framework's network: inputs, answers, and the graph that it exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import onnx

from onnxlet.steps.image import Image
from onnxlet.steps.token_ids import TokenIds
from onnxlet.steps.tokenizer import Tokenizer
from onnxlet.toolchain.convert.networks.outputs import OutputHints
from onnxlet.values.manifest import ReferenceKind
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import Tensors


class Network(Protocol):
    """A framework's model of tensors."""

    framework: str
    versions: dict[str, str]
    reference: ReferenceKind | None
    labels: tuple[str, ...]
    """The names of the classes that the model itself has."""
    assets: Mapping[str, bytes]
    """Further files of the version, by name."""
    names: tuple[str, ...]
    """The names of its inputs, in its own order."""
    hints: OutputHints
    """What the model itself tells of its outputs."""

    def input_specs(self, example: Tensors | None) -> tuple[TensorSpec, ...]:
        """Its inputs; where the model leaves them open, like the `example`'s. -1 is a dimension of any size.

        Raises InvalidInputError if neither says what the inputs are.
        """

    def random_inputs(self, shapes: Mapping[str, tuple[int, ...]], *, seed: int) -> Tensors:
        """Draw random inputs of these shapes, with values that the model could meet."""

    def run(self, inputs: Tensors) -> Tensors:
        """Its answers by the names of the graph's outputs. Raises InvalidInputError for inputs that it refuses."""

    def export_graph(self) -> onnx.ModelProto:
        """The model as a graph. Raises ConversionError naming what has no ONNX form."""


@runtime_checkable
class ReadsPictures(Protocol):
    """A network of images, which may bring what makes its input of pictures."""

    image: Image | None
    """The step that does the same; None if there is none."""

    def read_pictures(self, files: Sequence[Path]) -> Tensors:
        """What the framework makes of the pictures. Raises InvalidInputError where it cannot, or the step differs."""


@runtime_checkable
class ReadsTexts(Protocol):
    """A network of token ids, which may bring its tokenizer."""

    tokenizer: Tokenizer | None
    """The step that does the same as the tokenizer, for a single text; None if there is none."""
    token_ids: TokenIds
    """What refuses token ids that it does not know."""
    pairs: bool
    """Whether it is made for pairs of texts."""

    def answer(self, texts: Tensors) -> Tensors:
        """Its own answers to columns [N] of texts, by its own tokenizer.

        Raises InvalidInputError for texts that it does not take, and where the step makes other token ids of them.
        """

    def random_texts(self, names: Sequence[str], rows: int, tokens: int, *, seed: int) -> Tensors:
        """Make up texts of about so many tokens of its vocabulary, in columns of these names."""
