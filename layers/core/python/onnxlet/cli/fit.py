"""The command that tells whether a version will run on Lambda, and for how much: fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from onnxlet.cli.options import json_option, version_argument
from onnxlet.cli.output import Output
from onnxlet.cli.workspace import pass_workspace
from onnxlet.lifecycle.workspace import Workspace
from onnxlet.values.tables import format_facts, format_size, format_table

if TYPE_CHECKING:
    from onnxlet.toolchain.fit.limits import Architecture
    from onnxlet.toolchain.fit.report import Measured, Report, Size
    from onnxlet.values.refs import Ref


def _write_prices(ctx: click.Context, _param: click.Parameter, path: Path | None) -> None:
    if path is None or ctx.resilient_parsing:
        return
    from onnxlet.toolchain.fit.prices import write_prices

    write_prices(path)
    click.echo(path)
    ctx.exit()


@click.command(short_help="Tell whether a version fits Lambda, and its cost.")
@version_argument
@click.option(
    "--memory",
    type=click.IntRange(128, 10240),
    multiple=True,
    metavar="MB",
    help="Estimate for this memory size; may be repeated. Default: 256, 512, 1024, 1769, 3538.",
)
@click.option("--architecture", type=click.Choice(("x86_64", "arm64")), default="x86_64", show_default=True)
@click.option(
    "--prices",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="ONNXLET_PRICES",
    show_envvar=True,
    metavar="FILE",
    help="A price list. Default: the package's own, which nobody has verified.",
)
@click.option(
    "--write-prices",
    type=click.Path(path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=_write_prices,
    metavar="PATH",
    help="Write the package's price list to PATH, to be edited, and do nothing else.",
)
@json_option
@pass_workspace
@click.pass_context
def fit(
    ctx: click.Context,
    workspace: Workspace,
    *,
    ref: Ref,
    memory: tuple[int, ...],
    architecture: Architecture,
    prices: Path | None,
    output: Output,
) -> None:
    """Tell whether a version will run on AWS Lambda, how fast, and what a million predictions cost.

    The version is loaded and run here, in fresh processes; what Lambda would make of it is computed, and what was
    assumed for that is said. The exit code is 1 if it does not fit.

    \b
    Example:
      onnxlet fit diagnosis:1
      onnxlet fit diagnosis:1 --memory 512 --memory 2048 --architecture arm64
      onnxlet fit --write-prices prices.json
    """
    from onnxlet.toolchain.fit.fitting import fit as run
    from onnxlet.toolchain.fit.prices import read_prices

    assert ref.version is not None  # noqa: S101 - the argument's type refuses others
    price_list = read_prices(prices)
    with output.working(f"reading {ref}") as begin:
        report = run(
            workspace.open_store(),
            ref.model,
            ref.version,
            prices=price_list,
            architecture=architecture,
            memory=memory,
            clone=Path.cwd(),
            on_progress=begin,
        )
    _show(report, output)
    if not report.fits:
        ctx.exit(1)


def _show(report: Report, output: Output) -> None:
    output.show(report, _format_report(report))
    for warning in report.warnings:
        output.say(f"note: {warning}")


def _format_report(report: Report) -> str:
    from onnxlet.toolchain.fit.report import summary

    assumed = "\n".join(f"- {assumption}" for assumption in report.assumptions)
    return "\n\n".join(
        (
            f"{report.model}:{report.version} {summary(report)}",
            f"MEASURED HERE\n{_format_measured(report.measured)}",
            f"ARITHMETIC FOR LAMBDA\n{_format_arithmetic(report)}",
            f"ASSUMED\n{assumed}",
        )
    )


def _format_measured(measured: Measured) -> str:
    where = measured.machine
    head = format_facts(
        (
            ("on", f"{measured.date}, {where.processor}, {where.cpus} processors, Python {where.python}"),
            ("with", f"ONNX Runtime {where.onnxruntime}, {measured.threads[0].processes} fresh processes each"),
            ("artifacts", f"{format_size(measured.artifact_bytes)} in {measured.artifacts} files"),
            ("fetched in", f"{_format_ms(measured.fetch)} ms"),
        )
    )
    columns = (
        "THREADS",
        "IMPORT MS",
        "HASH MS",
        "LOAD MS",
        "GOLDEN MS" if measured.golden else "FIRST RUN MS",
        "PEAK MB",
    )
    rows = [
        (
            at.threads,
            _format_ms(at.imports),
            _format_ms(at.verify),
            _format_ms(at.load),
            _format_ms(at.first_run),
            _format_mb(at.peak_bytes),
        )
        for at in measured.threads
    ]
    runs = [
        (at.threads, latency.rows, latency.runs, _format_ms(latency.median), _format_ms(latency.p95))
        for at in measured.threads
        for latency in at.latencies
    ]
    timed = format_table(("THREADS", "ROWS", "RUNS", "MEDIAN MS", "P95 MS"), runs)
    return "\n\n".join(filter(None, (head, format_table(columns, rows), timed)))


def _format_arithmetic(report: Report) -> str:
    from onnxlet.toolchain.fit.limits import MOST_TMP
    from onnxlet.toolchain.fit.sizing import BATCH, HEADROOM, RUNTIME_MB

    computed = report.arithmetic
    package, tag = computed.packaging, computed.prices
    peak = report.measured.peak_bytes / 2**20
    recommended = f"{computed.recommended_mb} MB" if computed.recommended_mb else "none is large enough"
    head = format_facts(
        (
            (
                "package",
                f"{package.kind}, {_format_mb(package.unzipped)} of {_format_mb(package.unzipped_limit)} MB unzipped",
            ),
            ("upload", f"{_format_mb(package.zipped)} of {_format_mb(package.upload_limit)} MB zipped"),
            ("weighed", package.source),
            ("storage", f"{computed.tmp_mb} of {MOST_TMP} MB, ephemeral"),
            ("memory", f"{recommended}: {peak:.0f} MB x {HEADROOM:g} + {RUNTIME_MB} MB = {computed.needed_mb} MB"),
            ("prices", f"{tag}, {computed.architecture}"),
        )
    )
    priced = f"{tag.currency} PER MILLION, {tag.date} {'VERIFIED' if tag.verified else 'UNVERIFIED'}"
    columns = ("MEMORY", "VCPU", "THREADS", "WARM MS", "COLD MS", priced, f"SAME BY {BATCH} ROWS")
    return f"{head}\n\n" + format_table(columns, [_format_row(one) for one in computed.sizes])


def _format_row(one: Size) -> tuple[object, ...]:
    from onnxlet.toolchain.fit.report import money

    if not one.enough:
        return (one.memory, f"{one.vcpus:.2f}", one.threads, "too small", None, None, None)
    costs = (None if cost is None else money(cost) for cost in (one.per_million, one.per_million_in_batches))
    return (one.memory, f"{one.vcpus:.2f}", one.threads, _format_ms(one.warm), _format_ms(one.cold), *costs)


def _format_mb(count: int) -> str:
    return f"{count / 2**20:.0f}"


def _format_ms(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    milliseconds = seconds * 1e3
    return f"{milliseconds:.3g}" if milliseconds < 100 else f"{milliseconds:.0f}"  # noqa: PLR2004 - three digits
