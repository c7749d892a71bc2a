"""Output: what is served of a model's answers, decided behind the graph: how sure, which class, whether at all.

`deciding` plans it for classes, `numbers` for an output of numbers; both are imported by a version with such a step.
"""

from __future__ import annotations

from math import isfinite
from typing import Literal

import msgspec

from onnxlet.errors import RejectedModelError
from onnxlet.steps.base import Postprocessor, Specs, Step, spec_named
from onnxlet.steps.calibration import Calibration, is_in_graph, plan_calibration
from onnxlet.steps.classification import names_of
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import VARIABLE

ABSTAIN = "abstain"
REASON = "reason"
TOP_LABELS = "top_labels"
TOP_PROBABILITIES = "top_probabilities"
LONGEST_REASON = 200
MOST_BANDS = 16
MOST_DECIMALS = 15
PAIR = 2

Value = bool | int | str


class Band(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Scores from `low` to `high`, both in it, for which nothing is decided: a row there is one for a human.

    `of` is the class whose probability is looked at; empty: of two classes the second, of more the one that is told.
    """

    low: float
    high: float
    reason: str = ""
    of: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError for what is no band."""
        if not (isfinite(self.low) and isfinite(self.high) and self.low <= self.high):
            raise ValueError("a band goes from a low number to a high one")
        if len(self.reason) > LONGEST_REASON:
            raise ValueError(f"a reason has at most {LONGEST_REASON} characters")

    @property
    def told(self) -> str:
        """The reason that a row is given."""
        return self.reason or f"{self.of or 'the score'} is between {self.low:g} and {self.high:g}"


class OutputNames(msgspec.Struct, frozen=True):
    """What is served beside a target's label and probabilities."""

    abstain: str
    reason: str
    top_labels: str
    top_probabilities: str


def output_names_of(target: str) -> OutputNames:
    """The names for a target: of several it ends them, `abstain_stage`."""
    names = (ABSTAIN, REASON, TOP_LABELS, TOP_PROBABILITIES)
    return OutputNames(*(f"{name}_{target}" if target else name for name in names))


class Output(Step, frozen=True, tag="output", omit_defaults=True):
    """What is served of one target's classes, or of one `output` of numbers.

    Of classes, in this order: probabilities are calibrated; a class that reaches its threshold takes the row (of
    several the one that passes its own by the largest factor), else the likeliest of those without one; rows in an
    `abstain` band, and those of which no class reaches its threshold where all have one, are told to be for a human;
    the `top` likeliest are listed; numbers are rounded to `decimals`. `classes` are what `label` says for each, in the
    order of the probabilities.

    Of numbers: the `link` is applied, a softmax over the last dimension; bands abstain; numbers are rounded. `passes`
    are the graph's other outputs, boxes and masks say, which are served as they are. `target` ends the names of what is
    new; `unit` is what numbers count, for people.
    """

    target: str = ""
    classes: tuple[Value, ...] = ()
    output: str = ""
    passes: tuple[str, ...] = ()
    link: Literal["softmax", "sigmoid"] | None = None
    calibration: Calibration | None = None
    thresholds: dict[str, float] = msgspec.field(default_factory=dict)
    abstain: tuple[Band, ...] = ()
    top: int | None = None
    decimals: int | None = None
    unit: str = ""

    def __hash__(self) -> int:
        """Of what it is about: thresholds have none."""
        return hash((self.target, self.output))

    def __post_init__(self) -> None:
        """Raise ValueError for what contradicts itself."""
        if bool(self.classes) == bool(self.output):
            raise ValueError("it is about the classes of a target, or about one output of numbers")
        if self.output and (self.calibration is not None or self.thresholds or self.top is not None):
            raise ValueError("calibration, thresholds and top are of classes")
        if self.classes and (self.link is not None or self.passes):
            raise ValueError("link and passes are of outputs of numbers")
        self._check_classes()
        if self.decimals is not None and not 0 <= self.decimals <= MOST_DECIMALS:
            raise ValueError(f"decimals are from 0 to {MOST_DECIMALS}")
        if len(self.abstain) > MOST_BANDS:
            raise ValueError(f"there are at most {MOST_BANDS} bands")

    def _check_classes(self) -> None:
        known = [str(value) for value in self.classes]
        named = [*self.thresholds, *(band.of for band in self.abstain if band.of)]
        unknown = [name for name in named if name not in known]
        if unknown:
            raise ValueError(f"there is no class {unknown[0]!r}, only {', '.join(map(repr, known)) or 'numbers'}")
        if not all(0 < threshold <= 1 for threshold in self.thresholds.values()):
            raise ValueError("a threshold is a probability, more than 0 and at most 1")
        if self.top is not None and not 0 < self.top <= len(known):
            raise ValueError(f"top is from 1 to {len(known)}, the number of classes")
        if self.calibration is not None:
            plan_calibration(self.calibration, len(known))

    @property
    def names(self) -> OutputNames:
        """What is called how."""
        return output_names_of(self.target)

    @property
    def abstains(self) -> bool:
        """Whether it may leave a row to a human."""
        return bool(self.abstain) or (bool(self.classes) and len(self.thresholds) == len(self.classes))

    @property
    def redecides(self) -> bool:
        """Whether the label may be another than the model's own."""
        return bool(self.thresholds) or self.calibration is not None

    def declared(self) -> bool:
        """It is the user's, no part of the model."""
        return True

    def tells(self) -> tuple[str, ...]:
        """Whether a row is for a human."""
        return (self.names.abstain,) if self.abstains else ()

    def reads(self) -> tuple[str, ...]:
        """The output and those that are passed on; or a target's label and probabilities."""
        if self.output:
            return (self.output, *self.passes)
        served = names_of(self.target)
        return (served.label, served.probability, served.probabilities)

    def outputs(self, given: Specs) -> Specs:
        """What it reads, and what it adds. Raises RejectedModelError for names that are taken, and other shapes."""
        added = self._added(self._check(given))
        taken = {spec.name for spec in given} & {spec.name for spec in added}
        if taken:
            raise RejectedModelError(f"the output step adds {', '.join(sorted(taken))}, which the model has already")
        read = self.reads()
        return (*(spec for spec in given if spec.name in read), *added)

    def _check(self, given: Specs) -> TensorSpec:
        """The scores that it decides by."""
        scores = spec_named(self.output or names_of(self.target).probabilities, given)
        if scores.type.kind != "f":
            raise RejectedModelError(f"the output step is about numbers with a fraction, and the graph gives {scores}")
        if self.classes and (len(scores.shape) != PAIR or scores.shape[1] not in (VARIABLE, len(self.classes))):
            raise RejectedModelError(
                f"the output step is about {len(self.classes)} classes, and the graph gives {scores}"
            )
        if self.output and self.abstain and scores.shape[1:] not in ((), (1,)):
            raise RejectedModelError(f"a band needs one number for each row, and the graph gives {scores}")
        return scores

    def _added(self, scores: TensorSpec) -> Specs:
        names, labels = self.names, "BYTES"
        if self.classes and not isinstance(self.classes[0], str):
            labels = "BOOL" if isinstance(self.classes[0], bool) else "INT64"
        added = []
        if self.abstains:
            added += [TensorSpec(names.abstain, "BOOL", (VARIABLE,)), TensorSpec(names.reason, "BYTES", (VARIABLE,))]
        if self.top is not None:
            shape = (VARIABLE, self.top)
            added += [TensorSpec(names.top_labels, labels, shape)]
            added += [TensorSpec(names.top_probabilities, scores.datatype, shape)]
        return tuple(added)

    def postprocessor(self) -> Postprocessor:
        """What tells them."""
        if self.output:
            from onnxlet.steps.numbers import Numbers

            return Numbers(self)
        from onnxlet.steps.deciding import Decisions

        return Decisions(self)

    def describe(self) -> str:
        """What it does, in its order."""
        about = self.output or "the probabilities" + (f" of {self.target}" if self.target else "")
        each = [about + (f" in {self.unit}" if self.unit else "")]
        if self.link is not None:
            each.append(self.link)
        if self.calibration is not None:
            first = self.calibration[0] if isinstance(self.calibration, tuple) else self.calibration
            where = " in the graph" if is_in_graph(self.calibration) else ""
            each.append(f"calibrated{where} ({type(first).__name__.lower()})")
        if self.thresholds:
            each.append("thresholds " + ", ".join(f"{name} {value:g}" for name, value in self.thresholds.items()))
        each += [f"abstain {band.low:g} to {band.high:g} ({band.told})" for band in self.abstain]
        if self.top is not None:
            each.append(f"the {self.top} likeliest")
        if self.decimals is not None:
            each.append(f"{self.decimals} decimals")
        return " → ".join(each)
