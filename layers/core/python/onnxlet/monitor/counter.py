"""What counts the rows of one version in the bins of its baseline, but for columns that its policy withholds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from onnxlet.errors import OnnxletError
from onnxlet.monitor.columns import column_names
from onnxlet.monitor.sketch import Sketch
from onnxlet.monitor.versions import read_baseline
from onnxlet.store import Store
from onnxlet.telemetry import log

if TYPE_CHECKING:
    from onnxlet.monitor.baseline import Baseline
    from onnxlet.monitor.capture.policy import CapturePolicy
    from onnxlet.steps import Classification, Steps
    from onnxlet.values.tensors import Tensors


class CountedModel(Protocol):
    """What is asked of a model, as `onnxlet.serving.model.Model` says it."""

    @property
    def steps(self) -> Steps:
        """Its steps, which know its columns."""

    @property
    def policy(self) -> CapturePolicy | None:
        """What is withheld of its rows."""


class RowCounter:
    """Counts rows of a version, sketch by sketch."""

    def __init__(self, baseline: Baseline, model: CountedModel) -> None:
        self._baseline = baseline
        self._names = column_names(model.steps)
        self._hidden = _hidden(baseline, model.policy)
        self._targets = _told(model.steps, model.policy)

    def begin(self) -> Sketch:
        """An empty sketch."""
        return Sketch(self._baseline)

    def count(self, sketch: Sketch, inputs: Tensors, outputs: Tensors) -> None:
        """Count rows [N, …] and the answers to them."""
        sketch.fold(inputs, outputs, self._names, self._hidden)
        sketch.scores.fold(self._targets, outputs)


def open_counter(store: Store, name: str, version: int, model: CountedModel) -> RowCounter | None:
    """What counts a version's rows; None if it has no baseline, or one that cannot be read, which the log says."""
    try:
        baseline = read_baseline(store, name, version)
    except OnnxletError as error:
        log(__name__).warning("the rows of %s:%d are not counted: %s", name, version, error)
        return None
    return None if baseline is None else RowCounter(baseline, model)


def _hidden(baseline: Baseline, policy: CapturePolicy | None) -> frozenset[str]:
    """Columns that a version's policy drops or hashes, should a baseline have them all the same."""
    if policy is None:
        return frozenset()
    named = (*baseline.columns, *baseline.outputs)
    return frozenset(column.name for column in named if not policy.rule_of(column.name).is_counted)


def _told(steps: Steps, policy: CapturePolicy | None) -> list[Classification]:
    """The targets whose labels and probabilities the version's policy lets be counted."""
    return [
        target
        for target in steps.targets
        if policy is None
        or all(policy.rule_of(name).is_counted for name in (target.names.label, target.names.probability))
    ]
