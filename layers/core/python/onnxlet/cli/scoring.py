"""Commands that ask a model: predict for an answer to look at, score for files."""

from __future__ import annotations

import csv
import os
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from onnxlet.cli.explain_options import explain_options, read_explain, say_explained
from onnxlet.cli.options import RefType, json_option, keep_option, max_bad_option, ref_argument
from onnxlet.cli.output import Output
from onnxlet.cli.workspace import pass_workspace
from onnxlet.lifecycle.workspace import Workspace
from onnxlet.values.tables import format_table

if TYPE_CHECKING:
    from onnxlet.values.refs import Ref


def count_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@click.command(short_help="Print predictions for a file.")
@ref_argument
@click.argument("file", type=click.File("rb"))
@click.option("--url", metavar="URL", help="Ask a running server there, instead of loading the model here.")
@click.option("--auth", type=click.Choice(["iam"]), help="Sign what --url gets with your AWS credentials.")
@click.option(
    "--token", envvar="ONNXLET_TOKEN", metavar="TOKEN", help="A bearer token for --url. Default: ONNXLET_TOKEN."
)
@json_option
@pass_workspace
def predict(
    workspace: Workspace,
    *,
    ref: Ref,
    file: IO[bytes],
    url: str | None,
    auth: str | None,
    token: str | None,
    output: Output,
) -> None:
    """Print a model's predictions for FILE (`-`: stdin).

    FILE is the JSON body of a TensorFlow Serving request (`{"instances": [...]}` or `{"inputs": ...}`), a CSV with a
    header, one column per input, or a picture for a model that reads such. With --json: the answer as HTTP gives it,
    and the version that made it.

    \b
    Example:
      onnxlet predict diagnosis patients.csv
      echo '{"instances": [[5.1, 3.5, 1.4, 0.2]]}' | onnxlet predict iris:3 -
      onnxlet predict diagnosis patients.csv --url http://127.0.0.1:8080
      onnxlet predict diagnosis patients.csv --url https://abc.execute-api.eu-central-1.amazonaws.com --auth iam
    """
    from onnxlet.cli.prediction import predict_here, predict_over_http

    if auth and not url:
        raise click.UsageError("--auth is for a server: say which by --url")
    body = file.read()
    with output.working(f"asking {ref}"):
        started = time.perf_counter()
        if url:
            answer = predict_over_http(url, ref, body, auth or token)
        else:
            answer = predict_here(workspace.make_predictor(), ref, body)
        seconds = time.perf_counter() - started
    output.show({**answer.document, "model_version": answer.version}, _format_answer(answer.document))
    version = f"{ref.model}:{answer.version}"
    output.say(f"{version} answered in {seconds * 1000:.0f} ms")
    _warn_of_substitute(version, output, stale=answer.stale, fallback=answer.fallback)


def parse_names(text: str) -> tuple[str, ...]:
    """Names between commas, as a header of CSV has them. Raises click.BadParameter if two are the same."""
    names = tuple(name.strip() for name in next(csv.reader([text]), []))
    if not names or len(set(names)) < len(names):
        raise click.BadParameter("each column needs a name of its own", param_hint="--columns")
    return names


@click.command(short_help="Score a file of rows into another.")
@click.argument("source", metavar="INPUT", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--model", "ref", type=RefType(), required=True, metavar="REF", help="The model, as `diagnosis` or `diagnosis:7`."
)
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The file to write, of INPUT's format; its .book.json appears beside it, and .errors.jsonl if rows are bad.",
)
@keep_option
@click.option(
    "--columns",
    metavar="NAMES",
    help="The columns of a CSV file without a header, between commas, in their order.",
)
@max_bad_option
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=count_cores,
    metavar="N",
    help="Processes that score at once. Default: as many as there are cores.",
)
@explain_options
@json_option
@pass_workspace
def score(
    workspace: Workspace,
    /,
    *,
    source: Path,
    ref: Ref,
    target: Path,
    keep: tuple[str, ...] | None,
    columns: str | None,
    max_bad: float,
    workers: int,
    output: Output,
    **explained: Any,  # noqa: ANN401 - options of explanations
) -> None:
    """Score a file of rows: CSV, JSON Lines, Parquet or NumPy (.csv, .jsonl, .parquet, .npy; .gz and .zst).

    OUTPUT has the columns of INPUT as they were written, then the row's number, what the model says, and its version. A
    row that cannot be scored goes to OUTPUT.errors.jsonl with the reason, and never stops the others; OUTPUT.book.json
    counts them. A file without a row that can be scored fails, or with too many that cannot. For a model that reads
    pictures INPUT names their files in a column `image`, from its own folder on, or is a folder of them: their list is
    written to OUTPUT.list.csv. With --explain, or an option that begins so, rows have their attributions too.

    \b
    Example:
      onnxlet score patients.csv --model diagnosis -o scored.csv
      onnxlet score patients.csv --model diagnosis --max-bad 0.01 --keep patient -o scored.csv
      onnxlet score films/ --model films -o scored.csv
      onnxlet score patients.csv --model diagnosis --explain --explain-class malignant -o scored.csv
    """
    from onnxlet.batch.local_files import score_folder, score_path
    from onnxlet.batch.scoring import Options

    with output.progress(f"scoring {source.name}", "B") as advance:
        named = None if columns is None else parse_names(columns)
        options = Options(keep, max_bad, named, explain=read_explain(explained))
        predictor = workspace.make_predictor(layout=True)
        score_all = score_folder if source.is_dir() else score_path
        book = score_all(predictor, ref, source, target, options=options, workers=workers, on_progress=advance)
    output.show(book, str(target))
    rows, scorer = book.rows, book.scorer
    assert rows is not None  # noqa: S101 - a scored file has both
    assert scorer is not None  # noqa: S101
    bad = f", {rows.errors} set aside in {target}.errors.jsonl" if rows.errors else ""
    version = f"{scorer.model}:{scorer.version}"
    output.say(f"{version} scored {rows.scored} of {rows.read} rows{bad}")
    if book.explained:
        output.say(say_explained(book.explained))
    _warn_of_substitute(version, output, stale=False, fallback=scorer.fallback)


def _warn_of_substitute(version: str, output: Output, *, stale: bool, fallback: bool) -> None:
    """Say that another version than the routed one answered, or may have; `version` is NAME:VERSION of that one.

    The words are the same for answers made here or on a server, to a question or to a file.
    """
    if fallback:
        output.say(f"warning: {version} stands in for the version that is routed to, which was refused")
    if stale:
        output.say(f"warning: the store does not answer: {version} is what was last known")


def _format_answer(document: dict[str, Any]) -> str:
    """An answer in rows as a table, any other as JSON."""
    import json

    rows = document.get("predictions")
    if not isinstance(rows, list):
        return json.dumps(document, indent=2)
    if not all(isinstance(row, dict) for row in rows):
        rows = [{"prediction": row} for row in rows]
    names = list(rows[0])
    cells = ([number, *(_format_cell(row[name]) for name in names)] for number, row in enumerate(rows, start=1))
    return format_table(("ROW", *map(str.upper, names)), cells)


def _format_cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_format_cell, value)) + "]"
    return str(value)
