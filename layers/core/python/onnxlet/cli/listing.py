"""Commands that show what a store holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from onnxlet.cli.options import MODEL, RefType, json_option, ref_argument
from onnxlet.cli.output import Output
from onnxlet.cli.workspace import pass_workspace
from onnxlet.lifecycle.summaries import describe_models, describe_version, describe_versions, summarize_models
from onnxlet.lifecycle.workspace import Workspace
from onnxlet.values.tables import format_blocks

if TYPE_CHECKING:
    from onnxlet.registry.registry import Registry
    from onnxlet.values.refs import Ref


@click.command("list", short_help="List models, or a model's versions.")
@click.argument("name", type=MODEL, required=False)
@click.option("--sort", metavar="METRIC", help="The versions that are best by a metric first, `accuracy` say.")
@json_option
@pass_workspace
def list_(workspace: Workspace, name: str | None, sort: str | None, output: Output) -> None:
    """List the models of the store, or the versions of one with their metrics.

    \b
    Example:
      onnxlet list
      onnxlet list diagnosis --sort accuracy
      onnxlet list diagnosis --json
    """
    registry = workspace.open_registry()
    if name is None:
        if sort is not None:
            raise click.UsageError("--sort needs a NAME, whose versions shall be sorted")
        _list_models(registry, output)
        return
    versions = registry.versions(name)
    if sort is not None:
        from onnxlet.lifecycle.comparison import sort_versions

        versions = sort_versions(versions, sort)
    rows = [{**version._asdict(), "metrics": dict(version.metrics)} for version in versions]
    output.show(rows, describe_versions(versions).text())


def _list_models(registry: Registry, output: Output) -> None:
    models = summarize_models(registry)
    output.show([model._asdict() for model in models], describe_models(models).text())
    if not models:
        output.say(f"no models in {registry.store.url}: `onnxlet publish PATH NAME` brings one")


@click.command(short_help="Compare versions by their metrics.")
@click.argument("refs", type=RefType(), nargs=-1, required=True, metavar="REF...")
@json_option
@pass_workspace
def compare(workspace: Workspace, refs: tuple[Ref, ...], output: Output) -> None:
    """Show versions side by side: their metrics on held-out rows, contracts, optimizations and sizes.

    A bare NAME alone compares all of its versions; among others it is what `production` routes to.

    \b
    Example:
      onnxlet compare diagnosis:7 diagnosis:8
      onnxlet compare diagnosis@production diagnosis@candidate --json
      onnxlet compare diagnosis
    """
    from onnxlet.lifecycle.comparison import compare_versions

    comparison = compare_versions(workspace.open_registry(), refs)
    output.show(comparison.document, comparison.table.text())
    if comparison.note:
        output.say(f"note: {comparison.note}")


@click.command(short_help="Show a version.")
@ref_argument
@json_option
@pass_workspace
def show(workspace: Workspace, ref: Ref, output: Output) -> None:
    """Show a version: its signature, where it comes from, how well it does, its artifacts.

    Boxes show how what is sent becomes what is served, step by step. With --json: its manifest.

    \b
    Example:
      onnxlet show diagnosis
      onnxlet show diagnosis:7 --json
    """
    import msgspec

    registry = workspace.open_registry()
    manifest, digest = registry.resolve(ref)
    stored = msgspec.Raw(registry.stored_manifest(manifest.model, manifest.version))
    output.show(stored, format_blocks(describe_version(manifest, digest)))
