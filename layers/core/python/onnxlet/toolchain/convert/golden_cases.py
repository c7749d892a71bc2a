"""Golden cases of a conversion: which rows become cases, and the most informative of them first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Literal

import numpy as np

from onnxlet.errors import ExecutionError, InvalidInputError
from onnxlet.serving.engine import Engine
from onnxlet.serving.golden import MOST_CASES, GoldenCase, with_sent
from onnxlet.steps import Steps
from onnxlet.steps.texts.wordlist import decode_word_list
from onnxlet.toolchain.convert import graph_edits
from onnxlet.toolchain.convert.synthetic_rows import (
    arbitrary_rows,
    move_off_integers,
    synthetic_columns,
    synthetic_rows,
)
from onnxlet.toolchain.convert.trained_model import Export, ModelRows
from onnxlet.toolchain.workbench.evaluation import PREDICTION, graph_inputs, name_answers
from onnxlet.toolchain.workbench.probing_rows import ANY_WORDS
from onnxlet.toolchain.workbench.stable_cases import choose_stable_cases, find_clear_rows
from onnxlet.values.keys import GOLDEN
from onnxlet.values.manifest import Golden, Tolerance
from onnxlet.values.tensors import Tensor, Tensors

SYNTHETIC_ROWS = 512
SEED = 0
MOST_WORDS = 30
"""Words of a text that is made up."""

GoldenSource = Literal["synthetic", "data", "random"]


def choose_golden_rows(
    rows: ModelRows, export: Export, wanted: Literal["synthetic", "data"]
) -> tuple[Tensors, GoldenSource]:
    """The rows to make golden cases of, with served datatypes, and where they come from.

    Only the statistics of the data are used, unless `wanted` is "data".
    """
    tabular = export.tabular
    if rows.source != "data" or wanted == "data":
        return rows.served(tabular), rows.source
    if rows.golden_candidates is not None:
        return rows.golden_candidates.served(tabular), rows.golden_candidates.source
    columns = rows.served(tabular)
    if export.vectorizers:
        rest = {name: column for name, column in columns.items() if name not in {v.column for v in export.vectorizers}}
        drawn = synthetic_columns(rest, SYNTHETIC_ROWS, seed=SEED)
        return {**drawn, **_texts(export)}, "synthetic"
    texts = any(column.dtype.kind == "O" for column in columns.values())
    known = graph_edits.texts_of(export.graph) if texts else frozenset()
    synthetic = synthetic_rows(columns, SYNTHETIC_ROWS, seed=SEED, known=known)
    if len(next(iter(synthetic.values()))):
        return synthetic, "synthetic"
    # every combination of frequent values is a row of the data
    return arbitrary_rows(columns, SYNTHETIC_ROWS, seed=SEED), "random"


def make_golden_cases(
    engines: Sequence[Engine], steps: Steps, columns: Tensors, *, source: GoldenSource, tolerance: Tolerance
) -> tuple[Golden | None, tuple[GoldenCase, ...]]:
    """Up to four stable cases, near the decision boundary and of each class; None where no answer is stable.

    `engines` have the graph open with different numbers of threads. `columns` are the rows of choose_golden_rows. If no
    case is stable, numbers of made-up rows are moved off integers, on which trees may split, and tried again.
    """
    cases = _cases(engines, steps, columns, tolerance)
    if not cases and source != "data":
        cases = _cases(engines, steps, move_off_integers(columns), tolerance)
    if not cases:
        return None, ()
    return Golden(path=GOLDEN, source=source, cases=len(cases), tolerance=tolerance), cases


def _cases(engines: Sequence[Engine], steps: Steps, columns: Tensors, tolerance: Tolerance) -> tuple[GoldenCase, ...]:
    try:
        inputs = graph_inputs(engines[0], steps, columns)
        outputs = engines[0].run(inputs)
    except (ExecutionError, InvalidInputError):
        # made up rows may hold what an encoder has never seen
        return ()
    answers = name_answers(steps, outputs)
    if steps.targets:
        clear = find_clear_rows(outputs, steps, tolerance)
        inputs, answers, columns = (_take_rows(each, clear) for each in (inputs, answers, columns))
    rows = range(len(next(iter(inputs.values()))))
    order = _informative_order(steps, answers) or rows
    if not steps.compute:
        return choose_stable_cases(engines, single_rows(inputs, order), tolerance, steps)
    # a row alone is not padded
    prepare = steps.preprocessor(steps.row_signature, engines[0].signature) or dict
    known = [GoldenCase(prepare(sent), {}, sent) for sent in single_rows(columns, order)]
    return with_sent(choose_stable_cases(engines, (case.inputs for case in known), tolerance, steps), known)


def order_by_information(label: Tensor | None, scores: Tensor | None) -> list[int]:
    """Positions of rows, those first whose answers change most easily: near the boundary, then one of each class.

    `scores` are a classifier's probabilities [N, classes] if it has any, or predictions, whose middle and extremes come
    first.
    """
    if label is None:
        if scores is None:
            return []
        by_value = np.argsort(scores.reshape(len(scores), -1)[:, 0], kind="stable")
        return list(dict.fromkeys([*by_value[[len(by_value) // 2, 0, -1]].tolist(), *by_value.tolist()]))
    nearest = list(range(len(label)))
    if scores is not None and scores.shape[1] > 1:
        ranked = np.sort(scores, axis=1)
        nearest = np.argsort(ranked[:, -1] - ranked[:, -2], kind="stable").tolist()
    one_of_each = np.unique(label, return_index=True)[1].tolist()
    return list(dict.fromkeys(nearest[:1] + one_of_each[: MOST_CASES - 1] + nearest))


def single_rows(inputs: Tensors, order: Sequence[int]) -> Iterator[Tensors]:
    """Each row of the graph inputs by itself, in this order."""
    for index in order:
        yield {name: tensor[index : index + 1] for name, tensor in inputs.items()}


def _texts(export: Export) -> Tensors:
    """Texts of words that the vectorizers know, or of any where they know none."""
    random = np.random.default_rng(SEED)
    words: dict[str, list[str]] = {}
    for step in export.vectorizers:
        listed = decode_word_list(export.assets[step.artifact], step.artifact).words if step.artifact else ()
        words.setdefault(step.column, []).extend(listed or ANY_WORDS)
    counts = random.integers(1, MOST_WORDS, SYNTHETIC_ROWS)
    known = {name: np.array(listed, dtype=object) for name, listed in words.items()}
    return {
        name: np.array([" ".join(random.choice(listed, count)) for count in counts], dtype=object)
        for name, listed in known.items()
    }


def _take_rows(tensors: Tensors, rows: Tensor) -> Tensors:
    return {name: tensor[rows] for name, tensor in tensors.items()}


def _informative_order(steps: Steps, outputs: Tensors) -> list[int]:
    """The first row of each target's order, then the second of each, and so on."""
    if not steps.targets:
        return order_by_information(None, outputs.get(PREDICTION))
    names = [step.names for step in steps.targets]
    orders = [order_by_information(outputs[each.label], outputs.get(each.probabilities)) for each in names]
    return list(dict.fromkeys(chain.from_iterable(zip(*orders, strict=True))))
