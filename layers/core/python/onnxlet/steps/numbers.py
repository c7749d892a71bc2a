"""Numbers: what is served of an output that is no classifier's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from onnxlet.steps.calibration import sigmoid, softmax
from onnxlet.steps.deciding import find_reasons
from onnxlet.values.tensors import Tensor, Tensors

if TYPE_CHECKING:
    from onnxlet.steps.output import Output

_LINKS = {"softmax": softmax, "sigmoid": sigmoid}


class Numbers:
    """An output step of numbers, planned; `apply` is what a prediction pays."""

    def __init__(self, step: Output) -> None:
        self._step = step
        told = (step.names.abstain, step.names.reason) if step.abstains else ()
        self.provides: tuple[str, ...] = (step.output, *told)
        """The output, and what is told of it."""
        self.needs: tuple[str, ...] = (step.output,)
        """The same; what is passed on needs nobody."""

    def apply(self, outputs: Tensors) -> Tensors:
        """The numbers as they are served, and which rows are for a human [N]."""
        numbers = link(self._step, outputs[self._step.output])
        answer = {}
        if self._step.abstains:
            scores = numbers.reshape(-1)
            reasons = find_reasons([(band, scores) for band in self._step.abstain], scores, None)
            answer = {self._step.names.abstain: reasons != "", self._step.names.reason: reasons}
        decimals = self._step.decimals
        # a negative zero is a zero to people
        return {self._step.output: numbers if decimals is None else np.round(numbers, decimals) + 0, **answer}


def link(step: Output, numbers: Tensor) -> Tensor:
    """The output's numbers as its link makes them."""
    return numbers if step.link is None else _LINKS[step.link](numbers.astype(np.float64)).astype(numbers.dtype)
