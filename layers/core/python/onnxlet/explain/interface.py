"""What a method of explaining is, and what it may know of a version."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from onnxlet.steps import Steps
from onnxlet.values.manifest import Manifest
from onnxlet.values.signature import Signature
from onnxlet.values.tensors import Tensor, Tensors

if TYPE_CHECKING:
    from onnxlet.explain.background import Background
    from onnxlet.explain.evaluation import Evaluation
    from onnxlet.explain.outputs import ExplainedOutput
    from onnxlet.explain.players import Players
    from onnxlet.explain.request import Budget, Scale


Cancellation = Any
"""What ends a run that nobody waits for any more: the subject's own, handed on."""


class Subject(Protocol):
    """A version in memory: what is explained."""

    @property
    def manifest(self) -> Manifest:
        """What is known of it."""
        ...

    @property
    def steps(self) -> Steps:
        """What stands around its graph."""
        ...

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """Its ways in."""
        ...

    def predict(
        self,
        inputs: Tensors,
        signature_name: str,
        outputs: Sequence[str] | None = None,
        *,
        due: float | None = None,
        cancellation: Any = None,  # noqa: ANN401 - the subject's own, which nothing here looks into
    ) -> Tensors:
        """The served outputs, or those named."""
        ...

    def prepare(self, rows: Tensors) -> Tensors:
        """The graph's inputs for what is sent to the row signature."""
        ...

    def open_graph(self, path: str) -> Callable[[Tensors], Tensors]:
        """What runs another graph, an artifact of the version. Raises as `fetch`, and RejectedModelError."""
        ...

    def fetch(self, path: str) -> str:
        """Where an artifact lies on the local disk, checked. Raises RejectedModelError if the version has none such."""
        ...


class Target(msgspec.Struct, frozen=True):
    """What of an answer is explained: a served output, which of its columns, and on which scale."""

    output: ExplainedOutput
    columns: tuple[int, ...]
    scale: Scale | None = None


class Attributions(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What a method found, float64: `values` [N, players, classes], `expected` [classes], `predictions` [N, classes].

    `output` and `unit` say what these are of: a method may explain another scale than the output that was asked for, as
    log-odds are of a probability. The rest is as an Explanation has it; `background` says whether there was one.
    """

    values: Tensor
    expected: Tensor
    predictions: Tensor
    output: str
    unit: str
    background: bool
    seed: int | None = None
    interval: Tensor | None = None
    residual: Tensor | None = None
    pairs: int | None = None
    unreliable: bool = False
    players: tuple[str, ...] | None = None
    """What the attributions are of, where it is not the version's players."""


class Explainer(Protocol):
    """One method, planned once for a version. It may be used from several threads at once."""

    @property
    def nbytes(self) -> int:
        """Bytes that it keeps in memory."""
        ...

    def refusal(self, target: Target, budget: Budget) -> str:
        """Why it cannot explain this; empty if it can."""
        ...

    def cost(self, budget: Budget) -> int:
        """Rows that the model is asked about for each that is explained, at most."""
        ...

    def explain(self, rows: Tensors, target: Target, budget: Budget, evaluation: Evaluation) -> Attributions:
        """Explain rows, columns [N] or matrices [N, columns] by the inputs of the players' signature.

        `evaluation` asks the version itself. Raises NotExplainableError, InvalidInputError, and what predicting raises.
        """
        ...


class Planning(msgspec.Struct, frozen=True):
    """What a method is planned from. `table` is what the manifest keeps for it, {} if it needs nothing."""

    subject: Subject
    players: Players
    background: Background
    table: dict[str, Any]
