"""Feature names: which columns of the data a model reads, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.toolchain.workbench.table import Table, lacking_columns, quoted


def feature_names(
    model_name: str,
    *,
    learned: Sequence[str] | None,
    expected: int | None,
    table: Table | None,
    targets: Sequence[str],
    exact_width: bool = True,
    spell: Callable[[str], str] = str,
) -> tuple[str, ...]:
    """The names of the features in the model's order.

    They are the `learned` names as the data spells them, else the data's columns without the targets, else x0, x1 …
    `model_name` stands in messages. `expected` is the number of features if the model knows it; with `exact_width` the
    data may not have more. `spell` is how the model would have spelled a column's name. Raises InvalidInputError where
    data and model do not fit, ConversionError if neither says how many features there are.
    """
    if learned is not None:
        return _match_learned(learned, targets, table, spell)
    if table is None:
        if expected is None:
            raise ConversionError(f"{model_name} does not say how many features it has: give --data")
        return tuple(f"x{index}" for index in range(expected))
    _check_targets(table, targets)
    names = tuple(name for name in table.columns if name not in targets)
    # who has not named a target may not mean a further column to be a feature
    exact_width = exact_width or not targets
    if expected is not None and (len(names) != expected if exact_width else len(names) < expected):
        hint = "" if targets else "; if it holds the target, name it with --target"
        if len(names) > expected:
            hint += "; a model that was fitted with named columns finds its own among others"
        wanted = expected if exact_width else f"at least {expected}"
        raise InvalidInputError(
            f"{table.name!r} has {len(names)} columns of features, {model_name} wants {wanted}{hint}",
            columns=len(names),
            expected=expected,
        )
    return names


def _check_targets(table: Table, targets: Sequence[str], learned: Sequence[str] = ()) -> None:
    for target in targets:
        table.column(target, (*learned, *targets))


def _match_learned(
    learned: Sequence[str], targets: Sequence[str], table: Table | None, spell: Callable[[str], str]
) -> tuple[str, ...]:
    if table is None:
        return tuple(learned)
    _check_targets(table, targets, learned)
    columns: dict[str, list[str]] = {}
    for name in table.columns:
        if name in learned or name not in targets:
            columns.setdefault(spell(name), []).append(name)
    missing = [name for name in learned if name not in columns]
    if missing:
        raise lacking_columns(table, missing, (*learned, *targets))
    alike = next((columns[name] for name in learned if len(columns[name]) > 1), None)
    if alike is not None:
        raise InvalidInputError(
            f"the columns {quoted(alike)} of {table.name!r} have the same name to the model, which put underscores for "
            "spaces: leave out those that it was not fitted on",
            columns=alike,
        )
    return tuple(columns[name][0] for name in learned)
