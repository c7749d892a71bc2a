"""Classification: from a graph's class values and probabilities to `label`, `probability` and `probabilities`."""

from __future__ import annotations

import msgspec
import numpy as np

from onnxlet.errors import ExecutionError, RejectedModelError
from onnxlet.steps.base import Postprocessor, Specs, Step, spec_named
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import VARIABLE, Tensor, Tensors

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


class Classification(Step, frozen=True, tag="classification"):
    """How a classifier's graph outputs become `label`, `probability` and `probabilities`.

    `label` names the graph's [N] output of class values, `probabilities` its [N, classes] output (None: it has none).
    `labels` are the names of the classes in the order of the probabilities' columns, `classes` the values that the
    graph's label output gives for them, in the same order; False and True are its 0 and 1, and are served as BOOL.
    Where a model tells several things there is a step for each, and `target` names what it is about and ends the names
    of what is served: `label_stage`.
    """

    label: str
    probabilities: str | None
    labels: tuple[str, ...]
    classes: tuple[bool | int | str, ...]
    target: str = ""

    @property
    def names(self) -> Names:
        """What its served outputs are called."""
        return names_of(self.target)

    def targets(self) -> tuple[Classification, ...]:
        """Itself."""
        return (self,)

    @property
    def is_boolean(self) -> bool:
        """Whether it answers true or false."""
        return not self.labels and self.classes == (0, 1) and isinstance(self.classes[0], bool)

    def reads(self) -> tuple[str, ...]:
        """The label, and the probabilities where there are some."""
        return (self.label,) if self.probabilities is None else (self.label, self.probabilities)

    def outputs(self, given: Specs) -> Specs:
        """The label, and where the graph has probabilities the label's own and all of them.

        Raises RejectedModelError also if there is not a name for each class.
        """
        if self.labels and len(self.labels) != len(self.classes):
            raise RejectedModelError("the manifest does not name as many labels as it lists classes")
        names, label = self.names, spec_named(self.label, given)
        datatype = "BYTES" if self.labels else "BOOL" if self.is_boolean else label.datatype
        label_spec = TensorSpec(names.label, datatype, (VARIABLE,))
        if self.probabilities is None:
            return (label_spec,)
        shares = spec_named(self.probabilities, given)
        return (
            label_spec,
            TensorSpec(names.probability, shares.datatype, (VARIABLE,)),
            TensorSpec(names.probabilities, shares.datatype, shares.shape),
        )

    def postprocessor(self) -> Postprocessor:
        """What tells them."""
        return Classifier(self)


class Classifier:
    """The step with its tables built once; `apply` is what a prediction pays."""

    def __init__(self, step: Classification) -> None:
        self._label, self._probabilities = step.label, step.probabilities
        self._served = msgspec.structs.astuple(step.names)
        self.provides: tuple[str, ...] = self._served if step.probabilities is not None else self._served[:1]
        """The served outputs it makes."""
        self.needs = step.reads()
        """The graph outputs it makes them of."""
        self._position = {value: position for position, value in enumerate(step.classes)}
        self._counted = step.classes == tuple(range(len(step.classes)))
        self._sorted = all(isinstance(value, int) for value in step.classes)
        if self._sorted:
            values = np.array(step.classes, dtype=np.int64)
            self._order = np.argsort(values)
            self._values = values[self._order]
        self._names = np.array(step.labels, dtype=object) if step.labels else None
        if step.is_boolean:
            self._names = np.array(step.classes)
        self._single = {
            value: (None if self._names is None else _frozen(self._names[i : i + 1]), (0, slice(i, i + 1)))
            for i, value in enumerate(step.classes)
        }
        """What a row of a class is told: the label, where it has a name, and where its probability stands."""

    def apply(self, outputs: Tensors) -> Tensors:
        """`label` [N], and where the graph has probabilities `probability` [N], the label's own, and `probabilities`
        [N, classes]. Raises ExecutionError for a class value that the manifest does not list.
        """
        values = outputs[self._label]
        # indexing arrays costs 2 us and checking them 2 more: for one row plain Python is five times as fast
        try:
            single = self._single[values.item()]
        except ValueError:  # it is not one row
            return self._many(values, outputs)
        except KeyError:
            raise self._unlisted() from None
        label, probability, all_probabilities = self._served
        named, own = single
        if named is None:
            named = values
        if self._probabilities is None:
            return {label: named}
        probabilities = outputs[self._probabilities]
        return {label: named, probability: probabilities[own], all_probabilities: probabilities}

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
        places = np.searchsorted(self._values, values).clip(max=len(self._values) - 1)
        if not np.array_equal(self._values[places], values):
            raise self._unlisted()
        positions: Tensor = self._order[places]
        return positions

    def _unlisted(self) -> ExecutionError:
        return ExecutionError(f"output {self._label!r} holds a class that the manifest does not list")


def _frozen(tensor: Tensor) -> Tensor:
    tensor.setflags(write=False)
    return tensor
