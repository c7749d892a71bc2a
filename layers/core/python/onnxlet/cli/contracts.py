"""The accuracy contract as commands take it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from onnxlet.values.contract import Bounds

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def _parse_bounds(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> Bounds:
    from onnxlet.values.contract import Bounds

    chosen = {}
    for value in values:
        name, _, number = value.partition("=")
        if name not in Bounds.__struct_fields__:
            raise click.BadParameter(f"{name!r} is not bounded: choose of {', '.join(Bounds.__struct_fields__)}")
        try:
            chosen[name] = float(number)
        except ValueError:
            raise click.BadParameter(f"{value!r} holds no number: write {name}=0.01") from None
        if not 0 <= chosen[name] < math.inf:
            raise click.BadParameter(f"{name} must be 0 or more, not {number}")
    return Bounds(**chosen)


def contract_options(command: Decorated) -> Decorated:
    """`--slice` and `--bound`: what the contract looks at, and what it allows."""
    slices: Callable[[Decorated], Decorated] = click.option(
        "--slice",
        "slices",
        multiple=True,
        metavar="COLUMN",
        help="A column of --data whose values are looked at one by one; numbers by quarters. May be repeated.",
    )
    bounds: Callable[[Decorated], Decorated] = click.option(
        "--bound",
        "bounds",
        multiple=True,
        callback=_parse_bounds,
        metavar="NAME=SHARE",
        help="What may be lost: metric_loss=0.005, recall_loss=0.02, label_change=0.01, distance=0.1, "
        "mean_distance=0.01 unless said otherwise. May be repeated.",
    )
    return slices(bounds(command))


def judge_option(command: Decorated) -> Decorated:
    """`--judge`: rows of one's own that judge."""
    option: Callable[[Decorated], Decorated] = click.option(
        "--judge",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Rows that only judge, like those of --data; give them to convert, optimize and verify. Default: rows of "
        "--data that chose nothing.",
    )
    return option(command)


def split_options(command: Decorated) -> Decorated:
    """`--group` and `--seed`: how the rows of --data are split into those that choose and those that judge."""
    group: Callable[[Decorated], Decorated] = click.option(
        "--group",
        metavar="COLUMN",
        help="A column of --data, patients say: rows that share a value choose together or judge together.",
    )
    seed: Callable[[Decorated], Decorated] = click.option(
        "--seed",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        help="Of the draw which rows of --data choose and which judge.",
    )
    return group(seed(command))


def force_option(command: Decorated) -> Decorated:
    """`--force`, which needs a reason."""
    option: Callable[[Decorated], Decorated] = click.option(
        "--force",
        is_flag=True,
        help="Even if the accuracy contract does not hold or is missing, or the history is broken; needs --reason.",
    )
    return option(command)
