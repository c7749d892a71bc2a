"""The steps before a version exists, one by one: convert, optimize, verify; and export, after it does."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from onnxlet.lifecycle.options import (
    ConvertOptions,
    OptimizeOptions,
    as_bounds,
    as_path,
    as_rows,
    check_options,
    read_convert_options,
)
from onnxlet.lifecycle.progress import showing_stages
from onnxlet.lifecycle.results import ConvertedModel, Exported, Verdict
from onnxlet.lifecycle.workspace import Workspace, open_workspace
from onnxlet.toolchain.workbench.privacy import showing_values
from onnxlet.values.refs import Ref, parse_ref

if TYPE_CHECKING:
    from onnxlet.toolchain.workbench.comparison import Comparison
    from onnxlet.toolchain.workbench.progress import Progress
    from onnxlet.values.contract import Bounds

FETCH_DEADLINE = 3600.0
"""Seconds: a laptop's line may be slow."""

Folder = str | PathLike[str]


def convert(
    model: Any,
    directory: Folder,
    *,
    data: Any = None,
    target: Any = None,
    judge: Any = None,
    show_values: bool = False,
    **options: Unpack[ConvertOptions],
) -> ConvertedModel:
    """Convert a model to ONNX in a directory, and prove that it answers as the model itself does.

    `model` is an estimator, a Pipeline, a network; or the path of a file or directory that `onnxlet convert` takes.
    `data` are rows that it was not trained on: a DataFrame, an array, arrays by name, or the path of a CSV or .npz
    file. `target` names what is predicted, or gives its values. `judge` are further rows for `verify`, or
    these and their target, which have no part in any choice. Errors name rows and columns, and quote values of the data
    only if `show_values` says so. `options`: see ConvertOptions.

    Raises ConversionError if the model cannot be converted or answers change, TrustRequiredError, MissingExtraError,
    InvalidInputError for data that does not fit the model.
    """
    from onnxlet.toolchain.convert import convert as run

    source, place = as_path(model), Path(directory)
    choices = read_convert_options(options)
    with showing_values(shown=show_values), showing_stages("converting") as begin:
        draft = run(
            source, place, data=as_path(data), target=target, judge=as_rows(judge), **choices, on_progress=begin
        )
    return ConvertedModel(place, draft)


def optimize(
    model: ConvertedModel | Folder,
    directory: Folder | None = None,
    *,
    data: Any = None,
    target: Any = None,
    judge: Any = None,
    slices: Sequence[str] = (),
    bounds: Bounds | Mapping[str, float] | None = None,
    show_values: bool = False,
    **options: Unpack[OptimizeOptions],
) -> ConvertedModel:
    """Make a converted model smaller where that pays and the contract holds; write to `directory`, or in its place.

    `data`, `target`, `slices` and `bounds` are those that `verify` will be given. Some rows of the data choose, and the
    others judge; with `judge`, the rows that `convert` was given as such, all of them choose. `show_values` lets
    errors quote values of the data. `options`: see OptimizeOptions.
    Raises InvalidInputError for no converted model, one that is optimized already, and data that does not fit.
    """
    from onnxlet.toolchain.optimize import optimize as run

    check_options(options, OptimizeOptions)
    source = Path(model)
    place = source if directory is None else Path(directory)
    judging: dict[str, Any] = {
        "data": as_path(data),
        "target": target,
        "judge": as_rows(judge),
        "slices": tuple(slices),
        "bounds": as_bounds(bounds),
    }
    with showing_values(shown=show_values), showing_stages("optimizing") as begin:
        return ConvertedModel(place, run(source, place, **judging, **options, on_progress=begin))


def verify(
    model: ConvertedModel | Folder,
    *,
    data: Any = None,
    target: Any = None,
    judge: Any = None,
    slices: Sequence[str] = (),
    bounds: Bounds | Mapping[str, float] | None = None,
    report: Folder | None = None,
    explain_rows: int = 0,
    show_values: bool = False,
) -> Verdict:
    """Judge a converted model by the answers of the model that it was made of, and write the contract beside it.

    `data` is what it was converted with, of which those rows judge that chose nothing; `judge`, where `convert` was
    given it, judges in their place. `slices` are columns whose values are looked at one by one; `bounds` say what may
    be lost: `{"metric_loss": 0.005, "label_change": 0.01}`. `report` is a copy of the page that it writes, which
    explains `explain_rows` of the rows that are answered worst one by one: their values may be worked out of that.
    `show_values` lets errors quote values of the data.
    Raises InvalidInputError for no converted model, and for data that is not what it was converted with.
    """
    from onnxlet.toolchain.verify import verify as run

    copy = None if report is None else Path(report)
    judging: dict[str, Any] = {
        "data": as_path(data),
        "target": target,
        "judge": as_rows(judge),
        "slices": tuple(slices),
        "bounds": as_bounds(bounds),
    }
    with showing_values(shown=show_values), showing_stages("verifying") as begin:
        contract = run(Path(model), **judging, report=copy, explain_rows=explain_rows, on_progress=begin)
        return Verdict(Path(model), contract)


def export(ref: str | Ref, directory: Folder, *, store: str | Path | None = None) -> Exported:
    """Write a version as a SavedModel to `directory`/NAME/VERSION, proven to answer as the version does.

    Raises ConversionError where TensorFlow cannot compute the graph or answers otherwise, MissingExtraError without
    it; ModelNotFoundError, VersionNotFoundError, AliasNotFoundError.
    """
    target = ref if isinstance(ref, Ref) else parse_ref(ref)
    workspace = open_workspace(store)
    with workspace.naming_others(), showing_stages(f"fetching {target}") as begin:
        place, comparison = export_version(workspace, target, Path(directory), begin)
    return Exported(place, comparison)


def export_version(workspace: Workspace, ref: Ref, directory: Path, begin: Progress) -> tuple[Path, Comparison]:
    """Fetch the version that a ref means, and export it. Returns where it lies and how far its answers are apart."""
    from onnxlet.serving.artifact_cache import ArtifactCache
    from onnxlet.toolchain.export import export_saved_model

    manifest, digest = workspace.open_registry().resolve(ref)
    with tempfile.TemporaryDirectory(prefix="onnxlet-") as workdir:
        artifacts = ArtifactCache(workspace.open_store(), workdir).fetch(manifest, digest, deadline=FETCH_DEADLINE)
        return export_saved_model(manifest, Path(artifacts), directory, on_progress=begin)
