"""The steps of one manifest, taken together: what is sent, what is served, and what is done in between."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import msgspec

from onnxlet.errors import RejectedModelError
from onnxlet.steps.base import Column, Postprocessor, Preprocessor, Read, Specs, Step, no_artifacts
from onnxlet.steps.classification import Classification
from onnxlet.values.signature import COLUMNS, SERVING_DEFAULT, Signature, TensorSpec
from onnxlet.values.tensors import Tensors

Plans = dict[tuple[Step, Specs], Preprocessor | None]
"""What steps planned for what comes next."""


class Steps(msgspec.Struct, frozen=True):
    """Steps in their order: what is sent passes through them to the graph, and what the graph gives through them again.

    Each step sees what the graph and the steps between make of it: of two that stand before the graph, the second is
    the nearer; of two behind it, the first.
    """

    each: tuple[Step, ...] = ()
    read: Read = no_artifacts

    @property
    def documents(self) -> tuple[dict[str, Any], ...]:
        """The steps as a manifest keeps them."""
        return tuple(msgspec.json.decode(msgspec.json.encode(step)) for step in self.each)

    @property
    def targets(self) -> tuple[Classification, ...]:
        """What classes are told of; nothing where the model is no classifier."""
        return tuple(chain.from_iterable(step.targets() for step in self.each))

    @property
    def methods(self) -> dict[str, str]:
        """Methods of the model's own, by name, and the outputs that are served as they are and give the same."""
        return dict(chain.from_iterable(step.methods().items() for step in self.each))

    @property
    def of_model(self) -> Steps:
        """Those that stand for what the model itself does, without what a user declared beside it."""
        return Steps(tuple(step for step in self.each if not step.declared()), self.read)

    @property
    def added(self) -> Specs:
        """Outputs that pass by the graph: steps before it make them."""
        return tuple({spec.name: spec for step in self.each for spec in step.adds()}.values())

    @property
    def tells(self) -> tuple[str, ...]:
        """Served outputs [N] that headers and metrics count the rows of."""
        return tuple(dict.fromkeys(chain.from_iterable(step.tells() for step in self.each)))

    @property
    def signature_names(self) -> tuple[str, ...]:
        """The ways in, `serving_default` first."""
        opened = chain.from_iterable(step.signatures() or () for step in self.each)
        return tuple(dict.fromkeys((SERVING_DEFAULT, *opened)))

    @property
    def encoded(self) -> frozenset[str]:
        """Names of the inputs that are bytes, be they text or not."""
        return frozenset(chain.from_iterable(step.encoded() for step in self.each))

    @property
    def row_signature(self) -> str:
        """The signature that rows of a table are sent to."""
        return COLUMNS if COLUMNS in self.signature_names else SERVING_DEFAULT

    @property
    def columns(self) -> tuple[Column, ...] | None:
        """The named columns of a row; None if rows are tensors."""
        return self.columns_of(self.row_signature)

    @property
    def artifacts(self) -> tuple[str, ...]:
        """Paths of the version's artifacts that they read."""
        return tuple(dict.fromkeys(chain.from_iterable(step.artifacts() for step in self.each)))

    @property
    def compute(self) -> bool:
        """Whether one before the graph does more than to put values in their places."""
        return any(step.computes() for step in self.each)

    @property
    def most_rows(self) -> int | None:
        """How many rows to send at once, where that is anybody's choice; None: any."""
        return min((most for step in self.each if (most := step.most_rows()) is not None), default=None)

    def through(self, signature_name: str) -> list[Step]:
        """The steps that the inputs of a signature pass through."""
        return [step for step in self.each if (names := step.signatures()) is None or signature_name in names]

    def columns_of(self, signature_name: str) -> tuple[Column, ...] | None:
        """The named columns that a signature takes; None if it takes tensors."""
        named = (step.named_columns() for step in self.through(signature_name))
        return next((columns for columns in named if columns is not None), None)

    def inputs(self, signature_name: str, graph: Signature) -> Specs:
        """What a signature takes."""
        specs = graph.inputs
        for step in reversed(self.through(signature_name)):
            specs = step.inputs(specs)
        return specs

    def outputs(self, graph: Signature) -> Specs:
        """What is served: what the steps make, or where they make nothing the graph's outputs."""
        given = {spec.name: spec for spec in graph.outputs}
        made: dict[str, TensorSpec] = {}
        for step in self.each:
            specs = {spec.name: spec for spec in step.outputs(tuple(given.values()))}
            made |= specs
            given |= specs
        return (*(tuple(made.values()) or graph.outputs), *self.added)

    def served(self, graph: Signature) -> Signature:
        """What clients see once the steps stand around the graph, which `check` tells whether they may."""
        return Signature(self.inputs(SERVING_DEFAULT, graph), self.outputs(graph))

    def check(self, graph: Signature, served: Signature) -> None:
        """Raises RejectedModelError if a step has no place at this graph, or nothing makes an output that is served."""
        given = {spec.name: spec for spec in graph.outputs}
        lacking = set[str]()
        for step in self.each:
            unread = set(step.reads()) - given.keys()
            lacking |= unread
            if not unread:
                given |= {spec.name: spec for spec in step.outputs(tuple(given.values()))}
        for name in self.signature_names:
            lacking |= self._unfilled(name, graph)
        lacking |= {spec.name for spec in served.outputs} - given.keys() - {spec.name for spec in self.added}
        taken = {spec.name for spec in self.added} & {*given, *(spec.name for spec in graph.inputs)}
        if taken:
            raise RejectedModelError(f"a step adds {', '.join(sorted(taken))}, which the graph has already")
        if lacking:
            names = ", ".join(map(repr, sorted(lacking)))
            raise RejectedModelError(f"the manifest speaks of {names}, which the graph lacks")

    def _unfilled(self, signature_name: str, graph: Signature) -> set[str]:
        """What the steps fill of a signature, and nothing takes."""
        specs = graph.inputs
        for step in reversed(self.through(signature_name)):
            unfilled = set(step.fills()) - {spec.name for spec in specs}
            if unfilled:
                return unfilled
            specs = step.inputs(specs)
        return set()

    def preprocessor(
        self,
        signature_name: str,
        graph: Signature,
        *,
        finite: bool = False,
        plans: Plans | None = None,
        passing: bool = False,
    ) -> Preprocessor | None:
        """What makes the graph's inputs of what is sent to a signature; None: they are the same.

        `finite`: nothing sent is NaN or infinite. `plans` keeps what steps planned, for other calls to share.
        `passing`: with what is `added` beside the graph's inputs. Raises RejectedModelError for artifacts that do not
        fit.
        """
        plans = {} if plans is None else plans
        planned: list[Preprocessor] = []
        specs = graph.inputs
        for step in reversed(self.through(signature_name)):
            if (step, specs) not in plans:
                plans[step, specs] = step.plan(specs, self.read)
            unasked = finite and step.passes_finite()
            if not unasked and (preprocessor := plans[step, specs]) is not None:
                planned.insert(0, preprocessor)
            specs = step.inputs(specs)
        if not passing and self.added:
            planned.append(_drop({spec.name for spec in self.added}))
        return planned[0] if len(planned) == 1 else _chained(planned) if planned else None

    def postprocessors(self) -> list[Postprocessor]:
        """What makes served outputs, in its order."""
        return [made for step in self.each if (made := step.postprocessor()) is not None]

    def finish(self, answers: Tensors, served: Specs) -> Tensors:
        """The `served` outputs for all that the graph answered, without those that pass by it.

        Raises ExecutionError where it cannot be read.
        """
        passing = {spec.name for spec in self.added}
        for postprocessor in self.postprocessors():
            answers = answers | postprocessor.apply(answers)
        return {spec.name: answers[spec.name] for spec in served if spec.name not in passing}


def _drop(names: set[str]) -> Preprocessor:
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if name not in names}


def _chained(preprocessors: Sequence[Preprocessor]) -> Preprocessor:
    def apply(tensors: Tensors) -> Tensors:
        for preprocessor in preprocessors:
            tensors = preprocessor(tensors)
        return tensors

    return apply
