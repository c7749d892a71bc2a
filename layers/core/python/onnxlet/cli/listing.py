"""Commands that show what a store holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from onnxlet.cli.contracts import format_verdict
from onnxlet.cli.moving import format_routes
from onnxlet.cli.options import MODEL, json_option, ref_argument
from onnxlet.cli.output import Output, format_facts, format_size, format_table
from onnxlet.cli.workspace import Workspace, pass_workspace
from onnxlet.errors import UnknownStepError
from onnxlet.values.refs import PRODUCTION, Ref

if TYPE_CHECKING:
    from onnxlet.registry.registry import Registry
    from onnxlet.values.manifest import Manifest


@click.command("list", short_help="List models, or a model's versions.")
@click.argument("name", type=MODEL, required=False)
@json_option
@pass_workspace
def list_(workspace: Workspace, name: str | None, output: Output) -> None:
    """List the models of the store, or the versions of one.

    \b
    Example:
      onnxlet list
      onnxlet list diagnosis --json
    """
    registry = workspace.open_registry()
    if name is None:
        _list_models(registry, output)
        return
    versions = registry.versions(name)
    rows = [(v.number, v.state, v.created[:19] + "Z", format_size(v.size), ", ".join(v.aliases)) for v in versions]
    document = [version._asdict() for version in versions]
    output.show(document, format_table(("VERSION", "STATE", "CREATED", "SIZE", "ALIASES"), rows))


def _list_models(registry: Registry, output: Output) -> None:
    document = []
    rows = []
    for model in registry.models():
        published = [version.number for version in registry.versions(model) if version.state == "published"]
        aliases = {alias: format_routes(routed.routes) for alias, routed in sorted(registry.aliases(model).items())}
        document.append({"model": model, "versions": published, "aliases": aliases})
        others = ", ".join(f"{alias} {routes}" for alias, routes in aliases.items() if alias != PRODUCTION)
        rows.append((model, len(published), max(published, default=None), aliases.get(PRODUCTION), others))
    output.show(document, format_table(("MODEL", "VERSIONS", "LATEST", "PRODUCTION", "OTHER ALIASES"), rows))
    if not rows:
        output.say(f"no models in {registry.store.url}: `onnxlet publish PATH NAME` brings one")


@click.command(short_help="Show a version.")
@ref_argument
@json_option
@pass_workspace
def show(workspace: Workspace, ref: Ref, output: Output) -> None:
    """Show a version: its signature, where it comes from, how well it does, its artifacts.

    With --json: its manifest.

    \b
    Example:
      onnxlet show diagnosis
      onnxlet show diagnosis:7 --json
    """
    import msgspec

    registry = workspace.open_registry()
    manifest, digest = registry.resolve(ref)
    stored = msgspec.Raw(registry.stored_manifest(manifest.model, manifest.version))
    output.show(stored, _format_manifest(manifest, digest))


def _format_manifest(manifest: Manifest, digest: str) -> str:
    from onnxlet.values.manifest import describe_reference

    came = manifest.provenance
    optimization = manifest.optimization
    blocks = [
        format_facts(
            (
                ("version", f"{manifest.model}:{manifest.version}"),
                ("created", manifest.created),
                ("publisher", manifest.publisher),
                ("manifest", digest),
                ("framework", came.framework),
                ("made with", ", ".join(f"{name} {number}" for name, number in came.versions.items())),
                ("reference", describe_reference(manifest.reference)),
                ("training commit", came.training_commit),
                ("labels", ", ".join(manifest.labels)),
                ("columns", ", ".join(_columns(manifest))),
                ("inputs", ", ".join(map(str, manifest.signature.inputs))),
                ("outputs", ", ".join(map(str, manifest.signature.outputs))),
                ("golden cases", f"{manifest.golden.cases} ({manifest.golden.source})" if manifest.golden else None),
                ("optimization", f"{optimization.method}: {optimization.reason}" if optimization else None),
                ("contract", format_verdict(manifest.contract) if manifest.contract else "none"),
            )
        ),
        format_table(
            ("STAGE", "ROWS", "METRICS"),
            [(e.stage, e.rows, _format_metrics(e.metrics)) for e in manifest.evaluations],
        ),
        format_table(
            ("ARTIFACT", "SIZE", "DIGEST"), [(a.path, format_size(a.size), a.digest) for a in manifest.artifacts]
        ),
    ]
    return "\n\n".join(block for block in blocks if block)


def _columns(manifest: Manifest) -> list[str]:
    """The columns of a row; none either of a version that a newer onnxlet published."""
    from onnxlet.steps import decode_steps

    try:
        return [column.name for column in decode_steps(manifest.steps).columns or ()]
    except UnknownStepError:
        return []


def _format_metrics(metrics: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
