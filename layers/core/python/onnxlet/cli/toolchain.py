"""Commands that make a servable model of a trained one: convert, optimize."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from onnxlet.cli.contracts import contract_options, judge_option, split_options
from onnxlet.cli.options import data_options, directory_argument, json_option
from onnxlet.cli.output import Output
from onnxlet.errors import InvalidInputError
from onnxlet.lifecycle.summaries import describe_conversion, describe_rungs
from onnxlet.values.tables import format_blocks

if TYPE_CHECKING:
    from onnxlet.values.manifest import Tolerance
    from onnxlet.values.signature import TensorSpec


def _split_names(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[str, ...]:
    return tuple(label.strip() for label in value.split(",")) if value else ()


def _split_targets(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    return tuple(_split_names(ctx, param, value) for value in values)


def _parse_tolerance(_ctx: click.Context, _param: click.Parameter, value: float | None) -> Tolerance | None:
    from onnxlet.lifecycle.options import as_tolerance

    return as_tolerance(value)


def _parse_inputs(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> tuple[TensorSpec, ...]:
    from onnxlet.toolchain.convert.options import parse_input

    try:
        return tuple(map(parse_input, values))
    except InvalidInputError as error:
        raise click.BadParameter(error.detail) from error


def _parse_thresholds(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> dict[str, float]:
    from onnxlet.toolchain.convert.declared_output import parse_threshold

    try:
        return dict(map(parse_threshold, values))
    except InvalidInputError as error:
        raise click.BadParameter(error.detail) from error


def _parse_bands(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> tuple[dict[str, Any], ...]:
    from onnxlet.toolchain.convert.declared_output import parse_band

    try:
        return tuple(map(parse_band, values))
    except InvalidInputError as error:
        raise click.BadParameter(error.detail) from error


@click.command(short_help="Convert a trained model to ONNX.")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="The directory to write. Default: MODEL's name without its ending, here.",
)
@data_options
@click.option(
    "--expected",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="What the model answered to --data where it was trained: CSV, .npz or parquet, with a column label and one "
    "for each class's probability, or outputs by name. These are the reference then.",
)
@judge_option
@click.option(
    "--labels",
    multiple=True,
    callback=_split_targets,
    metavar="A,B",
    help="Names of the classes, in the order of the model's own; once for each target where it has several. Numbers "
    "are the values of the classes where a LightGBM file does not say them.",
)
@click.option(
    "--weights",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The weights of a PyTorch factory's module: safetensors, or a state dict.",
)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    callback=_parse_inputs,
    metavar="NAME=TYPE[SHAPE]",
    help="An input, say image=FP32[-1,3,224,224], where -1 is any size. Default: as the model or --data says.",
)
@click.option(
    "--outputs", callback=_split_names, metavar="A,B", help="Names for a network's outputs, in its own order."
)
@click.option(
    "--outputs-are",
    type=click.Choice(("probabilities", "logits", "independent", "independent-logits", "values")),
    help="What a network scores classes by: probabilities, or logits, of classes that exclude each other; a "
    "probability, or a logit, for each label by itself; or nothing such. Default: as its answers to --data tell.",
)
@click.option(
    "--missing-value",
    metavar="NUMBER",
    help="The number that stood for a missing value where an XGBoost file was trained, which the file does not say; "
    "none: only empty cells did.",
)
@click.option(
    "--task",
    type=click.Choice(("regression", "embedding", "segmentation", "tensors")),
    help="How a network's other answers are judged: numbers, forecasts too, each by its own scale; by their direction; "
    "by classes at each position; or by one scale. Default: as their shape, --labels and --target tell.",
)
@click.option(
    "--image",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="How pictures become a network's input: the image step as JSON, say "
    '{"resize": {"exact": [224, 224]}, "scale": 0.00392156862745098}. --data may then name files of pictures.',
)
@click.option(
    "--columns",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help='What columns may be, as JSON by name: {"age": {"low": 0, "high": 120, "outside": "clip", "unit": "years"}}; '
    "outside is refuse, clip or flag. Also default, missing and values.",
)
@click.option(
    "--output-step",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="What is served of the answers: the output step as JSON, with calibration, decimals, a unit and all of what "
    "follows.",
)
@click.option("--top", type=click.IntRange(1), metavar="K", help="List the K likeliest classes beside the label.")
@click.option(
    "--threshold",
    "thresholds",
    multiple=True,
    callback=_parse_thresholds,
    metavar="CLASS=P",
    help="The probability from which a class takes a row, say malignant=0.3; once for each class.",
)
@click.option(
    "--abstain",
    multiple=True,
    callback=_parse_bands,
    metavar="LOW:HIGH=REASON",
    help="Scores that are left to a human: of two classes the second's probability, else that of the class told; "
    "CLASS:LOW:HIGH=REASON of another.",
)
@click.option(
    "--text",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="What the tokenizer of a Hugging Face model shall do with texts that are too long: fields of the tokenizer "
    'step as JSON, say {"overflow": "refuse", "most_tokens": 256}.',
)
@click.option("--signature", metavar="NAME", help="The signature of a SavedModel. Default: serving_default.")
@click.option(
    "--trust", is_flag=True, help="Run the code that pickles, .pt2 files, PyTorch factories and Keras' Lambdas carry."
)
@click.option(
    "--golden-from",
    type=click.Choice(("synthetic", "data")),
    default="synthetic",
    show_default=True,
    help="Rows of the golden cases: drawn from the data's statistics, or real ones that then travel with the model.",
)
@click.option(
    "--background-from",
    type=click.Choice(("synthetic", "data")),
    default="synthetic",
    show_default=True,
    help="Rows that explanations compare with: drawn from the data's statistics, or real ones that then travel with "
    "the model.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1, min_open=True),
    callback=_parse_tolerance,
    metavar="SHARE",
    help="How far an answer may be from the model's own: a share of it, plus a tenth of that. Default: 0.001",
)
@click.option("--training-commit", metavar="ID", help="The commit of the code that trained the model, for the record.")
@json_option
def convert(*, model: Path, directory: Path | None, output: Output, **choices: Any) -> None:  # noqa: ANN401 - as the library takes them
    """Convert a trained model to ONNX, check that it still answers alike, and print the directory written.

    MODEL is a file: scikit-learn's (.joblib, .pkl, .skops), XGBoost's, LightGBM's, CatBoost's or LIBSVM's own, an
    exported PyTorch program (.pt2), a Keras model (.keras) or a graph (.onnx); a directory: a SavedModel, a Hugging
    Face encoder or an MLflow model; or a PyTorch module's package.module:factory. Each needs its own extra, which is
    named where it is missing. Of XGBoost, LightGBM and CatBoost give the estimator in a .joblib, .pkl or .skops file
    where there is one: their own files lose the values of classes, and which number is a missing value.

    \b
    Example:
      onnxlet convert model.joblib --trust --data held-out.csv --target diagnosis \\
          --labels malignant,benign -o diagnosis/
      onnxlet convert nets.digits:network --weights digits.safetensors --trust \\
          --data held-out.npz --target digit --labels 0,1,2,3,4,5,6,7,8,9
      onnxlet convert dose.joblib --trust --data held-out.csv --target dose --tolerance 1e-6
      onnxlet convert all-MiniLM-L6-v2/ -o encoder/
    """
    from onnxlet.toolchain.convert import convert as run

    place = directory or Path(model.name.rpartition(":")[2]).with_suffix("")
    with output.working(f"reading {model}") as begin:
        draft = run(model, place, **choices, on_progress=begin)
    output.say(format_blocks(describe_conversion(draft), "\n"))
    output.show(draft, str(place))


@click.command(short_help="Make a converted model smaller.")
@directory_argument
@click.option(
    "-o",
    "--output",
    "place",
    type=click.Path(file_okay=False, path_type=Path),
    help="The directory to write. Default: DIRECTORY itself.",
)
@data_options
@click.option(
    "--method",
    type=click.Choice(("dynamic-int8", "static-int8", "weight-only", "fp16-weights")),
    help="Try this method alone, and on a graph under 256 kB too. Default: all, on larger graphs.",
)
@click.option(
    "--for",
    "objective",
    type=click.Choice(("size", "latency")),
    help="Choose the smallest whatever it takes, or the fastest. Default: the smallest that is not slower.",
)
@click.option(
    "--cpu",
    type=click.Choice(("x86-64", "arm64")),
    default="x86-64",
    show_default=True,
    help="The processor that integers are for: on x86-64 signed weights have 7 bits, lest sums overflow.",
)
@click.option("--search", is_flag=True, help="Measure node by node which of them to leave in float where that helps.")
@contract_options
@judge_option
@split_options
@json_option
def optimize(
    *,
    directory: Path,
    place: Path | None,
    objective: Literal["size", "latency"] | None,
    output: Output,
    **choices: Any,  # noqa: ANN401 - as the library takes them
) -> None:
    """Make a converted model smaller where that pays, measure it again, and print the directory written.

    A ladder of methods is tried on --data: weights as 8-bit integers (dynamic or calibrated), in blocks of 8 or 4 bits,
    as 16-bit floats. Taken is the smallest graph that keeps the accuracy contract and is not slower; else it stays as
    it is, and says why. Half of the rows choose, and `onnxlet verify` judges by the others; of fewer than 400 rows each
    judges what five splits choose without it. Small graphs, trees and linear models stay exact. Give the --slice and
    --bound that `onnxlet verify` will be given: each method is judged by the same contract.

    \b
    Example:
      onnxlet optimize diagnosis/ --data held-out.csv --target diagnosis
      onnxlet optimize diagnosis/ --data held-out.csv --target diagnosis --slice sex
      onnxlet optimize diagnosis/ --data held-out.csv --target diagnosis --method dynamic-int8
      onnxlet optimize encoder/ --data sentences.npz --for size --search
    """
    from onnxlet.toolchain.optimize import optimize as run

    with output.working(f"reading {directory}") as begin:
        draft = run(directory, place, objective=objective or "smallest-not-slower", **choices, on_progress=begin)
    output.say(format_blocks([describe_rungs(draft), *describe_conversion(draft)], "\n"))
    output.show(draft, str(place or directory))
