"""Explain a model's answers to the rows of a file."""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from onnxlet.cli.importance import show_importance
from onnxlet.cli.options import json_option, ref_argument
from onnxlet.cli.output import Output
from onnxlet.cli.workspace import pass_workspace
from onnxlet.lifecycle.workspace import Workspace
from onnxlet.values.tables import format_blocks

if TYPE_CHECKING:
    from onnxlet.explain.request import ExplanationRequest
    from onnxlet.lifecycle.explained import ExplainedRows
    from onnxlet.serving.predictor import Predictor
    from onnxlet.values.refs import Ref


@click.command(short_help="Explain predictions for a file.")
@ref_argument
@click.argument("file", type=click.File("rb"))
@click.option("--method", default="auto", show_default=True, help="How: see docs/explanations.md.")
@click.option("--output", "served", metavar="NAME", help="Which served output. Default: a classifier's probabilities.")
@click.option(
    "--scale", type=click.Choice(("raw", "output")), help="Of what the model adds up itself, or of what is served."
)
@click.option("--class", "classes", multiple=True, metavar="LABEL", help="A class; once for each. Default: all.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of what is sampled.")
@click.option("--max-evaluations", type=int, metavar="COUNT", help="Rows that the model may be asked about, for each.")
@click.option("--max-ms", type=float, metavar="MS", help="Milliseconds for all rows.")
@click.option("--above", type=float, metavar="VALUE", help="Only rows of which an explained class is above this.")
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw the first explained row there: .svg, or .png where matplotlib is installed.",
)
@click.option("--summary", is_flag=True, help="Of all rows together: the mean size of each column's attributions.")
@json_option
@pass_workspace
def explain(
    workspace: Workspace,
    /,
    *,
    ref: Ref,
    file: IO[bytes],
    served: str | None,
    classes: tuple[str, ...],
    plot: Path | None,
    summary: bool,
    output: Output,
    **asked: Any,  # noqa: ANN401 - options of the request
) -> None:
    """Print how much each column of FILE's rows (`-`: stdin) moves the answer away from the expected value.

    FILE is what `onnxlet predict` takes. Attributions sum to the answer minus the expected value, in the unit that is
    printed. With --json: the explanations as HTTP gives them. With --summary FILE is what `onnxlet score` takes,
    however long, and what is printed is how far each column moves answers on average.

    \b
    Example:
      onnxlet explain diagnosis patients.csv --class malignant
      onnxlet explain diagnosis:7 patients.csv --class malignant --plot patient.svg
      onnxlet explain diagnosis patients.parquet --class malignant --summary
    """
    from onnxlet.explain.request import read_request
    from onnxlet.explain.writing import write_head, write_rows

    request = read_request({**asked, "output": served, "classes": classes or None})
    if summary:
        if plot is not None:
            raise click.UsageError("--summary draws nothing: leave out --plot")
        path = Path(getattr(file, "name", "-"))
        if not path.is_file():
            raise click.UsageError("--summary is of a file, not of what streams in: name one")
        show_importance(workspace.make_predictor(), ref, path, request, output)
        return
    with output.working(f"explaining {ref}"):
        explained, sent = _explain_here(workspace.make_predictor(), ref, file.read(), request)
    document = {
        "explanations": write_rows(explained.answer, sent),
        "explained": write_head(explained.answer),
        "model_version": explained.version,
    }
    output.show(document, format_blocks(explained.blocks()) if len(explained) else f"no row is above {request.above:g}")
    if plot is not None and len(explained):
        explained.draw(plot)
        output.say(f"drawn into {plot}")


def _explain_here(
    predictor: Predictor, ref: Ref, body: bytes, request: ExplanationRequest
) -> tuple[ExplainedRows, int]:
    """The explained rows of a body or a CSV file, and how many rows were sent. Any published version will do."""
    from onnxlet.batch.inputs import inputs_of
    from onnxlet.cli.request_body import encode_csv, encode_picture, is_json
    from onnxlet.dataplane.protocols.tensorflow_serving.body import read_body
    from onnxlet.lifecycle.explained import ExplainedRows
    from onnxlet.steps.picture_formats import format_of

    model = predictor.load(ref).model
    body = encode_picture(body) if format_of(body) else body
    call = read_body(body if is_json(body) else encode_csv(body, inputs_of(model)), model)
    explained = ExplainedRows(model.explain(call.inputs, call.signature, request), model.manifest, call.inputs)
    return explained, len(next(iter(call.inputs.values())))
