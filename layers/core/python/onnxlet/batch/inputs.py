"""What a model wants of a row: named columns if its steps take them, else its graph's own inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnxlet.errors import InvalidInputError
from onnxlet.steps import Column
from onnxlet.values.signature import TensorSpec

if TYPE_CHECKING:
    from onnxlet.serving.model import Model

ROW = "row"
"""The output column that holds a row's number."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """A model seen from its rows: the signature that is called, its inputs and outputs, the named columns if any,
    the names of its classes, and how many rows it takes at once (None: any).
    """

    signature_name: str
    specs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    columns: tuple[Column, ...] | None
    labels: Mapping[str, tuple[str, ...]]
    rows_at_once: int | None


def inputs_of(model: Model) -> Inputs:
    """How to score rows with `model`. Raises InvalidInputError if it does not work row by row."""
    name = model.steps.row_signature
    signature = model.signatures[name]
    for spec in signature.inputs:
        if not spec.batched and spec.shape[:1] != (1,):
            raise InvalidInputError(
                f"the model's input {spec.name!r} has shape {list(spec.shape)}: rows need a free first dimension"
            )
    return Inputs(
        signature_name=name,
        specs=signature.inputs,
        outputs=signature.outputs,
        columns=model.steps.columns,
        labels={step.names.probabilities: step.labels for step in model.steps.targets},
        rows_at_once=None if all(spec.batched for spec in signature.inputs) else 1,
    )


def free_name(name: str, taken: set[str]) -> str:
    """The name under which an input column `name` is carried over: its own unless an output has it."""
    while name in taken:
        name = "input_" + name
    return name
