"""The whole way of a model: convert, optimize, verify, publish, and if it shall be promote."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from onnxlet.errors import ContractFailedError, InvalidInputError, OnnxletError
from onnxlet.lifecycle.attempt import Attempt
from onnxlet.lifecycle.options import ShipOptions, as_bounds, as_path, as_policy, as_rows, split_options
from onnxlet.lifecycle.progress import showing_stages
from onnxlet.lifecycle.releasing import publish_path
from onnxlet.lifecycle.results import Move, Shipped, Version
from onnxlet.lifecycle.summaries import format_verdict
from onnxlet.lifecycle.workspace import Workspace, open_workspace
from onnxlet.toolchain.workbench.privacy import showing_values
from onnxlet.values.refs import Ref, check_model_name

if TYPE_CHECKING:
    from onnxlet.toolchain.fit.report import Report
    from onnxlet.toolchain.workbench.progress import Progress
    from onnxlet.values.contract import Bounds, Contract
    from onnxlet.values.manifest import Draft, Manifest


def ship(
    model: Any,
    name: str,
    *,
    data: Any,
    target: Any = None,
    judge: Any = None,
    slices: Sequence[str] = (),
    bounds: Bounds | Mapping[str, float] | None = None,
    promote: bool = False,
    force: bool = False,
    why: str = "",
    policy: Mapping[str, Any] | str | PathLike[str] | None = None,
    store: str | Path | None = None,
    show_values: bool = False,
    **options: Unpack[ShipOptions],
) -> Shipped:
    """Convert, optimize, verify and publish a model as the next version of `name`; with `promote` route to it.

    `model` is a fitted estimator, a Pipeline, a network; or a path. `data` are rows that it was not trained on: a
    DataFrame, an array, arrays by name, or a path; `target` names what is predicted, or gives its values. Where a
    smaller graph is chosen, some of these rows choose and the others judge, or `judge` does, further rows. `slices` are
    columns whose values are looked at one by one, `bounds` what may be lost. `policy` is what is kept of the rows that
    the version will answer, a dict or the path of a JSON file; without one nothing is. `show_values` lets errors quote
    values of the data. `options`: see ConvertOptions and OptimizeOptions. A version whose accuracy contract does not
    hold is not published, unless `force` says so and `why` the reason.

        onnxlet.ship(pipeline, "diagnosis", data=held_out, target="diagnosis", promote=True)

    Raises ContractFailedError, and as `convert`, `publish` and `promote` do; an error after the version exists says so.
    """
    if force and not why:
        raise InvalidInputError("force needs a why, which the history keeps")
    capture_policy = as_policy(policy)
    workspace = open_workspace(store)
    registry = workspace.open_registry()
    attempt, measurement = Attempt(registry, check_model_name(name)), FitMeasurement()
    shipment = Shipment(
        name, as_path(model), as_path(data), target, tuple(slices), as_bounds(bounds), options, as_rows(judge)
    )
    with (
        showing_values(shown=show_values),
        attempt.explaining(),
        tempfile.TemporaryDirectory(prefix="onnxlet-") as folder,
        showing_stages("shipping") as begin,
    ):
        _, contract = shipment.build(Path(folder) / "model", begin)
        _refuse_broken(contract, force=force)
        manifest = publish_path(attempt, Path(folder) / "model", begin, policy=capture_policy)
        move = Move(attempt.promote(why=why, force=force)) if promote else None
        measurement.measure(workspace, manifest, begin)
    version = Version(*registry.resolve(Ref(name, version=manifest.version)))
    return Shipped(version, move, measurement.report, measurement.failed)


def _refuse_broken(contract: Contract | None, *, force: bool) -> None:
    if contract is not None and not contract.holds and not force:
        raise ContractFailedError(
            f"nothing was published: the accuracy contract {format_verdict(contract)}; loosen it with bounds=…, or "
            "publish all the same with force=True and why=…; `convert`, `optimize` and `verify` one by one leave a "
            "directory with its report.html"
        )


@dataclass(frozen=True)
class Shipment:
    """A model or its path, what it is judged on, and the options of `convert` and `optimize`."""

    name: str
    model: Any
    data: Any
    target: Any
    slices: tuple[str, ...]
    bounds: Bounds
    options: Mapping[str, Any] = field(default_factory=dict)
    judge: Any = None

    def build(self, directory: Path, begin: Progress) -> tuple[Draft, Contract | None]:
        """Convert, optimize and verify into a directory; a graph that has no reference gets no contract.

        Raises as these do.
        """
        from onnxlet.toolchain.convert import convert
        from onnxlet.toolchain.optimize import optimize
        from onnxlet.toolchain.verify import verify

        converting, optimizing = split_options(self.options)
        data, judge = self._read_rows()
        begin("converting")
        rows = {"data": data, "target": self.target, "judge": judge}
        convert(self.model, directory, **rows, on_progress=begin, **converting)
        begin("optimizing")
        judging: dict[str, Any] = {**rows, "slices": self.slices, "bounds": self.bounds}
        draft = optimize(directory, **judging, on_progress=begin, **optimizing)
        if draft.reference is None:
            return draft, None
        begin("verifying")
        return draft, verify(directory, **judging, model=self.name, on_progress=begin)

    def _read_rows(self) -> tuple[Any, Any]:
        """The rows of files, read once for all that follows, to judge by as well; others as they are.

        Raises InvalidInputError for slices by columns that the data lack, before any work.
        """
        from onnxlet.toolchain.workbench.arrays import read_data
        from onnxlet.toolchain.workbench.data import open_data

        data, judge = (read_data(rows) if isinstance(rows, Path) else rows for rows in (self.data, self.judge))
        if isinstance(self.data, Path) or hasattr(self.data, "columns"):
            cells, _ = open_data(data, None)
            for column in self.slices:
                cells.column(column)
        return data, judge


class FitMeasurement:
    """Whether a version that is published already fits Lambda, or why that was not measured."""

    def __init__(self) -> None:
        self.report: Report | None = None
        self.failed: str | None = None

    def measure(self, workspace: Workspace, manifest: Manifest, begin: Progress) -> None:
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
