"""The command that does the whole way of a model: ship."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from onnxlet.cli.command_group import CommandError
from onnxlet.cli.contracts import contract_options, force_option, judge_option
from onnxlet.cli.moving import warn_of_gate
from onnxlet.cli.options import data_options, json_option, model_argument, policy_option, why_option
from onnxlet.cli.output import Output
from onnxlet.cli.publish_attempt import PublishAttempt
from onnxlet.cli.toolchain import convert, optimize
from onnxlet.cli.workspace import pass_workspace
from onnxlet.errors import ContractFailedError
from onnxlet.lifecycle.summaries import describe_outcome, format_verdict
from onnxlet.lifecycle.workspace import Workspace
from onnxlet.values.tables import format_blocks, format_facts

if TYPE_CHECKING:
    from onnxlet.lifecycle.shipping import Shipment
    from onnxlet.toolchain.fit.report import Report
    from onnxlet.values.contract import Bounds, Contract
    from onnxlet.values.manifest import Manifest

OWN = {"model", "directory", "place", "data", "target", "judge", "slices", "bounds", "show_values", "output"}
"""Parameters of `convert` and `optimize` that ship has in its own way; it takes all others over."""
CONVERTING = [param for param in convert.params if param.name not in OWN]
OPTIMIZING = [param for param in optimize.params if param.name not in OWN]


class PromotionChoice(NamedTuple):
    """Whether the new version goes live, past which contract, and why; and what is kept of the rows that it answers."""

    wanted: bool
    force: bool
    why: str
    policy: Mapping[str, Any] | None


@click.command(short_help="Convert, optimize, verify and publish in one go.")
@click.argument("model_file", type=click.Path(path_type=Path))
@model_argument
@data_options
@contract_options
@judge_option
@click.option("--promote", "promoting", is_flag=True, help="Route the alias `production` to the new version.")
@force_option
@why_option
@policy_option
@json_option
@pass_workspace
def ship(
    workspace: Workspace,
    /,
    *,
    model_file: Path,
    name: str,
    data: Path | None,
    target: tuple[str, ...],
    slices: tuple[str, ...],
    bounds: Bounds,
    judge: Path | None,
    promoting: bool,
    force: bool,
    why: str,
    policy: Path | None,
    output: Output,
    **choices: Any,  # noqa: ANN401 - as convert takes them
) -> None:
    """Convert, optimize, verify and publish MODEL_FILE as the next version of NAME, and print NAME:VERSION.

    MODEL_FILE is what `onnxlet convert` takes: of XGBoost, LightGBM and CatBoost the file that they save themselves,
    not a .joblib of their scikit-learn wrappers. The options are its own and those of optimize and verify. All of it is
    judged on --data, rows that the model was not trained on: with --target by the truth, without it only by how far
    answers moved. A version whose accuracy contract does not hold is not published, unless --force says so and
    --reason why. A bare graph has no contract but with --expected.

    \b
    Example:
      onnxlet ship model.joblib diagnosis --trust --data held-out.csv --target diagnosis
      onnxlet ship model.joblib diagnosis --trust --data held-out.csv --target diagnosis --slice sex \\
          --promote --reason "retrained on the June cohort"
      onnxlet ship model.joblib staging --trust --data held-out.csv --target stage --target grade --tolerance 1e-5
    """
    if data is None:
        raise click.UsageError("--data is needed: rows that the model was not trained on")
    if force and not why:
        raise click.UsageError("--force needs a --reason, which the history keeps")
    from onnxlet.lifecycle.options import as_policy
    from onnxlet.lifecycle.shipping import Shipment

    document = as_policy(policy)
    options = {name: value for name, value in choices.items() if value is not None}
    shipment = Shipment(name, model_file, data, target, slices, bounds, options, judge)
    _ship(workspace, name, shipment, PromotionChoice(promoting, force, why, document), output)


ship.params[2:2] = [*CONVERTING, *OPTIMIZING]


def _ship(workspace: Workspace, name: str, shipment: Shipment, promotion: PromotionChoice, output: Output) -> None:
    from onnxlet.lifecycle.releasing import publish_path
    from onnxlet.lifecycle.shipping import FitMeasurement

    attempt, measurement = PublishAttempt(workspace.open_registry(), name, output), FitMeasurement()

    def document() -> dict[str, object]:
        return {"version": attempt.manifest, "alias": attempt.alias, **measurement.document()}

    with attempt.reporting(document):
        with (
            tempfile.TemporaryDirectory(prefix="onnxlet-") as folder,
            output.working(f"reading {shipment.model}") as begin,
        ):
            draft, contract = shipment.build(Path(folder) / "model", begin)
            output.say(format_blocks(describe_outcome(draft, contract), "\n"))
            _refuse_broken(contract, force=promotion.force)
            manifest = publish_path(attempt, Path(folder) / "model", begin, policy=promotion.policy)
            if promotion.wanted:
                warn_of_gate(attempt.promote(why=promotion.why, force=promotion.force), output)
            measurement.measure(workspace, manifest, begin)
        if measurement.failed is not None:
            output.say(f"warning: whether it fits Lambda was not measured: {measurement.failed}")
        output.say(format_facts(_suggest_next(manifest, measurement.report, promotion)))


def _refuse_broken(contract: Contract | None, *, force: bool) -> None:
    if contract is not None and not contract.holds and not force:
        raise CommandError(
            ContractFailedError(
                f"nothing was published: the accuracy contract {format_verdict(contract)}; loosen it with --bound, or "
                "publish all the same with --force --reason WHY"
            ),
            "`onnxlet convert`, `optimize` and `verify` one by one, which leave a directory with its report.html",
        )


def _suggest_next(manifest: Manifest, report: Report | None, promotion: PromotionChoice) -> list[tuple[str, str]]:
    """Where it runs, and the command to type next, which forces again what was forced."""
    from onnxlet.toolchain.fit.report import summary

    command = f"onnxlet promote {manifest.model}:{manifest.version}"
    if manifest.contract is not None and not manifest.contract.holds:
        command += f" --force --reason {shlex.quote(promotion.why)}"
    if promotion.wanted:
        command = f"onnxlet predict {manifest.model} rows.csv"
    return [("on Lambda", summary(report) if report is not None else ""), ("next", command)]
