"""What is said of a version, wherever it is shown: by commands, in terminals, in notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from onnxlet.lifecycle.tables import Block, Facts, Table, format_size
from onnxlet.values.refs import PRODUCTION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from onnxlet.registry.reading.listing import VersionSummary
    from onnxlet.registry.registry import Registry
    from onnxlet.values.aliases import HistoryEntry, Routes
    from onnxlet.values.contract import Contract
    from onnxlet.values.manifest import Manifest


class ModelSummary(NamedTuple):
    """A model in a list: the numbers of its published versions, and where its aliases route to, as text."""

    model: str
    versions: list[int]
    aliases: dict[str, str]


def summarize_models(registry: Registry) -> list[ModelSummary]:
    """All models of a store, by name."""
    return [
        ModelSummary(
            model,
            [version.number for version in registry.versions(model) if version.state == "published"],
            {alias: format_routes(routed.routes) for alias, routed in sorted(registry.aliases(model).items())},
        )
        for model in registry.models()
    ]


def describe_models(models: Sequence[ModelSummary]) -> Table:
    """The models of a store, a row for each."""
    rows = []
    for model, versions, aliases in models:
        others = ", ".join(f"{alias} {routes}" for alias, routes in aliases.items() if alias != PRODUCTION)
        rows.append((model, len(versions), max(versions, default=None), aliases.get(PRODUCTION), others))
    return Table(("model", "versions", "latest", "production", "other aliases"), rows)


def describe_version(manifest: Manifest, digest: str) -> list[Block]:
    """A version: its signature, where it comes from, how well it does, its artifacts."""
    from onnxlet.values.manifest import describe_reference

    came = manifest.provenance
    optimization = manifest.optimization
    facts = (
        ("version", f"{manifest.model}:{manifest.version}"),
        ("created", manifest.created),
        ("publisher", manifest.publisher),
        ("manifest", digest),
        ("framework", came.framework),
        ("made with", ", ".join(f"{name} {number}" for name, number in came.versions.items())),
        ("reference", describe_reference(manifest.reference)),
        ("training commit", came.training_commit),
        ("labels", ", ".join(manifest.labels)),
        ("columns", ", ".join(_column_names(manifest))),
        ("inputs", ", ".join(map(str, manifest.signature.inputs))),
        ("outputs", ", ".join(map(str, manifest.signature.outputs))),
        ("golden cases", f"{manifest.golden.cases} ({manifest.golden.source})" if manifest.golden else None),
        ("optimization", f"{optimization.method}: {optimization.reason}" if optimization else None),
        ("contract", format_verdict(manifest.contract) if manifest.contract else "none"),
    )
    evaluations = [(each.stage, each.rows, format_metrics(each.metrics)) for each in manifest.evaluations]
    artifacts = [(each.path, format_size(each.size), each.digest) for each in manifest.artifacts]
    return [
        Facts(facts),
        Table(("stage", "rows", "metrics"), evaluations),
        Table(("artifact", "size", "digest"), artifacts),
    ]


def describe_versions(versions: Sequence[VersionSummary]) -> Table:
    """The versions of a model, a row for each."""
    rows = [(v.number, v.state, v.created[:19] + "Z", format_size(v.size), ", ".join(v.aliases)) for v in versions]
    return Table(("version", "state", "created", "size", "aliases"), rows)


def describe_history(entries: Sequence[HistoryEntry]) -> Table:
    """The moves of an alias, a row for each."""
    rows = [
        (e.sequence, e.when, e.who, e.action, format_routes(e.origin), format_routes(e.target), _format_reason(e))
        for e in entries
    ]
    return Table(("sequence", "when", "who", "action", "from", "to", "why"), rows)


def format_verdict(contract: Contract) -> str:
    """Whether it holds, and on what it was judged or in what it does not."""
    if contract.holds:
        return f"holds on {contract.rows} rows"
    return f"does not hold on {contract.rows} rows: {contract.breaches}"


def format_routes(routes: Routes) -> str:
    """Where an alias routes to: `7`, or with several routes `7 (90 %), 8 (10 %)`."""
    if len(routes) == 1:
        return str(routes[0].version)
    total = sum(route.weight for route in routes) or 1
    return ", ".join(f"{route.version} ({100 * route.weight / total:.3g} %)" for route in routes) or "-"


def format_metrics(metrics: Mapping[str, float]) -> str:
    """`accuracy 0.9561  auc 0.9932`."""
    return "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())


def _format_reason(entry: HistoryEntry) -> str:
    """The reason given, and past which gates the move was forced."""
    forced = [passed for passed in entry.gates.values() if passed.startswith("forced")]
    return "; ".join(filter(None, (entry.why, *forced)))


def _column_names(manifest: Manifest) -> list[str]:
    """The columns of a row; none either of a version that a newer onnxlet published."""
    from onnxlet.errors import UnknownStepError
    from onnxlet.steps import decode_steps

    try:
        return [column.name for column in decode_steps(manifest.steps).columns or ()]
    except UnknownStepError:
        return []
