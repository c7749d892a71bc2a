"""Oddities: what is possible, and yet looks as if classes or scores were misread. They are said, and stop nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from onnxlet.toolchain.verify.findings import AnswerPair, Estimates
from onnxlet.toolchain.workbench.table import quoted
from onnxlet.toolchain.workbench.task import ClassificationTarget
from onnxlet.values.metrics import metric_of_target
from onnxlet.values.tensors import Tensor

HIGH_AUC = 0.8
"""Scores that rank so well should classify better than the most frequent class does."""
ROUNDING = 1e-9


def oddities(pair: AnswerPair, after: Estimates) -> Iterator[str]:
    """What is odd about the candidate's answers, by the truth."""
    if pair.truth is None:
        return
    if pair.task.segmentation is not None:
        measures = pair.task.segmentation.measures(pair.candidate, pair.truth, pair.reference)
        yield from _never_predicted(measures.unmarked())
        return
    if pair.task.kind != "classification":
        return
    rated = [_Rating(target, known, pair, after) for target, known in pair.task.targets_with_truth(pair.truth)]
    yield from _chance_beside_ranking([rating for rating in rated if rating.is_odd])
    yield from _misnamed([rating for rating in rated if rating.is_misnamed])
    yield from _reversed([rating for rating in rated if rating.is_reversed and not rating.is_misnamed])
    yield from _never_predicted([name for rating in rated for name in rating.missed])


class _Rating:
    """What one target's answers are worth: accuracy, that of the most frequent class, and the area under the curve."""

    def __init__(self, target: ClassificationTarget, known: Tensor, pair: AnswerPair, after: Estimates) -> None:
        self.name = target.name
        accuracy, area = (after.get(metric_of_target(metric, target.name)) for metric in ("accuracy", "auc"))
        self.accuracy, self.area = accuracy.value if accuracy else 1.0, area.value if area else 0.5
        positions, answered = target.positions(known), target.positions(pair.candidate[target.answers.label])
        self.chance = float(np.unique(positions, return_counts=True)[1].max() / len(positions))
        present = sorted(set(positions.tolist()) - set(answered.tolist()) - {-1})
        self.missed = [target.names[position] for position in present]
        meant = {position: _most_frequent(positions[answered == position]) for position in set(answered.tolist())}
        self.renamed = {target.names[said]: target.names[true] for said, true in sorted(meant.items()) if said != true}
        """Answered classes by what the rows mostly are that they are answered to, where that is another class."""
        right = sum(int((positions[answered == said] == true).sum()) for said, true in meant.items())
        self.right = right / len(positions)
        """The accuracy if they were called so."""
        self.is_apart = len(set(meant.values())) == len(meant)

    @property
    def is_odd(self) -> bool:
        """Whether the labels do not follow scores that rank the rows well."""
        return self.area >= HIGH_AUC and self.accuracy <= self.chance + ROUNDING

    @property
    def is_misnamed(self) -> bool:
        """Whether other names for the same classes would be right by far, and these are worse than chance."""
        much = (1 + self.chance) / 2
        return bool(self.renamed) and self.is_apart and self.accuracy <= self.chance and self.right >= much

    @property
    def is_reversed(self) -> bool:
        """Whether scores rank the rows well, the wrong way around."""
        return self.area <= 1 - HIGH_AUC


def _most_frequent(positions: Tensor) -> int:
    values, counts = np.unique(positions, return_counts=True)
    return int(values[counts.argmax()])


def _misnamed(odd: Sequence[_Rating]) -> Iterator[str]:
    for rating in odd:
        about = f" of {rating.name!r}" if rating.name else ""
        names = ", ".join(f"{said!r} {true!r}" for said, true in rating.renamed.items())
        yield (
            f"the accuracy{about} is {rating.accuracy:.4g}, and would be {rating.right:.4g} if other names were given: "
            f"for {names}; classes look misnamed, or listed in another order than the model's"
        )


def _reversed(odd: Sequence[_Rating]) -> Iterator[str]:
    for rating in odd:
        about = f" of {rating.name!r}" if rating.name else ""
        yield (
            f"the area under the curve{about} is {rating.area:.4g}: the scores rank the rows the wrong way around, as "
            "where they are those of the other class"
        )


def _chance_beside_ranking(odd: Sequence[_Rating]) -> Iterator[str]:
    if odd:
        worst = max(odd, key=lambda rating: rating.area)
        about = f" of {quoted(rating.name for rating in odd)}" if worst.name else ""
        example = f", of {worst.name!r}" if len(odd) > 1 else ""
        yield (
            f"the accuracy{about} is no better than always answering the most frequent class ({worst.accuracy:.4g} and "
            f"{worst.chance:.4g}{example}), while the area under the curve is {worst.area:.4g}: the scores rank the "
            "rows and the labels do not follow, as where classes or outputs are misread, or a class is rare"
        )


def _never_predicted(missed: Sequence[str]) -> Iterator[str]:
    if missed:
        yield f"{'the class' if len(missed) == 1 else 'the classes'} {quoted(missed)} {_is(missed)} never predicted"


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
