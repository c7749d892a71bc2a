"""The command that does the whole way of a model: ship."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from onnxlet.cli.command_group import CommandError
from onnxlet.cli.contracts import contract_options, force_option, format_contract
from onnxlet.cli.moving import warn_of_gate
from onnxlet.cli.options import data_options, json_option, model_argument, why_option
from onnxlet.cli.output import Output
from onnxlet.cli.publish_attempt import PublishAttempt
from onnxlet.cli.toolchain import convert, format_rungs, optimize
from onnxlet.cli.workspace import pass_workspace
from onnxlet.errors import ContractFailedError, OnnxletError
from onnxlet.lifecycle.summaries import format_verdict
from onnxlet.lifecycle.tables import format_facts, format_size
from onnxlet.lifecycle.workspace import Workspace

if TYPE_CHECKING:
    from onnxlet.toolchain.fit.report import Report
    from onnxlet.values.contract import Bounds, Contract
    from onnxlet.values.manifest import Draft, Manifest

OWN = {"model", "directory", "place", "data", "target", "slices", "bounds", "output"}
"""Parameters of `convert` and `optimize` that ship has in its own way; it takes all others over."""
CONVERTING = [param for param in convert.params if param.name not in OWN]
OPTIMIZING = [param for param in optimize.params if param.name not in OWN]


@dataclass(frozen=True)
class Shipment:
    """A model's file, what it is judged on, and `choices`: the options of `convert` and `optimize` by their names."""

    model: Path
    data: Path
    target: tuple[str, ...]
    slices: tuple[str, ...]
    bounds: Bounds
    choices: dict[str, Any]

    def build(self, directory: Path, begin: Callable[[str], None]) -> tuple[Draft, Contract]:
        """Convert, optimize and verify into a directory. Raises as these do."""
        from onnxlet.toolchain.convert import convert
        from onnxlet.toolchain.optimize import optimize
        from onnxlet.toolchain.verify import verify
        from onnxlet.toolchain.workbench.arrays import read_data

        cells = read_data(self.data)
        for column in self.slices:
            cells.column(column)
        begin("converting")
        converting = self._choices_of(CONVERTING)
        convert(self.model, directory, data=self.data, target=self.target, on_progress=begin, **converting)
        begin("optimizing")
        judging: dict[str, Any] = {
            "data": self.data,
            "target": self.target,
            "slices": self.slices,
            "bounds": self.bounds,
        }
        draft = optimize(directory, **judging, on_progress=begin, **self._choices_of(OPTIMIZING))
        begin("verifying")
        return draft, verify(directory, **judging, on_progress=begin)

    def _choices_of(self, params: Sequence[click.Parameter]) -> dict[str, Any]:
        chosen = {param.name: self.choices[param.name] for param in params if param.name}
        return {name: value for name, value in chosen.items() if value is not None}


class Promotion(NamedTuple):
    """Whether the new version goes live, past which contract, and why."""

    wanted: bool
    force: bool
    why: str


class FitMeasurement:
    """Whether a version that is published already fits Lambda, or why that was not measured."""

    def __init__(self) -> None:
        self.report: Report | None = None
        self.failed: str | None = None

    def measure(self, workspace: Workspace, manifest: Manifest, begin: Callable[[str], None]) -> None:
        """Measure; what fails is kept, since the version is there all the same."""
        from onnxlet.toolchain.fit.fitting import fit
        from onnxlet.toolchain.fit.prices import read_prices

        begin("measuring whether it fits Lambda")
        model, version = manifest.model, manifest.version
        try:
            prices = read_prices(None)
            self.report = fit(workspace.open_store(), model, version, prices=prices, rounds=1, on_progress=begin)
        except OnnxletError as error:
            self.failed = error.detail
        except OSError as error:
            self.failed = f"the system refused, {str(error.strerror or error).lower()}"

    def document(self) -> dict[str, object]:
        """The report, or null and why."""
        if self.report is not None:
            return {"fit": self.report}
        return {"fit": None, "fit_failed": self.failed or "it was not measured"}


@click.command(short_help="Convert, optimize, verify and publish in one go.")
@click.argument("model_file", type=click.Path(path_type=Path))
@model_argument
@data_options
@contract_options
@click.option("--promote", "promoting", is_flag=True, help="Route the alias `production` to the new version.")
@force_option
@why_option
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
    promoting: bool,
    force: bool,
    why: str,
    output: Output,
    **choices: Any,  # noqa: ANN401 - as convert takes them
) -> None:
    """Convert, optimize, verify and publish MODEL_FILE as the next version of NAME, and print NAME:VERSION.

    MODEL_FILE is what `onnxlet convert` takes: of XGBoost, LightGBM and CatBoost the file that they save themselves,
    not a .joblib of their scikit-learn wrappers. The options are its own and those of optimize and verify. All of it is
    judged on --data, rows that the model was not trained on: with --target by the truth, without it only by how far
    answers moved. A version whose accuracy contract does not hold is not published, unless --force says so and
    --reason why.

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
    shipment = Shipment(model_file, data, target, slices, bounds, choices)
    _ship(workspace, name, shipment, Promotion(promoting, force, why), output)


ship.params[2:2] = [*CONVERTING, *OPTIMIZING]


def _ship(workspace: Workspace, name: str, shipment: Shipment, promotion: Promotion, output: Output) -> None:
    attempt, measurement = PublishAttempt(workspace.open_registry(), name, output), FitMeasurement()

    def document() -> dict[str, object]:
        return {"version": attempt.manifest, "alias": attempt.alias, **measurement.document()}

    with attempt.reporting(document):
        with (
            tempfile.TemporaryDirectory(prefix="onnxlet-") as folder,
            output.working(f"reading {shipment.model}") as begin,
        ):
            draft, contract = shipment.build(Path(folder) / "model", begin)
            output.say(_format_outcome(draft, contract))
            _refuse_broken(contract, force=promotion.force)
            manifest = _publish(attempt, Path(folder), begin)
            if promotion.wanted:
                warn_of_gate(attempt.promote(why=promotion.why, force=promotion.force), output)
            measurement.measure(workspace, manifest, begin)
        if measurement.failed is not None:
            output.say(f"warning: whether it fits Lambda was not measured: {measurement.failed}")
        output.say(format_facts(_suggest_next(manifest, measurement.report, promotion)))


def _refuse_broken(contract: Contract, *, force: bool) -> None:
    if not contract.holds and not force:
        raise CommandError(
            ContractFailedError(
                f"nothing was published: the accuracy contract {format_verdict(contract)}; loosen it with --bound, or "
                "publish all the same with --force --reason WHY"
            ),
            "`onnxlet convert`, `optimize` and `verify` one by one, which leave a directory with its report.html",
        )


def _publish(attempt: PublishAttempt, folder: Path, begin: Callable[[str], None]) -> Manifest:
    from onnxlet.toolchain.prepare import prepare

    draft, files = prepare(folder / "model", folder / "prepared", on_progress=begin)
    begin("publishing")
    return attempt.publish(draft, files)


def _format_outcome(draft: Draft, contract: Contract) -> str:
    """What became of the model, for people."""
    from onnxlet.values.manifest import describe_reference

    done = draft.optimization
    sizes = f"{format_size(done.bytes_before)} -> {format_size(done.bytes_after)}" if done else None
    pairs = (
        ("model", draft.provenance.framework),
        ("reference", describe_reference(draft.reference)),
        ("size", sizes),
        ("optimization", f"{done.method}: {done.reason}" if done else None),
    )
    return "\n".join(filter(None, (format_rungs(draft), format_facts(pairs), format_contract(contract))))


def _suggest_next(manifest: Manifest, report: Report | None, promotion: Promotion) -> list[tuple[str, str]]:
    """Where it runs, and the command to type next, which forces again what was forced."""
    from onnxlet.toolchain.fit.report import summary

    command = f"onnxlet promote {manifest.model}:{manifest.version}"
    if manifest.contract is not None and not manifest.contract.holds:
        command += f" --force --reason {shlex.quote(promotion.why)}"
    if promotion.wanted:
        command = f"onnxlet predict {manifest.model} rows.csv"
    return [("on Lambda", summary(report) if report is not None else ""), ("next", command)]
