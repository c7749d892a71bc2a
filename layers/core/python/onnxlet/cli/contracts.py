"""The accuracy contract as commands take and tell it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from onnxlet.lifecycle.summaries import format_verdict
from onnxlet.lifecycle.tables import format_facts, format_table

if TYPE_CHECKING:
    from onnxlet.values.contract import Bounds, Contract, Estimate

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

METRIC_ORDER = ("accuracy", "auc", "f1", "calibration_error", "rmse", "mae", "r2", "cosine")
"""Metrics in the order in which they are shown."""


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


def force_option(command: Decorated) -> Decorated:
    """`--force`, which needs a reason."""
    option: Callable[[Decorated], Decorated] = click.option(
        "--force", is_flag=True, help="Even if the accuracy contract does not hold, or is missing; needs --reason."
    )
    return option(command)


def format_contract(contract: Contract) -> str:
    """The contract for people: metrics by stage, the worst slice, what could not be judged, the verdict."""
    from onnxlet.toolchain.workbench.slices import describe_worst_slice

    measured = [stage for stage in contract.stages if stage.metrics]
    names = [name for name in METRIC_ORDER if any(name in stage.metrics for stage in measured)]
    rows = [(stage.stage, *(_format_estimate(stage.metrics.get(name)) for name in names)) for stage in measured]
    last = contract.stages[-1].distances
    moved = f"up to {last['largest']:.2g}" if "largest" in last else None
    agreement = f"{last['label_agreement']:.2%} of the labels stay" if "label_agreement" in last else None
    pairs = [
        ("answers moved", ", ".join(filter(None, (moved, agreement)))),
        ("worst slice", describe_worst_slice(contract)),
        *(("note", note) for note in contract.notes),
        ("contract", format_verdict(contract)),
    ]
    titles = ("STAGE", *(name.replace("_", " ").upper() for name in names))
    return "\n".join(block for block in (format_table(titles, rows), format_facts(pairs)) if block)


def _format_estimate(estimate: Estimate | None) -> str:
    """`0.965 (0.930-0.991)`."""
    if estimate is None:
        return ""
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.4g}"
    return f"{estimate.value:.4g} ({estimate.low:.4g} to {estimate.high:.4g})"
