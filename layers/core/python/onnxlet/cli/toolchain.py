"""Commands that make a servable model of a trained one: convert, optimize."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from onnxlet.cli.options import data_options, json_option
from onnxlet.cli.output import Output, facts, size, table

if TYPE_CHECKING:
    from onnxlet.manifest import Draft


def _split(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    return tuple(label.strip() for label in value.split(",")) if value else None


@click.command(short_help="Convert a trained model to ONNX.")
@click.argument("model_file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="The directory to write. Default: MODEL_FILE's name without its ending, here.",
)
@data_options
@click.option("--labels", callback=_split, metavar="A,B", help="Names of the classes, in the order of the model's own.")
@click.option("--trust", is_flag=True, help="Load a pickle (.joblib, .pkl), which can run any code that it carries.")
@click.option(
    "--golden-from",
    type=click.Choice(("synthetic", "data")),
    default="synthetic",
    show_default=True,
    help="Rows of the golden cases: drawn from the data's statistics, or real ones that then travel with the model.",
)
@click.option("--training-commit", metavar="ID", help="The commit of the code that trained the model, for the record.")
@json_option
def convert(
    *,
    model_file: Path,
    directory: Path | None,
    data: Path | None,
    target: str | None,
    labels: tuple[str, ...] | None,
    trust: bool,
    golden_from: Literal["synthetic", "data"],
    training_commit: str | None,
    output: Output,
) -> None:
    """Convert a trained model to ONNX, check that it still answers alike, and print the directory written.

    MODEL_FILE is a scikit-learn estimator or pipeline in a .joblib, .pkl or .skops file.

    \b
    Example:
      onnxlet convert model.joblib --trust --data held-out.csv --target diagnosis \\
          --labels malignant,benign -o diagnosis/
    """
    from onnxlet.convert import convert as run

    place = directory or Path(model_file.stem)
    with output.working(f"reading {model_file}") as begin:
        draft = run(
            model_file,
            place,
            data=data,
            target=target,
            labels=labels,
            trust=trust,
            golden_from=golden_from,
            training_commit=training_commit,
            on_progress=begin,
        )
    _tell(draft, output)
    output.show(draft, str(place))


@click.command(short_help="Make a converted model smaller.")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    "place",
    type=click.Path(file_okay=False, path_type=Path),
    help="The directory to write. Default: DIRECTORY itself.",
)
@data_options
@json_option
def optimize(directory: Path, place: Path | None, data: Path | None, target: str | None, output: Output) -> None:
    """Make a converted model smaller where that pays, measure it again, and print the directory written.

    Weights become 8-bit integers if the graph has such to gain from; else it stays as it is, and says why.

    \b
    Example:
      onnxlet optimize diagnosis/ --data held-out.csv --target diagnosis
    """
    from onnxlet.optimize import optimize as run

    with output.working(f"reading {directory}") as begin:
        draft = run(directory, place, data=data, target=target, on_progress=begin)
    _tell(draft, output)
    output.show(draft, str(place or directory))


def _tell(draft: Draft, output: Output) -> None:
    """What became of the model, for people."""
    names = list(dict.fromkeys(name for evaluation in draft.evaluations for name in evaluation.metrics))
    rows = [
        (
            evaluation.stage,
            evaluation.rows,
            *(f"{evaluation.metrics[n]:.4g}" if n in evaluation.metrics else "" for n in names),
        )
        for evaluation in draft.evaluations
    ]
    if rows:
        output.say(table(("STAGE", "ROWS", *map(str.upper, names)), rows))
    done = draft.optimization
    if done is not None:
        sizes = f"{size(done.bytes_before)} -> {size(done.bytes_after)}"
        output.say(facts((("optimization", done.method), ("why", done.reason), ("size", sizes))))
