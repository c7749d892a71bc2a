"""Which output is explained: one of numbers, a column for each class, in a unit that can be told."""

from __future__ import annotations

import msgspec

from onnxlet.errors import InvalidInputError, NotExplainableError
from onnxlet.explain.interface import Subject
from onnxlet.values.signature import TensorSpec

_MATRIX = 2


METHOD_UNITS = {
    "decision_function": "decision function",
    "predict_proba": "probability",
    "score_samples": "log-likelihood",
}
"""The units of outputs that give what a method of the model's own gives; of others it is `value`."""


class ExplainedOutput(msgspec.Struct, frozen=True):
    """A served output [N] or [N, columns]: its name, its unit, and what its columns are called."""

    name: str
    unit: str
    columns: tuple[str, ...]


def explained_output(subject: Subject, name: str | None) -> ExplainedOutput:
    """The output of this name; None: a classifier's probabilities, else the first of numbers.

    Raises InvalidInputError for an output that the version lacks, NotExplainableError for one that is no numbers.
    """
    specs = {spec.name: spec for spec in subject.manifest.signature.outputs}
    if name is not None:
        if name not in specs:
            raise InvalidInputError(f"explain: there is no output {name[:80]!r}, only {', '.join(map(repr, specs))}")
        return _described(subject, specs[name])
    probabilities = [target.names.probabilities for target in subject.steps.targets if target.probabilities is not None]
    candidates = [specs[each] for each in probabilities if each in specs] or [
        spec for spec in specs.values() if spec.type.kind == "f" and spec.batched
    ]
    if not candidates:
        raise NotExplainableError("the model serves no output of numbers for each row: there is nothing to explain")
    return _described(subject, candidates[0])


def _described(subject: Subject, spec: TensorSpec) -> ExplainedOutput:
    if spec.type.kind != "f" or not spec.batched or len(spec.shape) > _MATRIX:
        raise NotExplainableError(f"the output {spec} is not a number, or several, for each row: explain another")
    for target in subject.steps.targets:
        if spec.name == target.names.probabilities:
            labels = target.labels or tuple(map(str, target.classes))
            return ExplainedOutput(spec.name, "probability", labels)
        if spec.name == target.names.probability:
            raise NotExplainableError(
                f"{spec.name!r} is of another class in each row: explain {target.names.probabilities!r}"
            )
    width = 1 if len(spec.shape) == 1 else spec.shape[1]
    if width < 0:
        raise NotExplainableError(f"the output {spec} has any number of columns: explain another")
    names = (spec.name,) if width == 1 else tuple(f"{spec.name}[{column}]" for column in range(width))
    return ExplainedOutput(spec.name, _unit(subject, spec.name), names)


def _unit(subject: Subject, name: str) -> str:
    method = next((method for method, output in subject.steps.methods.items() if output == name), None)
    if method is not None:
        return METHOD_UNITS.get(method, "value")
    meaning = subject.manifest.outputs
    scores = None if meaning is None else meaning.are
    if scores in ("logits", "independent-logits"):
        return "log-odds" if scores == "independent-logits" else "logit"
    return "probability" if scores in ("probabilities", "independent") else "value"
