"""Options: what the caller says of a model beyond what its file does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import nan
from pathlib import Path
from typing import Any, get_args

import msgspec

from onnxlet.errors import InvalidInputError
from onnxlet.values.contract import TaskKind
from onnxlet.values.datatypes import DATATYPES
from onnxlet.values.manifest import OutputsAre
from onnxlet.values.signature import TensorSpec

_SIZE = r"(?:-1|[1-9][0-9]{0,8})"
_INPUT = re.compile(rf"(?P<name>[^=]+)=(?P<datatype>[A-Z0-9]+)\[(?P<shape>{_SIZE}(?:,{_SIZE})*)\]")
KINDS: tuple[str, ...] = get_args(OutputsAre)
TASKS = ("regression", "embedding", "segmentation", "tensors")
"""How answers are judged where no labels name classes of rows."""


@dataclass(frozen=True)
class SourceOptions:
    """What a framework's open_model is given; `Framework.options` lists the fields that it can use."""

    labels: tuple[str, ...] = ()
    """Names of the classes, in the order of the outputs that score them."""
    weights: Path | None = None
    """A file with the weights of a model whose source is code."""
    inputs: tuple[TensorSpec, ...] = ()
    """Names, datatypes and shapes of inputs, in place of what the model or the data say."""
    outputs: tuple[str, ...] = ()
    """Names for the outputs, in the model's order."""
    signature: str | None = None
    """The name of the signature to convert, of a model that has several."""
    outputs_are: OutputsAre | None = None
    """What scores of classes are, where the answers do not tell."""
    missing_value: float | None = None
    """The number that stands for a missing value beside NaN; NaN where none does."""
    task: TaskKind | None = None
    """How answers are judged, where they do not tell."""
    image: Mapping[str, Any] | None = None
    """The image step that makes the input of pictures, as a document; its `input` is the only one unless it says so."""
    text: Mapping[str, Any] | None = None
    """What a tokenizer step shall say that the model itself does not: `overflow`, `most_tokens` and so on."""
    processor: Any = None
    """The tokenizer or image processor of a model of transformers that is in memory."""

    def __post_init__(self) -> None:
        """Raise InvalidInputError for words that mean nothing here."""
        for option, said, known in (("outputs_are", self.outputs_are, KINDS), ("task", self.task, TASKS)):
            if said is not None and said not in known:
                raise InvalidInputError(f"{option} is one of {', '.join(known)}, not {said!r}")

    def given_fields(self) -> set[str]:
        """The names of the fields that are set."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name for name, value in values.items() if value is not None and value not in ("", ())}


NOTHING_SAID = SourceOptions()


def parse_missing_value(given: float | str | None) -> float | None:
    """A number, or `none` where only NaN stands for a missing value. Raises InvalidInputError for another text."""
    if given is None or isinstance(given, int | float):
        return given
    try:
        return nan if given.lower() == "none" else float(given)
    except ValueError:
        raise InvalidInputError(f"a missing value is a number, or 'none', not {given!r}") from None


def parse_step(given: Path | Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The document of a step, or of a JSON file. Raises InvalidInputError for a file that holds none."""
    if not isinstance(given, Path):
        return given
    try:
        document: dict[str, Any] = msgspec.json.decode(given.read_bytes(), type=dict[str, Any])
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise InvalidInputError(f"{given.name!r} holds no step: {error}", path=str(given)) from error
    return document


def parse_input(text: str) -> TensorSpec:
    """`image=FP32[-1,3,224,224]`: an input's name, datatype and shape. Raises InvalidInputError for anything else."""
    match = _INPUT.fullmatch("".join(text.split()))
    if match is None or match["datatype"] not in DATATYPES:
        raise InvalidInputError(
            f"{text!r} describes no input: write NAME=DATATYPE[SHAPE], say image=FP32[-1,3,224,224], where -1 is any "
            f"size and the datatype is one of {', '.join(DATATYPES)}"
        )
    return TensorSpec(match["name"], match["datatype"], tuple(map(int, match["shape"].split(","))))
