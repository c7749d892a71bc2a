"""The baseline of a version: what its rows and its answers to them look like, in counts."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.monitor.baseline import Baseline, draw_baseline
from onnxlet.monitor.capture.policy import CapturePolicy
from onnxlet.monitor.capture.publishing import obeying
from onnxlet.monitor.measures import measure_rows, plan_measures
from onnxlet.steps import Steps
from onnxlet.toolchain.workbench.evaluation import run_in_batches
from onnxlet.values.tensors import Tensors

MOST_ROWS = 100_000
MOST_TENSOR_ROWS = 2_000
"""Rows of tensors, which take longer to answer than rows of a table."""
MOST_MEASURED = 1_000
"""Pictures or texts that are measured."""
SEED = 0


def count_rows(
    columns: Tensors,
    steps: Steps,
    predict: Callable[[Tensors], Tensors],
    policy: CapturePolicy | None = None,
    *,
    sliced_by: str = "",
) -> Baseline:
    """Count rows of a version's row signature, with served datatypes, and its served answers to them.

    Of many rows some are drawn. Pictures, and other inputs that are bytes, are not counted, nor are columns that the
    `policy` drops or hashes. Raises InvalidInputError where the column `sliced_by` makes no slices, or is not counted.
    """
    if sliced_by and policy is not None and not policy.rule_of(sliced_by).is_counted:
        raise InvalidInputError(f"the version's policy lets {sliced_by!r} not be counted: nothing is sliced by it")
    most = MOST_TENSOR_ROWS if steps.columns is None else MOST_ROWS
    rows = len(next(iter(columns.values())))
    if rows > most:
        drawn = np.sort(np.random.default_rng(SEED).choice(rows, most, replace=False))
        columns = {name: tensor[drawn] for name, tensor in columns.items()}
    answers = run_in_batches(predict, columns)
    measured = measure_rows(plan_measures(steps), columns, MOST_MEASURED)
    counted = draw_baseline({**columns, **measured}, answers, dropped=steps.encoded, sliced_by=sliced_by)
    return obeying(msgspec.structs.replace(counted, measured=tuple(measured)), policy)
