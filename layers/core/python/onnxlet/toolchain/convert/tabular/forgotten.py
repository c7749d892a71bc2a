"""What a booster's own file has forgotten: the values of its classes, and which number was a missing value.

Whoever trained the model knows both, so they are asked for where the data show that it matters, once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.workbench.table import Table, is_number, number_of, quoted
from onnxlet.values.tensors import Tensor, Tensors

SENTINEL_SHARE = 0.01
"""A number in at least this share of a column, and in two rows, may stand for a missing value."""


def whole_numbers(labels: Sequence[str], count: int) -> tuple[int, ...] | None:
    """Labels that are class values themselves, `1,2,3,4`; None for names, and for another number of labels."""
    numbers = len(labels) == count and all(is_number(label) and number_of(label).is_integer() for label in labels)
    return tuple(int(number_of(label)) for label in labels) if numbers else None


def check_class_values(
    model_name: str, table: Table | None, targets: Sequence[str], count: int, labels: Sequence[str]
) -> None:
    """Raise InvalidInputError unless `labels`, or a target of exactly 0 to `count` - 1, say which class is which.

    Names for the classes leave the numbers in a target to be these, so there must be a 0 among such.
    """
    positions = {str(position) for position in range(count)}
    cells = set[str]() if table is None else {_bare(cell) for target in targets for cell in table.column(target)}
    numbered = cells & positions
    if cells == positions or (labels and (not numbered or "0" in numbered or cells <= set(labels))):
        return
    found = "no target" if not cells else f"a target {quoted(targets)} of other values than exactly 0 to {count - 1}"
    example = ",".join(str(position + 1) for position in range(min(count, 4))) + (",…" if count > 4 else "")  # noqa: PLR2004
    raise InvalidInputError(
        f"{model_name} does not say the values of its {count} classes, and there is {found}: name the values that it "
        f"was trained with, smallest first (texts by the alphabet), say --labels {example}; or give the estimator in a "
        ".joblib file, which knows them"
    )


def check_sentinels(model_name: str, columns: Tensors) -> None:
    """Raise InvalidInputError for columns in which one number may stand for a missing value."""
    sentinels = {name: value for name, column in columns.items() if (value := find_sentinel(column)) is not None}
    if not sentinels:
        return
    first = next(iter(sentinels.values()))
    raise InvalidInputError(
        f"{model_name} does not say which number stands for a missing value, and {_describe(sentinels)} may: say "
        f"--missing-value {first:g} if it was trained so, as with XGBClassifier(missing={first:g}), "
        "else --missing-value none; or give the estimator in a .joblib file, which knows it",
        columns=list(sentinels),
    )


def find_sentinel(column: Tensor) -> float | None:
    """The number in at least a hundredth of the column that lies farther from all others than these lie apart."""
    known = column[np.isfinite(column)]
    values, counts = np.unique(known, return_counts=True)
    if len(values) < 3:  # noqa: PLR2004 - two others have a range
        return None
    for place, others in ((0, values[1:]), (-1, values[:-1])):
        distance = np.abs(values[place] - others).min()
        if counts[place] >= max(2, SENTINEL_SHARE * len(column)) and distance > others[-1] - others[0]:
            return float(values[place])
    return None


def _describe(sentinels: Mapping[str, float]) -> str:
    by_value: dict[float, list[str]] = {}
    for name, value in sentinels.items():
        by_value.setdefault(value, []).append(name)
    return " and ".join(f"{value:g} in {quoted(names)}" for value, names in by_value.items())


def _bare(cell: str) -> str:
    """`1.0` as `1`."""
    whole = is_number(cell) and number_of(cell).is_integer()
    return str(int(number_of(cell))) if whole else cell.strip()
