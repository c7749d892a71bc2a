"""What a step is: one document of a manifest, and what it does before or behind the graph.

A kind of step is a class below `Step` with its own `tag`, which is the `kind` of its documents. It overrides what it
has to say, and `onnxlet.steps.table` lists it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import nan
from typing import TYPE_CHECKING, Protocol

import msgspec
import numpy as np

from onnxlet.errors import RejectedModelError
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import Tensor, Tensors

if TYPE_CHECKING:
    from onnxlet.steps.classification import Classification

Specs = tuple[TensorSpec, ...]
FLAGS = "flags"
"""The served output [N] that names the columns of each row that were beyond their range, and not refused."""
Read = Callable[[str], bytes]
"""Reads an artifact of the version, by its path. Raises RejectedModelError if the version has none."""
Preprocessor = Callable[[Tensors], Tensors]
"""Makes the tensors that come next of those that were sent. Raises InvalidInputError where they do not fit."""


def no_artifacts(path: str) -> bytes:
    """Raises RejectedModelError: nothing that can be read belongs to the steps."""
    raise RejectedModelError(f"the manifest speaks of the artifact {path!r}, which the version lacks")


class Postprocessor(Protocol):
    """Makes served outputs `provides` of the graph's outputs `needs`."""

    provides: tuple[str, ...]
    needs: tuple[str, ...]

    def apply(self, outputs: Tensors) -> Tensors:
        """The outputs that it provides. Raises ExecutionError where the graph gave what it cannot read."""


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One named value of a row. Without a default a row must have it.

    `missing`: the model can do with missing values, which are NaN to it, or an empty text.
    """

    name: str
    datatype: str
    default: bool | int | float | str | None = None
    missing: bool = False

    def filler(self) -> bool | int | float | str | None:
        """What stands for a missing value; None if there must be none."""
        if self.default is None and self.missing:
            return "" if self.datatype == "BYTES" else nan
        return self.default


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """One step. Each method's own answer is that of a step which leaves everything as it is.

    What makes a prediction is planned once, when a version is loaded: `preprocessor` and `postprocessor` return what a
    request then pays for.
    """

    def signatures(self) -> tuple[str, ...] | None:
        """The signatures whose inputs pass through it, and which exist because it opens them; None: all there are."""
        return None

    def named_columns(self) -> tuple[Column, ...] | None:
        """The columns that it takes, [N] values each; None if it takes no named columns."""
        return None

    def encoded(self) -> tuple[str, ...]:
        """Names of the inputs that it takes as bytes, be they text or not: `bytes`, or a `str` in base64."""
        return ()

    def targets(self) -> tuple[Classification, ...]:
        """What it tells classes of, for those who measure a classifier."""
        return ()

    def methods(self) -> dict[str, str]:
        """Methods of the model's own, by name, and the served output that gives what each gives."""
        return {}

    def declared(self) -> bool:
        """Whether a user added it to what the model does, so that comparing with the model leaves it out."""
        return False

    def tells(self) -> tuple[str, ...]:
        """Served outputs [N] that say of rows what headers and metrics count: those that are true, or not empty."""
        return ()

    def fills(self) -> tuple[str, ...]:
        """Names of the inputs, of the graph or of the step that comes next, that it fills."""
        return ()

    def reads(self) -> tuple[str, ...]:
        """Names of the outputs, of the graph or of a step before it, that it reads."""
        return ()

    def inputs(self, wanted: Specs) -> Specs:
        """What must be sent, for what comes next to get `wanted`."""
        return wanted

    def preprocessor(self, wanted: Specs) -> Preprocessor | None:  # noqa: ARG002 - for those who override it
        """What makes `wanted` of what is sent; None: it is passed on as it is."""
        return None

    def artifacts(self) -> tuple[str, ...]:
        """Paths of the version's artifacts that it cannot do without."""
        return ()

    def plan(self, wanted: Specs, read: Read) -> Preprocessor | None:  # noqa: ARG002 - for those with artifacts
        """The preprocessor of a step that may `read` artifacts. Raises RejectedModelError if they do not fit."""
        return self.preprocessor(wanted)

    def computes(self) -> bool:
        """Whether its preprocessor does more than to put values in their places, so that golden cases try it too."""
        return False

    def measure(self, read: Read) -> Preprocessor | None:  # noqa: ARG002 - for those who measure
        """What tells numbers [n] by name of what is sent, for monitoring: of some rows, and never for an answer.

        It leaves out what it cannot read. None: nothing but the columns themselves is counted.
        """
        return None

    def most_rows(self) -> int | None:
        """How many rows to send at once, where that is anybody's choice; None: any."""
        return None

    def describe(self) -> str:
        """What it does, for people; empty if other facts of the version say so."""
        return ""

    def passes_finite(self) -> bool:
        """Whether its preprocessor leaves tensors alone that hold neither NaN nor infinities."""
        return False

    def outputs(self, given: Specs) -> Specs:  # noqa: ARG002 - same
        """The outputs that it makes of those `given`. Raises RejectedModelError if it contradicts itself."""
        return ()

    def adds(self) -> Specs:
        """Outputs that are served beside all others, and that its preprocessor makes: they pass by the graph."""
        return ()

    def postprocessor(self) -> Postprocessor | None:
        """What makes them; None if it makes none."""
        return None


def with_flags(tensors: Tensors, flags: Tensor) -> Tensors:
    """The tensors with a step's `flags` [N], texts, behind those of the steps before it."""
    before = tensors.get(FLAGS)
    if before is not None:
        flags = np.array([", ".join(filter(None, each)) for each in zip(before, flags, strict=True)], dtype=object)
    return {**tensors, FLAGS: flags}


def kind_of(step: Step | type[Step]) -> str:
    """The `kind` of a step's documents."""
    return str(step.__struct_config__.tag)


def spec_named(name: str, specs: Specs) -> TensorSpec:
    """The one with this name. Raises RejectedModelError if there is none."""
    for spec in specs:
        if spec.name == name:
            return spec
    raise RejectedModelError(f"the manifest speaks of {name!r}, which the graph lacks")
