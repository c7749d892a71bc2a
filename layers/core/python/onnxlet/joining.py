"""Joining: one run of a model for the rows of several calls, where the company of others changes no answer by a bit.

Most graphs answer each row for itself; what is quantized dynamically does not, and a kernel may add up in another order
for another number of rows. So a model is tried before its rows are joined: rows are asked alone, and among others that
are as unlike them as can be, once for each number of rows; and later one call of many is asked alone as well. The first
difference ends it for that model.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from weakref import WeakKeyDictionary

import numpy as np

from onnxlet.errors import OnnxletError
from onnxlet.model import Model
from onnxlet.signature import TensorSpec
from onnxlet.tensors import Tensor, Tensors

MOST_ROWS = 16
"""Rows of one run: more make it little cheaper for each, and let the first wait for the last."""
LOOKED_AT = 64
"""Of so many runs, one has a call that is asked alone as well."""

_FACTORS = (-1000.0, 0.0, 0.001, 3.0)
"""What makes a row another, unlike it."""


class Joining:
    """Knows of each model whether its rows may be joined. For one thread."""

    def __init__(self) -> None:
        self._tried: WeakKeyDictionary[Model, set[tuple[str, int]]] = WeakKeyDictionary()
        self._never: WeakKeyDictionary[Model, bool] = WeakKeyDictionary()
        self._runs = 0

    def may(self, model: Model, signature: str) -> bool:
        """Whether rows for this signature can be joined, as far as is known."""
        return model not in self._never and all(map(_of_numbers, model.signatures[signature].inputs))

    def predict(self, model: Model, signature: str, calls: Sequence[Tensors]) -> list[Tensors | None]:
        """The served outputs for each call's inputs; None for those that must be asked alone, say for their errors."""
        answers: list[Tensors | None] = []
        for company in _companies(calls):
            together = self._together(model, signature, company) if len(company) > 1 else None
            answers += together or [None] * len(company)
        return answers

    def _together(self, model: Model, signature: str, calls: Sequence[Tensors]) -> list[Tensors] | None:
        if not self.may(model, signature) or not _alike(calls):
            return None
        rows = [_rows(call) for call in calls]
        try:
            answers = None
            if self._harmless(model, signature, calls[0], sum(rows)):
                answers = _apart(model.predict(_joined(calls), signature), rows)
            if answers is None or not self._confirmed(model, signature, calls, answers):
                self._end(model)
                return None
        except OnnxletError:  # one call's error is not the others'
            return None
        return answers

    def _harmless(self, model: Model, signature: str, call: Tensors, total: int) -> bool:
        """Whether among so many rows each gets the answer that it gets alone. Raises as the model does."""
        tried = self._tried.setdefault(model, set())
        if (signature, total) in tried:
            return True
        row = {name: tensor[:1] for name, tensor in call.items()}
        probes = [row, *({name: _unlike(tensor, factor) for name, tensor in row.items()} for factor in _FACTORS)]
        alone = [model.predict(probe, signature) for probe in probes]
        for shift in range(len(probes)):
            order = [(shift + place) % len(probes) for place in range(total)]
            together = _apart(model.predict(_joined([probes[which] for which in order]), signature), [1] * total)
            if together is None or not all(
                _same(alone[which], got) for which, got in zip(order, together, strict=True)
            ):
                return False
        tried.add((signature, total))
        return True

    def _confirmed(self, model: Model, signature: str, calls: Sequence[Tensors], answers: Sequence[Tensors]) -> bool:
        """Whether a call that is asked alone as well, now and then, gets the same answer. Raises as the model does."""
        self._runs += 1
        if self._runs % LOOKED_AT:
            return True
        which = self._runs // LOOKED_AT % len(calls)
        return _same(model.predict(calls[which], signature), answers[which])

    def _end(self, model: Model) -> None:
        self._never[model] = True
        logging.getLogger(__name__).info(
            "%s:%s answers rows otherwise in company, so each request is run alone",
            model.manifest.model,
            model.manifest.version,
        )


def _of_numbers(spec: TensorSpec) -> bool:
    """Whether an input takes any number of rows, of numbers that others can be made of."""
    return spec.batched and spec.type.kind == "f"


def _companies(calls: Sequence[Tensors]) -> Iterator[Sequence[Tensors]]:
    """The calls in order, in groups of no more than MOST_ROWS rows, or of one call."""
    start = held = 0
    for place, call in enumerate(calls):
        rows = _rows(call)
        if place > start and held + rows > MOST_ROWS:
            yield calls[start:place]
            start, held = place, 0
        held += rows
    yield calls[start:]


def _rows(call: Tensors) -> int:
    return len(next(iter(call.values())))


def _alike(calls: Sequence[Tensors]) -> bool:
    """Whether all calls have rows of one shape, and each as many of every input."""
    shapes = {name: tensor.shape[1:] for name, tensor in calls[0].items()}
    return all(
        {name: tensor.shape[1:] for name, tensor in call.items()} == shapes
        and len({len(tensor) for tensor in call.values()}) == 1
        for call in calls
    )


def _joined(calls: Sequence[Tensors]) -> Tensors:
    return {name: np.concatenate([call[name] for call in calls]) for name in calls[0]}


def _apart(outputs: Tensors, rows: Sequence[int]) -> list[Tensors] | None:
    """The outputs of each call; None where they are not rows."""
    total = sum(rows)
    if any(tensor.shape[:1] != (total,) for tensor in outputs.values()):
        return None
    found, start = [], 0
    for count in rows:
        end = start + count
        found.append({name: tensor[start:end] for name, tensor in outputs.items()})
        start = end
    return found


def _unlike(tensor: Tensor, factor: float) -> Tensor:
    with np.errstate(all="ignore"):
        return (tensor * factor).astype(tensor.dtype)


def _same(one: Tensors, other: Tensors) -> bool:
    """Whether two answers are equal to the last bit."""
    return one.keys() == other.keys() and all(
        tensor.dtype == other[name].dtype
        and tensor.shape == other[name].shape
        and (
            tensor.tolist() == other[name].tolist()
            if tensor.dtype.kind == "O"
            else tensor.tobytes() == other[name].tobytes()
        )
        for name, tensor in one.items()
    )
