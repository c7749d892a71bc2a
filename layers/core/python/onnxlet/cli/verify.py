"""The command that judges a converted model by its accuracy contract: verify."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onnxlet.cli.contracts import contract_options, judge_option
from onnxlet.cli.options import data_options, directory_argument, json_option
from onnxlet.cli.output import Output
from onnxlet.lifecycle.summaries import describe_contract
from onnxlet.values.tables import format_blocks

if TYPE_CHECKING:
    from onnxlet.values.contract import Bounds


@click.command(short_help="Judge a converted model by its accuracy contract.")
@directory_argument
@data_options
@contract_options
@judge_option
@click.option(
    "-o",
    "--output",
    "report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A copy of the report that DIRECTORY gets, a page of HTML.",
)
@click.option(
    "--explain-rows",
    type=click.IntRange(0, 100),
    default=0,
    metavar="COUNT",
    help="Explain so many of the rows that are answered worst one by one in the report. Their values may be worked out "
    "of that, and the contract says so.",
)
@json_option
@click.pass_context
def verify(
    ctx: click.Context,
    *,
    directory: Path,
    data: Path | None,
    target: tuple[str, ...],
    slices: tuple[str, ...],
    bounds: Bounds,
    judge: Path | None,
    report: Path | None,
    explain_rows: int,
    output: Output,
) -> None:
    """Judge a converted model by its own framework's answers, and print where the report lies.

    DIRECTORY is what `onnxlet convert` wrote with this --data, optimized or not. The contract goes into the version
    that is published of it, and so does the report, which holds no row of the data (but for --explain-rows). Without
    --target distances are judged alone. The exit code is 1 if the contract does not hold.

    \b
    Example:
      onnxlet verify diagnosis/ --data held-out.csv --target diagnosis --slice sex -o report.html
    """
    from onnxlet.toolchain.verify import verify as run
    from onnxlet.toolchain.verify.report import REPORT

    if data is None and judge is None:
        raise click.UsageError("--data is needed: the file that the model was converted with", ctx)
    rows: dict[str, Any] = {"data": data, "target": target, "judge": judge, "explain_rows": explain_rows}
    with output.working(f"reading {directory}") as begin:
        contract = run(directory, **rows, slices=slices, bounds=bounds, report=report, on_progress=begin)
    output.say(format_blocks(describe_contract(contract), "\n"))
    output.show(contract, str(report or directory / REPORT))
    if not contract.holds:
        ctx.exit(1)
