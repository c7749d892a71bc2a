"""The command that shows models in TensorBoard."""

from __future__ import annotations

import click

from onnxlet.cli.options import MODEL, json_option
from onnxlet.cli.output import Output
from onnxlet.cli.workspace import pass_workspace
from onnxlet.lifecycle.workspace import Workspace

PORT = 6006
REFRESH = 60.0


@click.command(short_help="Show models in TensorBoard.")
@click.argument("names", metavar="[MODEL]...", type=MODEL, nargs=-1)
@click.option(
    "--logdir",
    metavar="DIR",
    help="Where event files go: a directory or s3://bucket/prefix. Default: one for this store in your data folder.",
)
@click.option("--serve", is_flag=True, help="Start TensorBoard on them, and write what is new every minute.")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="TensorBoard's port.")
@json_option
@pass_workspace
def tensorboard(
    workspace: Workspace, *, names: tuple[str, ...], logdir: str | None, serve: bool, port: int, output: Output
) -> None:
    """Write what the store knows of models, of all without a name, as event files that TensorBoard opens.

    Metrics by version, drift, traffic, histograms of columns and answers by day, contracts and reports as text,
    versions side by side. Each time only what is new is added. docs/tensorboard.md has the list.

    \b
    Example:
      onnxlet tensorboard --serve
      onnxlet tensorboard diagnosis --logdir runs
      onnxlet tensorboard --logdir s3://models/tensorboard
    """
    import msgspec

    from onnxlet.lifecycle.tensorboard import default_logdir, serve_logs, write_logs

    target = logdir or default_logdir(workspace)
    with output.progress("writing event files", "model") as advance:
        written = write_logs(workspace, names, target, say=output.say, progress=advance)
    told = f"{written.steps} new steps of {len(written.runs)} runs in {written.logdir}"
    output.show(msgspec.to_builtins(written._asdict()), told)
    if not serve:
        output.say(f"tensorboard --logdir {written.logdir}")
        return
    code = serve_logs(
        written, port=port, every=REFRESH, refresh=lambda: write_logs(workspace, names, target, say=output.say)
    )
    click.get_current_context().exit(code)
