"""What is said of a version, wherever it is shown: by commands, in terminals, in notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from onnxlet.errors import NotExplainableError
from onnxlet.lifecycle.boxes import describe_pipeline
from onnxlet.values.keys import PRODUCTION
from onnxlet.values.plain_text import escape
from onnxlet.values.tables import Block, Facts, Table, format_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from onnxlet.registry.reading.listing import VersionSummary
    from onnxlet.registry.registry import Registry
    from onnxlet.steps import Steps
    from onnxlet.values.aliases import Alias, HistoryEntry, Routes
    from onnxlet.values.contract import Contract, Estimate
    from onnxlet.values.manifest import Draft, Evaluation, Manifest

METRIC_ORDER = ("accuracy", "auc", "f1", "dice", "iou", "calibration_error", "rmse", "mae", "r2", "cosine")
"""Metrics in the order in which they are shown."""


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
    from onnxlet.monitor.capture.wording import describe_policy
    from onnxlet.values.manifest import describe_outputs, describe_probing, describe_reference

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
        ("probing rows", describe_probing(manifest.probing)),
        ("outputs are", describe_outputs(manifest.outputs)),
        ("training commit", came.training_commit),
        ("labels", ", ".join(manifest.labels)),
        ("columns", ", ".join(_column_names(manifest))),
        ("inputs", ", ".join(map(str, manifest.signature.inputs))),
        ("outputs", ", ".join(map(str, manifest.signature.outputs))),
        ("golden cases", f"{manifest.golden.cases} ({manifest.golden.source})" if manifest.golden else "none"),
        ("explained by", _describe_explanations(manifest)),
        ("captured", describe_policy(manifest.policy)),
        ("optimization", f"{optimization.method}: {optimization.reason}" if optimization else None),
        ("contract", format_verdict(manifest.contract) if manifest.contract else "none"),
        *(("note", note) for note in manifest.notes),
        *(("odd", oddity) for oddity in (manifest.contract.oddities if manifest.contract else ())),
    )
    evaluations = [(each.stage, each.rows, format_metrics(each.metrics)) for each in manifest.evaluations]
    artifacts = [(each.path, format_size(each.size), each.digest) for each in manifest.artifacts]
    steps = _steps(manifest)
    return [
        Facts(facts),
        *([describe_pipeline(manifest, steps)] if steps.each else []),
        Table(("stage", "rows", "metrics"), evaluations),
        Table(("artifact", "size", "digest"), artifacts),
    ]


def _describe_explanations(manifest: Manifest) -> str:
    """What explanations use: `linear table; background of 100 rows, synthetic`; empty if there is nothing."""
    from onnxlet.explain.document import read_document

    try:
        document = read_document(manifest.explanations)
    except NotExplainableError:
        return "what only a newer onnxlet reads"
    background = document.background
    parts = (
        *(f"{name} table" for name in document.tables),
        "" if background is None else f"background of {background.rows} rows, {background.kind}",
    )
    return "; ".join(filter(None, parts))


def describe_evaluations(evaluations: Sequence[Evaluation]) -> Table:
    """The metrics of each stage, a row for each."""
    names = list(dict.fromkeys(name for evaluation in evaluations for name in evaluation.metrics))
    rows = [
        (each.stage, each.rows, *(f"{each.metrics[n]:.4g}" if n in each.metrics else "" for n in names))
        for each in evaluations
    ]
    return Table(("stage", "rows", *names), rows)


def describe_rungs(draft: Draft) -> Table:
    """What each rung of the ladder gave; no rows if none was tried."""
    rungs = draft.optimization.rungs if draft.optimization else ()
    measured = {name for rung in rungs for name in rung.metrics}
    shown = next((name for name in ("dice", "accuracy", "rmse", "cosine") if name in measured), None)
    rows = [
        (
            rung.name,
            format_size(rung.bytes) if rung.bytes is not None else "",
            *(f"{seconds * 1000:.3f} ms" if seconds is not None else "" for seconds in (rung.latency, rung.latency_32)),
            f"{rung.metrics[shown]:.4g}" if shown in rung.metrics else "",
            f"{rung.distance:.2g}" if rung.distance is not None else "",
            rung.outcome,
            rung.reason,
        )
        for rung in rungs
    ]
    return Table(("rung", "size", "1 row", "32 rows", shown or "metric", "distance", "outcome", "why"), rows)


def describe_contract(contract: Contract) -> list[Block]:
    """Metrics by stage, the worst slice, what could not be judged, the verdict."""
    from onnxlet.toolchain.workbench.slices import describe_worst_slice

    measured = [stage for stage in contract.stages if stage.metrics]
    names = [name for name in METRIC_ORDER if any(name in stage.metrics for stage in measured)]
    rows = [(stage.stage, *(_format_estimate(stage.metrics.get(name)) for name in names)) for stage in measured]
    last = contract.stages[-1].distances
    moved = f"up to {last['largest']:.2g}" if "largest" in last else None
    agreement = f"{last['label_agreement']:.2%} of the labels stay" if "label_agreement" in last else None
    facts = [
        ("answers moved", ", ".join(filter(None, (moved, agreement)))),
        ("worst slice", describe_worst_slice(contract)),
        *(("note", note) for note in contract.notes),
        *(("odd", oddity) for oddity in contract.oddities),
        ("contract", format_verdict(contract)),
    ]
    return [Table(("stage", *(name.replace("_", " ") for name in names)), rows), Facts(facts)]


def describe_outcome(draft: Draft, contract: Contract | None) -> list[Block]:
    """What became of a model that was converted, optimized and, where it has a reference, judged."""
    from onnxlet.values.manifest import describe_outputs, describe_probing

    if contract is None:
        return [describe_rungs(draft), *describe_conversion(draft)]
    done = draft.optimization
    facts = (
        ("model", draft.provenance.framework),
        ("reference", _reference(draft)),
        ("probing rows", describe_probing(draft.probing)),
        ("outputs are", describe_outputs(draft.outputs)),
        *(("note", note) for note in draft.notes),
        ("size", f"{format_size(done.bytes_before)} -> {format_size(done.bytes_after)}" if done else None),
        ("optimization", f"{done.method}: {done.reason}" if done else None),
    )
    return [describe_rungs(draft), Facts(facts), *describe_contract(contract)]


def describe_conversion(draft: Draft) -> list[Block]:
    """What became of a model that was converted, and maybe optimized."""
    from onnxlet.values.manifest import describe_outputs, describe_probing

    facts = (
        ("reference", _reference(draft)),
        ("outputs are", describe_outputs(draft.outputs)),
        ("probing rows", describe_probing(draft.probing)),
        *(("note", note) for note in draft.notes),
    )
    blocks: list[Block] = [describe_evaluations(draft.evaluations), Facts(facts)]
    done = draft.optimization
    if done is not None:
        size = f"{format_size(done.bytes_before)} -> {format_size(done.bytes_after)}"
        blocks.append(Facts((("optimization", done.method), ("why", done.reason), ("size", size))))
    return blocks


def _reference(draft: Draft) -> str:
    """Whose answers it is held to; where it is nobody's, how that is changed."""
    from onnxlet.values.manifest import describe_reference

    way_out = ", and there is no contract: --expected FILE, its model's own answers to the data, gives both"
    return describe_reference(draft.reference) + (way_out if draft.reference is None else "")


def describe_versions(versions: Sequence[VersionSummary]) -> Table:
    """The versions of a model, a row for each; with a column for each metric that any of them has."""
    names = list(dict.fromkeys(name for version in versions for name in version.metrics))
    rows = [
        (
            v.number,
            v.state,
            v.created[:19] + "Z",
            format_size(v.size),
            *(f"{v.metrics[name]:.4g}" if name in v.metrics else "" for name in names),
            ", ".join(v.aliases),
        )
        for v in versions
    ]
    return Table(("version", "state", "created", "size", *names, "aliases"), rows)


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


def format_move(alias: Alias) -> str:
    """`diagnosis@production: 7 -> 8`."""
    entry = alias.entry
    return f"{entry.model}@{entry.alias}: {format_routes(entry.origin)} -> {format_routes(entry.target)}"


def format_unchanged(alias: Alias) -> str:
    """`diagnosis@production: routes to 8 already, since 2026-11-23T14:03:00.000000Z by ana; nothing was written`."""
    entry = alias.entry
    return (
        f"{entry.model}@{entry.alias}: routes to {format_routes(alias.routes)} already, since {entry.when} by "
        f"{escape(entry.who)}; nothing was written"
    )


def gate_warning(alias: Alias) -> str:
    """What contract, reference and history did not vouch for when the alias moved; empty if nothing is to be said."""
    from onnxlet.registry.writing.history_gate import HISTORY_GATE
    from onnxlet.registry.writing.promotion_gate import GATE, REFERENCE_GATE

    passed = {"held": "", "none": "has no accuracy contract: nobody has shown that it answers as its source does"}
    known = {
        "object": "",
        "expected": "",
        "file": "is held to what the framework reads in a file, which may have lost something of the model: convert "
        "the model itself, or give --expected",
    }
    contract, reference, history = (alias.entry.gates.get(gate, "") for gate in (GATE, REFERENCE_GATE, HISTORY_GATE))
    warnings = (
        passed.get(contract, f"was {contract}") if contract else "",
        known.get(reference, f"was {reference}") if reference else "",
        f"was {history}" if history else "",
    )
    said = ", and ".join(filter(None, warnings))
    return escape(f"{alias.entry.model}:{format_routes(alias.entry.target)} {said}") if said else ""


def format_routes(routes: Routes) -> str:
    """Where an alias routes to: `7`, or with several routes `7 (90 %), 8 (10 %)`."""
    if len(routes) == 1:
        return str(routes[0].version)
    total = sum(route.weight for route in routes) or 1
    return ", ".join(f"{route.version} ({100 * route.weight / total:.3g} %)" for route in routes) or "-"


def format_metrics(metrics: Mapping[str, float]) -> str:
    """`accuracy 0.9561  auc 0.9932`."""
    return "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())


def _format_estimate(estimate: Estimate | None) -> str:
    """`0.965 (0.930-0.991)`."""
    if estimate is None:
        return ""
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.4g}"
    return f"{estimate.value:.4g} ({estimate.low:.4g} to {estimate.high:.4g})"


def _format_reason(entry: HistoryEntry) -> str:
    """The reason given, and past which gates the move was forced."""
    forced = [passed for passed in entry.gates.values() if passed.startswith("forced")]
    return "; ".join(filter(None, (entry.why, *forced)))


def _column_names(manifest: Manifest) -> list[str]:
    """The columns of a row."""
    return [column.name for column in _steps(manifest).columns or ()]


def _steps(manifest: Manifest) -> Steps:
    """The steps; none of a version that a newer onnxlet published."""
    from onnxlet.errors import UnknownStepError
    from onnxlet.steps import Steps, decode_steps

    try:
        return decode_steps(manifest.steps)
    except UnknownStepError:
        return Steps()
