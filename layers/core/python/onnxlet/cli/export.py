"""Commands that take a version out of the store, to other servers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from onnxlet.cli.options import json_option, ref_argument
from onnxlet.cli.output import Output
from onnxlet.cli.workspace import pass_workspace
from onnxlet.lifecycle.workspace import Workspace

if TYPE_CHECKING:
    from onnxlet.values.refs import Ref


@click.command(short_help="Write a version for another server.")
@ref_argument
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--to", "kind", type=click.Choice(("savedmodel",)), required=True, help="For which: TensorFlow Serving.")
@json_option
@pass_workspace
def export(workspace: Workspace, ref: Ref, directory: Path, kind: str, output: Output) -> None:
    """Write a version as a SavedModel to DIRECTORY/NAME/VERSION, where TensorFlow Serving looks, and print the folder.

    Its signatures have the names and shapes that the version's clients see. It is loaded by TensorFlow and held to the
    version's answers first; one that answers otherwise is not written. An export of this version that is there already
    is replaced. Needs the extra `tensorflow`.

    \b
    Example:
      onnxlet export diagnosis:1 --to savedmodel models/
      tensorflow_model_server --model_name=diagnosis --model_base_path=$PWD/models/diagnosis
    """
    from onnxlet.lifecycle.toolchain import export_version

    with output.working(f"fetching {ref}") as begin:
        place, comparison = export_version(workspace, ref, directory, begin)
    output.say(f"TensorFlow's {comparison}")
    output.show({"directory": str(place), "kind": kind, **comparison.metrics()}, str(place))
