"""What a model wants of a row: named columns if its steps take them, else its graph's own inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from onnxlet.batch.pictures import COLUMN, ROWS_AT_ONCE
from onnxlet.errors import InvalidInputError
from onnxlet.steps import Column
from onnxlet.values.signature import IMAGES, TensorSpec
from onnxlet.values.spelling import did_you_mean_each
from onnxlet.values.tensors import VARIABLE, Tensors

if TYPE_CHECKING:
    from onnxlet.batch.explained import Explaining
    from onnxlet.serving.model import Model

ROW = "row"
"""The output column that holds a row's number."""
MODEL_VERSION = "model_version"
"""The output column that says which version of the model answered."""

RUNS = 4
"""Runs of the model that make a range, where rows take long."""
HEAVY_BYTES = 8 * 2**20
"""A model that reads texts takes long for each if it has so many: transformers do, linear models do not."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """A model seen from its rows: the signature that is called, its inputs and outputs, the named columns if any,
    the titles of its classes' probabilities, and how many rows to send at once (None: any).

    `version` is told beside its outputs; of a file's columns those to `keep` are written again (None: all). `header`
    names the columns of files that do not name them; `labels` are the texts that an output may be, where it is known.
    Where the model reads `pictures`, by the input of this name, rows name files from `folder` on. Where rows are
    explained, `explaining` does it. A range has `range_rows` at most (None: any), where each takes so long that
    processes share few of them.
    """

    signature_name: str
    specs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    columns: tuple[Column, ...] | None
    titles: Mapping[str, tuple[str, ...]]
    rows_at_once: int | None
    version: int | None = None
    keep: tuple[str, ...] | None = None
    header: tuple[str, ...] | None = None
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pictures: str | None = None
    folder: Path | None = None
    explaining: Explaining | None = None
    range_rows: int | None = None

    def read(self, tensors: Tensors) -> Tensors:
        """What the model is sent for a row's columns. Raises UnreadablePictureError for a file that cannot be read."""
        if self.pictures is None or self.folder is None:
            return tensors
        from onnxlet.batch.pictures import read_files

        return read_files(tensors, self.folder, self.pictures)

    def find_kept(self, header: Sequence[str]) -> list[int]:
        """The places of the columns to keep. Raises InvalidInputError for one that is not there."""
        if self.keep is None:
            return list(range(len(header)))
        missing = [name for name in self.keep if name not in header]
        if missing:
            listed, columns = ", ".join(map(repr, missing)), "column" if len(missing) == 1 else "columns"
            raise InvalidInputError(f"the file has no {columns} {listed} to keep{did_you_mean_each(missing, header)}")
        return [place for place, name in enumerate(header) if name in self.keep]


def inputs_of(model: Model) -> Inputs:
    """How to score rows with `model`. Raises InvalidInputError if it does not work row by row."""
    if IMAGES in model.signatures and model.steps.columns is None:
        return _inputs_of_pictures(model)
    name, most = model.steps.row_signature, model.steps.most_rows
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
        titles=_title_classes(model, [spec.name for spec in signature.outputs]),
        rows_at_once=most if all(spec.batched for spec in signature.inputs) else 1,
        version=model.manifest.version,
        labels={step.names.label: step.labels for step in model.steps.targets},
        range_rows=RUNS * most if most is not None and model.nbytes >= HEAVY_BYTES else None,
    )


def _inputs_of_pictures(model: Model) -> Inputs:
    signature = model.signatures[IMAGES]
    at_once = ROWS_AT_ONCE if all(spec.batched for spec in signature.outputs) else 1
    if len(signature.inputs) != 1:
        raise InvalidInputError("the model takes more than a picture: rows that name files are not enough")
    return Inputs(
        signature_name=IMAGES,
        specs=(TensorSpec(COLUMN, "BYTES", (VARIABLE,)),),
        outputs=signature.outputs,
        columns=(Column(COLUMN, "BYTES"),),
        titles=_title_classes(model, [spec.name for spec in signature.outputs]),
        rows_at_once=at_once,
        version=model.manifest.version,
        labels={step.names.label: step.labels for step in model.steps.targets},
        pictures=signature.inputs[0].name,
        range_rows=RUNS * at_once,
    )


def _title_classes(model: Model, outputs: list[str]) -> dict[str, tuple[str, ...]]:
    """`probability_malignant` for a class of `probabilities`, unless something else is called so."""
    targets = [(step.names, step.labels) for step in model.steps.targets]
    titles = {
        names.probabilities: tuple(f"{names.probability}_{label}" for label in labels) for names, labels in targets
    }
    every = [*outputs, *chain.from_iterable(titles.values())]
    if len(set(every)) == len(every):
        return titles
    return {
        names.probabilities: tuple(f"{names.probabilities}.{label}" for label in labels) for names, labels in targets
    }


def free_name(name: str, taken: set[str]) -> str:
    """The name under which an input column `name` is carried over: its own unless an output has it."""
    while name in taken:
        name = "input_" + name
    return name
