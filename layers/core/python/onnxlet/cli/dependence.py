"""Show how answers depend on a column, on average over the rows of a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from onnxlet.cli.options import json_option, ref_argument
from onnxlet.cli.output import Output
from onnxlet.cli.scoring import count_cores
from onnxlet.cli.workspace import pass_workspace
from onnxlet.lifecycle.workspace import Workspace
from onnxlet.values.tables import Facts, Table, format_blocks

if TYPE_CHECKING:
    from onnxlet.batch.dependence import Curve, Dependence
    from onnxlet.values.refs import Ref


@click.command(short_help="Show how answers depend on columns.")
@ref_argument
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--column", "columns", multiple=True, metavar="NAME", help="Once for each. Default: the most important.")
@click.option("--grid", type=click.IntRange(2, 1000), default=20, show_default=True, help="Values of each, at most.")
@click.option("--output", "served", metavar="NAME", help="Which served output. Default: a classifier's probabilities.")
@click.option("--class", "classes", multiple=True, metavar="LABEL", help="A class; once for each. Default: all.")
@click.option("--workers", type=click.IntRange(1), default=count_cores, metavar="N", help="Processes at once.")
@json_option
@pass_workspace
def dependence(
    workspace: Workspace,
    *,
    ref: Ref,
    file: Path,
    columns: tuple[str, ...],
    grid: int,
    served: str | None,
    classes: tuple[str, ...],
    workers: int,
    output: Output,
) -> None:
    """Print the mean answer to the rows of FILE where all have one value in a column, value by value.

    FILE is what `onnxlet score` takes, however long. Values are quantiles of numbers, from 5 % to 95 %, and the most
    frequent texts; of few values all.

    \b
    Example:
      onnxlet dependence diagnosis patients.csv --column radius --class malignant
    """
    from onnxlet.batch.dependence import Asked, find_dependence
    from onnxlet.explain.request import ExplanationRequest

    asked = Asked(columns, grid, ExplanationRequest(output=served, classes=classes or None))
    with output.progress(f"asking about {file.name}", "B") as advance:
        model = workspace.make_predictor().load(ref).model
        found = find_dependence(model, file, asked, workers=workers, on_progress=advance)
    output.show(found, format_blocks([_describe(found), *map(_tabulate, found.curves)]))


def _describe(found: Dependence) -> Facts:
    bad = f", {found.rows.errors:,} bad" if found.rows.errors else ""
    return Facts(
        [("mean", f"{found.output} in {found.unit}"), ("rows", f"{found.rows.scored:,} of {found.rows.read:,}{bad}")]
    )


def _tabulate(curve: Curve) -> Table:
    lines = [
        [
            f"{value:.6g}" if isinstance(value, float) else value,
            *(f"{each[place]:.4g}" for each in curve.means.values()),
        ]
        for place, value in enumerate(curve.grid)
    ]
    return Table([curve.column, *curve.means], lines)
