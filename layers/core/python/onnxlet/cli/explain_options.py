"""Options of commands that score files: explain each row, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from onnxlet.cli.options import Decorated, Option

_OPTIONS: tuple[Option[Any], ...] = (
    click.option("--explain", is_flag=True, help="Write what moves each row's answer away from the expected value."),
    click.option(
        "--explain-class", "explain_classes", multiple=True, metavar="LABEL", help="Of this class; once for each."
    ),
    click.option("--explain-method", metavar="METHOD", help="How: see docs/explanations.md. Default: auto."),
    click.option("--explain-output", metavar="NAME", help="Which output. Default: a classifier's probabilities."),
    click.option("--explain-scale", type=click.Choice(("raw", "output")), help="As `onnxlet explain --scale`."),
    click.option("--explain-above", type=float, metavar="VALUE", help="Only rows of which a class is above this."),
    click.option("--explain-seed", type=click.IntRange(0), help="Of what is sampled. Default: 0."),
    click.option(
        "--explain-max-evaluations", type=int, metavar="COUNT", help="Rows that the model is asked, for each."
    ),
)
"""Their names are those of HTTP."""


def explain_options(command: Decorated) -> Decorated:
    """`--explain`, and what it takes as options of its own."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def read_explain(given: Mapping[str, Any]) -> dict[str, Any] | None:
    """What is asked of explanations, as HTTP has it; None: none. Raises InvalidInputError."""
    from onnxlet.explain.request import read_request, write_request

    asked = {
        name.removeprefix("explain_"): value
        for name, value in given.items()
        if name != "explain" and value is not None and value != ()
    }
    if not given["explain"] and not asked:
        return None
    return write_request(read_request(asked))


def say_explained(head: Mapping[str, Any]) -> str:
    """What a book says of explanations, in a line."""
    words = f"explained: {head['output']} in {head['unit']}, {head['method']}"
    words += f", {head['evaluations_per_row']:,} evaluations a row"
    return words + (", which are too few: unreliable" if head.get("unreliable") else "")
