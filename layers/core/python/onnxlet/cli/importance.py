"""What `onnxlet explain --summary` prints: how far each column moves answers, on average over the rows of a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from onnxlet.cli.output import Output
from onnxlet.cli.scoring import count_cores
from onnxlet.values.tables import Facts, Table, format_blocks

if TYPE_CHECKING:
    from onnxlet.batch.importance import Importance
    from onnxlet.explain.request import ExplanationRequest
    from onnxlet.serving.predictor import Predictor
    from onnxlet.values.refs import Ref


def show_importance(predictor: Predictor, ref: Ref, path: Path, request: ExplanationRequest, output: Output) -> None:
    """Print the importance of each column over a file. Raises NotExplainableError, InvalidInputError."""
    from onnxlet.batch.importance import find_importance

    with output.progress(f"explaining {path.name}", "B") as advance:
        model = predictor.load(ref).model
        found = find_importance(model, path, request, workers=count_cores(), on_progress=advance)
    output.show(found, format_blocks([_describe(found), _rank(found)]))


def _describe(found: Importance) -> Facts:
    head, rows = found.explained, found.rows
    background = head["background"]
    return Facts(
        [
            ("explained", f"{head['output']} in {head['unit']}, {head['method']}"),
            ("expected", ", ".join(f"{name} {value:.4g}" for name, value in head["expected"].items())),
            ("background", "" if background is None else f"{background['rows']} rows, {background['kind']}"),
            ("rows", f"{found.averaged:,} of {rows.read:,}" + (f", {rows.errors:,} bad" if rows.errors else "")),
            ("unreliable", f"{found.unreliable:.0%} of them: sampled too seldom" if found.unreliable else ""),
        ]
    )


def _rank(found: Importance) -> Table:
    """A line for each column, the largest mean first."""
    columns = list(next(iter(found.importance.values())))
    means = {name: [by_class[name] for by_class in found.importance.values()] for name in columns}
    ranked = sorted(columns, key=lambda name: -max(means[name]))
    heads = found.importance if len(found.importance) > 1 else ["mean |attribution|"]
    return Table(["column", *heads], [[name, *(f"{mean:.4g}" for mean in means[name])] for name in ranked])
