"""Classification: from a graph's class values and probabilities to `label`, `probability` and `probabilities`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from onnxlet.errors import ExecutionError
from onnxlet.values.manifest import Classification, Steps
from onnxlet.values.tensors import Tensor, Tensors

LABEL = "label"
PROBABILITY = "probability"
PROBABILITIES = "probabilities"
PROVIDES = (LABEL, PROBABILITY, PROBABILITIES)


class Names(msgspec.Struct, frozen=True):
    """What the served outputs of one target are called."""

    label: str = LABEL
    probability: str = PROBABILITY
    probabilities: str = PROBABILITIES


def names_of(target: str) -> Names:
    """The names for a target: of several it ends them, `label_stage`."""
    return Names(*(f"{name}_{target}" for name in PROVIDES)) if target else Names()


class Classifier:
    """The step with its tables built once; `apply` is what a prediction pays."""

    def __init__(self, step: Classification) -> None:
        self._label, self._probabilities = step.label, step.probabilities
        self._served = msgspec.structs.astuple(names_of(step.target))
        self.provides: tuple[str, ...] = self._served if step.probabilities is not None else self._served[:1]
        """The served outputs it makes."""
        self.needs = [step.label] if step.probabilities is None else [step.label, step.probabilities]
        """The graph outputs it makes them of."""
        self._position = {value: position for position, value in enumerate(step.classes)}
        self._counted = step.classes == tuple(range(len(step.classes)))
        self._sorted = all(isinstance(value, int) for value in step.classes)
        if self._sorted:
            values = np.array(step.classes, dtype=np.int64)
            self._order = np.argsort(values)
            self._values = values[self._order]
        self._names = np.array(step.labels, dtype=object) if step.labels else None
        self._own = [(0, slice(position, position + 1)) for position in range(len(step.classes))]
        self._single = (
            [_frozen(self._names[i : i + 1]) for i in range(len(step.labels))] if self._names is not None else []
        )

    def apply(self, outputs: Tensors) -> Tensors:
        """`label` [N], and where the graph has probabilities `probability` [N], the label's own, and `probabilities`
        [N, classes]. Raises ExecutionError for a class value that the manifest does not list.
        """
        values = outputs[self._label]
        if values.size != 1:
            return self._many(values, outputs)
        # indexing arrays costs 2 us and checking them 2 more: for one row plain Python is five times as fast
        position = self._position.get(values.item())
        if position is None:
            raise self._unlisted()
        label, probability, all_probabilities = self._served
        answer = {label: self._single[position] if self._single else values}
        if self._probabilities is not None:
            probabilities = outputs[self._probabilities]
            answer[probability] = probabilities[self._own[position]]
            answer[all_probabilities] = probabilities
        return answer

    def _many(self, values: Tensor, outputs: Tensors) -> Tensors:
        positions = self._positions(values.ravel())
        label, probability, all_probabilities = self._served
        answer = {label: values if self._names is None else self._names.take(positions)}
        if self._probabilities is not None:
            probabilities = outputs[self._probabilities]
            answer[probability] = probabilities[np.arange(len(positions)), positions]
            answer[all_probabilities] = probabilities
        return answer

    def _positions(self, values: Tensor) -> Tensor:
        """Where each value stands in the order of the classes."""
        if not self._sorted:
            try:
                return np.array([self._position[value] for value in values.tolist()], dtype=np.intp)
            except KeyError:
                raise self._unlisted() from None
        if self._counted:
            # a negative one would count from the end: seen as unsigned it is too large as well
            if values.size and int(values.astype(np.int64, copy=False).view(np.uint64).max()) >= len(self._values):
                raise self._unlisted()
            return values
        found = np.searchsorted(self._values, values).clip(max=len(self._values) - 1)
        if not np.array_equal(self._values[found], values):
            raise self._unlisted()
        positions: Tensor = self._order[found]
        return positions

    def _unlisted(self) -> ExecutionError:
        return ExecutionError(f"output {self._label!r} holds a class that the manifest does not list")


class Classifiers:
    """The steps of several targets, applied together."""

    def __init__(self, steps: Sequence[Classification]) -> None:
        self._each = [Classifier(step) for step in steps]
        self.provides = tuple(name for one in self._each for name in one.provides)
        """The served outputs they make."""
        self.needs = [name for one in self._each for name in one.needs]
        """The graph outputs they make them of."""

    def apply(self, outputs: Tensors) -> Tensors:
        """What each of them makes of the outputs. Raises ExecutionError as they do."""
        return {name: tensor for one in self._each for name, tensor in one.apply(outputs).items()}


def classifier_of(steps: Steps) -> Classifier | Classifiers | None:
    """What makes served outputs of the graph's; None where they are served as they are."""
    if steps.classification is not None:
        return Classifier(steps.classification)
    return Classifiers(steps.classifications) if steps.classifications else None


def classify(step: Classification, outputs: Tensors) -> Tensors:
    """Apply the step once; Classifier keeps its tables for many times. Raises ExecutionError as it does."""
    return Classifier(step).apply(outputs)


def _frozen(tensor: Tensor) -> Tensor:
    tensor.setflags(write=False)
    return tensor
