"""Notes of a contract: what was left out, and what so few rows cannot show."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from operator import itemgetter

import numpy as np

from onnxlet.toolchain.verify.bootstrap import FEWEST_ROWS
from onnxlet.toolchain.verify.findings import AnswerPair, Estimates
from onnxlet.toolchain.workbench.task import Task
from onnxlet.values.contract import Slice
from onnxlet.values.tensors import Tensor

CONFIDENCE = 0.95
GUESSES = {
    "embedding": "the answers are taken for embeddings, of which the direction counts and not the size: if they are "
    "numbers, a forecast say, convert with --task regression",
    "segmentation": "the answers are taken for classes at each position: if they are none, an image say, convert with "
    "--task tensors",
}
"""What is said where nothing but the shape of the answers tells how to judge them."""


def notes(pair: AnswerPair, after: Estimates, slices: Sequence[Slice], *, unanswered: int) -> Iterator[str]:
    """What was left out, what is not judged, and what so few rows cannot tell."""
    task, truth, rows = pair.task, pair.truth, pair.rows
    if unanswered:
        yield f"{unanswered} rows are left out, for which the model itself gives no numbers: they lack values"
    if task.guessed:
        yield GUESSES[task.kind]
    if truth is None:
        yield "no target was given: distances are judged, not how good the answers are"
    elif task.kind == "classification":
        yield from _absent_classes(task, truth)
    elif task.kind == "regression" and "r2" not in after:
        yield "the target is the same in all rows: R squared cannot be told"
    if rows < FEWEST_ROWS:
        others = 1 - (1 - CONFIDENCE) ** (1 / rows)
        yield (
            f"{_counted(rows)} show little: even if none of them differs, up to {_percent(others)} of other rows may "
            f"(at {_percent(CONFIDENCE)} confidence); confidence intervals need {FEWEST_ROWS} rows"
        )
    if task.kind == "classification":
        yield from _invisible_losses(pair, slices)


def _absent_classes(task: Task, truth: Tensor) -> Iterator[str]:
    for target, known in task.targets_with_truth(truth):
        present = len(np.unique(target.positions(known)))
        if present < len(target.classes):
            target_name = f"the target {target.name!r}" if target.name else "the target"
            yield (
                f"{target_name} holds {present} of {len(target.classes)} classes: the others' recall and the area "
                "under the curve are not judged"
            )


def _invisible_losses(pair: AnswerPair, slices: Sequence[Slice]) -> Iterator[str]:
    """Losses that are worth less than a row: of classes and of slices the smallest stands for all."""
    task, bounds = pair.task, pair.bounds
    if pair.truth is None:
        yield from _too_few_rows(pair.rows, "", "a share of changed labels", bounds.label_change)
        return
    yield from _too_few_rows(pair.rows, "", "a loss of accuracy", bounds.metric_loss)
    counts = Counter(
        target.names[position]
        for target, known in task.targets_with_truth(pair.truth)
        for position in target.positions(known).tolist()
    )
    name, count = min(counts.items(), key=itemgetter(1))
    yield from _too_few_rows(count, f" of the class {name!r}", "a loss of its recall", bounds.recall_loss)
    if slices:
        smallest = min(slices, key=lambda each: each.rows)
        yield from _too_few_rows(
            smallest.rows, f" of the slice {smallest}", "a loss of its accuracy", bounds.recall_loss
        )


def _too_few_rows(rows: int, of: str, what: str, bound: float) -> Iterator[str]:
    if 1 / rows > bound:
        needed = f": the bound of {_percent(bound)} needs {math.ceil(1 / bound - 1e-9)} rows" if bound else ""
        worth = f"under {_percent(1 / rows)}, which is one row and let pass"
        yield f"{_counted(rows)}{of} cannot show {what} {worth}{needed}"


def _counted(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows} rows"


def _percent(share: float) -> str:
    return f"{float(f'{100 * share:.2g}'):g} %"
