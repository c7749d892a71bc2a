"""Convert trained models to ONNX.

frameworks      which module reads which source
conversion      one conversion: reads the model, proves the graph, writes a converted directory
export_search   the ways to write the graph, tried until one answers as the model does
impossible      what no classifier answers
accepted_values whether the model takes missing values and infinities
probing         the comparison on rows made of what the model itself knows
expected        answers that the user computed where the model was trained
golden_cases    rows whose answers travel with the version; synthetic_rows makes them without anybody's data
trained_model   what every framework's module gives: a model that predicts, and exports itself
declared_columns, declared_output   the steps that the caller declares
options         what the caller says of a model beyond its file
tabular         what models of a table of features share; networks, what models of tensors share
scikit_learn, boosting, libsvm, torch, huggingface, tensorflow, onnx_file   the frameworks
mlflow          directories that hold a model of some of these
graph_edits     renaming and dropping values of an ONNX graph
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.convert.options import SourceOptions, parse_missing_value, parse_step
from onnxlet.toolchain.workbench.progress import Progress, silent
from onnxlet.values.contract import TaskKind
from onnxlet.values.manifest import Draft, OutputsAre, Tolerance
from onnxlet.values.signature import TensorSpec

if TYPE_CHECKING:
    from onnxlet.toolchain.workbench.data import Data, Judge, Target

Label = str | int | float
"""The name of a class; a number is one too, as it is written."""


def convert(
    source: Path | Any,
    output: Path,
    *,
    data: Data | None = None,
    target: Target = None,
    expected: Data | None = None,
    judge: Judge | None = None,
    labels: Sequence[Label] | Sequence[Sequence[Label]] | None = None,
    weights: Path | None = None,
    inputs: Sequence[TensorSpec] = (),
    outputs: Sequence[str] = (),
    signature: str | None = None,
    outputs_are: OutputsAre | None = None,
    missing_value: float | str | None = None,
    task: TaskKind | None = None,
    image: Path | Mapping[str, Any] | None = None,
    columns: Path | Mapping[str, Mapping[str, Any]] | None = None,
    output_step: Path | Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    top: int | None = None,
    thresholds: Mapping[str, float] | None = None,
    abstain: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]] | None = None,
    text: Path | Mapping[str, Any] | None = None,
    processor: Any = None,
    trust: bool = False,
    golden_from: Literal["synthetic", "data"] = "synthetic",
    background_from: Literal["synthetic", "data"] = "synthetic",
    training_commit: str | None = None,
    tolerance: Tolerance | None = None,
    on_progress: Progress | None = None,
) -> Draft:
    """Convert the model `source` into a directory at `output`, and prove that the graph answers as the model does.

    `source` is a file or directory, or the model itself: a fitted estimator, say. `data` is a CSV file whose columns
    name the inputs, or a .npz file with an array for each input; or a DataFrame, an array or arrays by name, with which
    the model is then asked as they are. `target` names what is predicted there, or is its values. `labels` name the
    classes, in the model's order. Of several targets, `target` lists the columns and `labels` the names for each.
    `expected` are answers to the data that were computed where the model was trained, which are the reference then.
    `judge` are further rows, which the model is asked about for `verify`: they alone judge what the data choose.
    `weights`, `inputs`, `outputs`, `signature`, `outputs_are`, `missing_value` (a number, or "none"), `task`, `image`
    and `text` (a document, or a JSON file), `processor`: see SourceOptions. `columns` (documents by column, or a JSON
    file) declare what values a model's columns may have; `output_step` (a document, several, or a JSON file), `top`,
    `thresholds` and `abstain` what is served of the answers: see `onnxlet.steps.ranges.Range`,
    `onnxlet.steps.output.Output`. `trust` lets files run code when they are read. Answers may differ by `tolerance`,
    1e-4 + 1e-3 of their size unless it is given. Golden cases and the background of explanations are drawn from the
    statistics of the data, unless `golden_from` or `background_from` is "data".

    Raises ConversionError if the model cannot be converted or answers change, TrustRequiredError, MissingExtraError,
    InvalidInputError for data that does not fit the model, UnavailableError for a full disk.
    """
    from onnxlet.toolchain.convert.conversion import Conversion, Declared
    from onnxlet.toolchain.convert.declared_columns import read_declared_columns
    from onnxlet.toolchain.convert.declared_output import read_declared_output
    from onnxlet.toolchain.convert.frameworks import open_model, open_object

    progress = on_progress or silent
    if data is None and "data" in (golden_from, background_from):
        raise InvalidInputError("golden cases, or a background, from the data need --data")
    _check_data_options(data, target, expected, judge)
    names = _labels_by_target(labels)
    declared = Declared(
        read_declared_columns(columns),
        read_declared_output(output_step, top=top, thresholds=thresholds, abstain=abstain),
    )
    options = SourceOptions(
        names[0] if len(names) == 1 else (),
        weights,
        tuple(inputs),
        tuple(outputs),
        signature,
        outputs_are,
        parse_missing_value(missing_value),
        task,
        parse_step(image),
        parse_step(text),
        processor,
    )
    if isinstance(source, Path):
        progress(f"reading {source.name}")
        model, origin = open_model(source, options, trust=trust, progress=progress), weights or source
    else:
        progress(f"reading the {type(source).__name__}")
        model, origin = open_object(source, options, progress=progress), None
    conversion = Conversion(
        model, origin, names, tolerance or Tolerance(), training_commit, progress, outputs_are, declared
    )
    return conversion.write(
        output,
        data=data,
        target=target,
        expected=expected,
        judge=judge,
        golden_from=golden_from,
        background_from=background_from,
    )


def _check_data_options(data: Data | None, target: Target, expected: Data | None, judge: Judge | None) -> None:
    if expected is not None and data is None:
        raise InvalidInputError("expected answers need --data, the rows that they answer")
    if judge is not None and data is None:
        raise InvalidInputError("rows that judge need --data, rows that choose")
    if judge is not None and expected is not None:
        raise InvalidInputError(
            "expected answers are those to --data, and what is expected of --judge is not known: put all rows into "
            "--data, of which some judge"
        )
    if data is None and target is not None and len(target):
        raise InvalidInputError("a target column needs --data")


def _labels_by_target(labels: Sequence[Label] | Sequence[Sequence[Label]] | None) -> tuple[tuple[str, ...], ...]:
    """Names of classes, target by target. Raises InvalidInputError where two classes get one name."""
    given: list[Any] = [] if labels is None else list(labels)
    by_target = given if given and hasattr(given[0], "__len__") and not isinstance(given[0], str) else [given]
    names = tuple(tuple(map(str, each)) for each in by_target) if given else ()
    for each in names:
        twice = next((name for name in each if each.count(name) > 1), None)
        if twice is not None:
            raise InvalidInputError(f"a label names one class, and {twice!r} would name several", label=twice)
    return names
