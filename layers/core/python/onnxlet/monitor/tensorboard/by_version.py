"""Tags whose steps are versions or moves: contracts, sizes, hyperparameters, and who moved what."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from onnxlet.monitor.report import labels
from onnxlet.monitor.tensorboard.history import ModelHistory, VersionHistory
from onnxlet.monitor.tensorboard.reading import Reading, markdown_table
from onnxlet.monitor.tensorboard.summaries import (
    Hyperparameter,
    experiment,
    scalar,
    session_end,
    session_start,
    text,
)
from onnxlet.values.aliases import HistoryEntry, Routes
from onnxlet.values.manifest import Manifest, describe_reference
from onnxlet.values.metrics import served_metrics

CONTRACT = "contract/"
_MEGABYTE = 1e6


def read_metrics(model: ModelHistory) -> Iterator[Reading]:
    """The metrics of each version's contract, beside each other and in the version's own run."""
    for version in model.versions:
        for name, value in served_metrics(version.manifest).items():
            metric = scalar(CONTRACT + name, value, "of what is served, on the rows that judged the version")
            for run in (model.model, version.run):
                yield Reading(run, version.manifest.version, version.published, metric)


def read_label_figures(model: ModelHistory) -> Iterator[Reading]:
    """How good each version turned out to be, by the labels of its rows so far."""
    for version in model.versions:
        told = version.report.sections.get(labels.SECTION.name)
        for each in told.versions if isinstance(told, labels.Labels) else ():
            for name, figure in each.figures.items():
                of = f" of {each.output}" if each.output else ""
                value = scalar(f"labels/{name}{of}", figure.value, "of all labelled rows so far")
                yield Reading(model.model, version.manifest.version, version.published, value)


def read_sizes(model: ModelHistory) -> Iterator[Reading]:
    """Megabytes of each version."""
    for version in model.versions:
        size = scalar("size/megabytes", version.manifest.size / _MEGABYTE, "all artifacts of the version")
        yield Reading(model.model, version.manifest.version, version.published, size)


def read_contracts(model: ModelHistory) -> Iterator[Reading]:
    """What each version was held to, and what was found."""
    for version in model.versions:
        page = text("contract", _describe_contract(version.manifest), "what the version was held to")
        yield Reading(version.run, version.manifest.version, version.published, page)


def read_moves(model: ModelHistory) -> Iterator[Reading]:
    """Who moved each alias, when and why."""
    for alias, entries in model.moves.items():
        rows = [(each.sequence, each.when, each.action, _routes(each.target), each.who, each.why) for each in entries]
        page = markdown_table(("move", "when", "action", "to", "who", "why"), rows)
        newest = entries[-1]
        yield Reading(model.model, newest.sequence, _seconds(newest), text(f"moves/{alias}", page))


def read_hyperparameters(model: ModelHistory) -> Iterator[Reading]:
    """What tells versions apart, beside their metrics."""
    sessions = [(version, _hyperparameters(version.manifest)) for version in model.versions]
    if not sessions:
        return
    met: dict[str, list[Hyperparameter]] = {}
    for _, hyperparameters in sessions:
        for name, value in hyperparameters.items():
            known = met.setdefault(name, [])
            if value not in known:
                known.append(value)
    metrics = dict.fromkeys(CONTRACT + name for version, _ in sessions for name in served_metrics(version.manifest))
    yield Reading(model.model, 0, sessions[0][0].published, experiment(met, tuple(metrics)))
    for version, hyperparameters in sessions:
        yield from _session(version, hyperparameters)


def _session(version: VersionHistory, hyperparameters: dict[str, Hyperparameter]) -> Iterator[Reading]:
    yield Reading(version.run, 0, version.published, session_start(hyperparameters, version.run, version.published))
    yield Reading(version.run, 0, version.published, session_end(version.published))


def _hyperparameters(manifest: Manifest) -> dict[str, Hyperparameter]:
    optimization = manifest.optimization
    return {
        "framework": manifest.provenance.framework,
        "framework version": (manifest.reference and manifest.reference.version) or "unknown",
        "reference": "none" if manifest.reference is None else manifest.reference.kind,
        "optimization": "none" if optimization is None else optimization.method,
        "megabytes": round(manifest.size / _MEGABYTE, 3),
        "steps": ", ".join(str(step["kind"]) for step in manifest.steps),
        "publisher": manifest.publisher,
    }


def _describe_contract(manifest: Manifest) -> str:
    contract = manifest.contract
    lines = [f"# {manifest.model}:{manifest.version}", f"reference: {describe_reference(manifest.reference)}"]
    if contract is None:
        lines.append("No contract: the version was not judged. `onnxlet verify` does that before it is published.")
    else:
        held = "holds" if contract.holds else "is broken"
        lines.append(f"The contract {held}, judged on {contract.rows} rows as {contract.task}.")
        findings = [(f.name, f.about, f.value, f.bound, "yes" if f.ok else "**no**") for f in contract.findings]
        lines.append(markdown_table(("found", "in", "value", "bound", "holds"), findings))
        metrics = [
            (stage.stage, name, estimate.value, estimate.low, estimate.high)
            for stage in contract.stages
            for name, estimate in stage.metrics.items()
        ]
        lines.append(markdown_table(("stage", "metric", "value", "low", "high"), metrics))
        lines.extend(contract.notes)
        lines.extend(contract.oddities)
    return "\n\n".join([*lines, *manifest.notes])


def _routes(routes: Routes) -> str:
    return ", ".join(f"{route.version} ({route.weight:g})" for route in routes) or "none"


def _seconds(entry: HistoryEntry) -> float:
    return datetime.fromisoformat(entry.when).timestamp()
