"""The report of a verification: one self-contained HTML page, light or dark, without any row of the data.

Texts of the model and the data are escaped, and the page's content security policy forbids scripts and loading.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from onnxlet.toolchain.verify.charts import bars, curve, whiskers
from onnxlet.toolchain.verify.importance import Importance
from onnxlet.toolchain.verify.plots import Plots, decades
from onnxlet.toolchain.workbench.slices import describe_worst_slice, loss_of
from onnxlet.values.contract import Contract, Estimate
from onnxlet.values.manifest import Draft, describe_outputs, describe_probing, describe_reference

REPORT = "report.html"
WIDE = 330
"""Room for long names beside bars."""

_STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--faint:#59636e;--line:#d1d9e0;--c0:#59636e;
--c1:#0b6bcb;--c2:#b4480a;
--good:#0f6e31;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--paper:#0d1117;--faint:#9198a1;--line:#3d444d;
--c0:#9198a1;--c1:#58a6ff;--c2:#f0883e;--good:#3fb950;--bad:#ff7b72}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:52rem;
margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
table{border-collapse:collapse;margin:.5rem 0;display:block;overflow-x:auto}
th,td{padding:.25rem .75rem .25rem 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.ok{color:var(--good)}.no{color:var(--bad)}.ok,.no{font-weight:600}.faint,small{color:var(--faint)}
code{font-size:.85em;overflow-wrap:anywhere}
figure{margin:1rem 0}figcaption{font-weight:600}svg{width:100%;max-width:40rem;height:auto}
svg text{font-size:12px;fill:var(--ink)}svg text.faint{fill:var(--faint)}
.legend{margin:.2rem 0;font-size:.85rem}.legend span{margin-right:1rem}
.legend i{display:inline-block;width:.8em;height:.8em;margin-right:.3em}
.s0{fill:var(--c0);background:var(--c0)}.s1{fill:var(--c1);background:var(--c1)}.s2{fill:var(--c2);background:var(--c2)}
.l0{stroke:var(--c0)}.l1{stroke:var(--c1)}.l2{stroke:var(--c2)}.l0,.l1,.l2{stroke-width:2;fill:none}
.frame{fill:none;stroke:var(--line)}.grid{stroke:var(--line);stroke-dasharray:4 4}
"""


class Subject(NamedTuple):
    """What a report is of: the model's name, when it was judged (RFC 3339) and what it predicts."""

    model: str
    date: str
    targets: Sequence[str] = ()


def render_report(
    subject: Subject, draft: Draft, contract: Contract, plots: Plots, importance: Importance | str = ""
) -> str:
    """The page for a judged draft."""
    sections = (
        _head(subject, draft, contract),
        _findings(contract),
        _metrics(contract),
        _calibration(plots),
        _distances(contract, plots),
        _classes(contract),
        _slices(contract),
        _importance(importance),
        _split(draft, contract),
        _ladder(draft, contract.metric or ""),
        _origin(draft, contract),
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>Accuracy report: {escape(subject.model)}</title><style>{_STYLE}</style></head><body><main>"
        + "\n".join(section for section in sections if section)
        + "</main></body></html>\n"
    )


def _head(subject: Subject, draft: Draft, contract: Contract) -> str:
    stages = " → ".join(stage.stage for stage in contract.stages)
    verdict = '<span class="ok">✓ holds</span>' if contract.holds else '<span class="no">✗ does not hold</span>'
    notes = "".join(f"<li>{escape(note)}</li>" for note in (*draft.notes, *contract.notes))
    odd = "".join(f'<li class="no">Odd: {escape(oddity)}.</li>' for oddity in contract.oddities)
    outputs = describe_outputs(draft.outputs)
    return (
        f"<h1>Accuracy report: {escape(subject.model)}</h1><p>The accuracy contract {verdict}.</p>"
        + _table(("", ""), _subject_rows(subject, contract))
        + f"<p>Reference: {escape(describe_reference(draft.reference))}.</p>"
        + (f"<p>Outputs: {escape(outputs)}.</p>" if outputs else "")
        + (f"<ul>{odd}</ul>" if odd else "")
        + f"<p>{escape(draft.provenance.framework)}, {escape(contract.task)}: {escape(stages)} on {contract.rows} "
        "rows. Everything here is counted, averaged or the largest of its kind: the page holds no row of the data.</p>"
        + (f"<ul>{notes}</ul>" if notes else "")
    )


def _subject_rows(subject: Subject, contract: Contract) -> list[tuple[str, str]]:
    targets = ", ".join(subject.targets) or "not given: answers are judged by how far they moved alone"
    data = f"{contract.rows} rows" + (f", <code>{escape(contract.data_digest)}</code>" if contract.data_digest else "")
    return [("judged", escape(subject.date)), ("target", escape(targets)), ("evaluation data", data)]


def _findings(contract: Contract) -> str:
    rows = [
        (
            escape(finding.name.replace("_", " ") + (f" of {finding.about}" if finding.about else "")),
            f"{finding.value:.4g}",
            f"{finding.bound:.4g}",
            '<span class="ok">✓ kept</span>' if finding.ok else '<span class="no">✗ broken</span>',
        )
        for finding in contract.findings
    ]
    return "<h2>Contract</h2>" + _table(("what", "found", "at most", ""), rows, numbers=(1, 2))


def _metrics(contract: Contract) -> str:
    stages = [stage for stage in contract.stages if stage.metrics]
    if not stages:
        return ""
    names = list(dict.fromkeys(name for stage in stages for name in stage.metrics))
    rows = [(escape(_metric_title(name)), *(_estimate(stage.metrics.get(name)) for stage in stages)) for name in names]
    shown = [name for name in names if all(_has_interval(stage.metrics.get(name)) for stage in stages)]
    chart = whiskers(
        "Estimates and their 95 % intervals",
        [(_metric_title(name), [_interval(stage.metrics[name]) for stage in stages]) for name in shown],
        [stage.stage for stage in stages],
    )
    table = _table(("metric", *(escape(stage.stage) for stage in stages)), rows)
    note = "<p><small>95 % bootstrap intervals, of the same resamples for every stage.</small></p>" if shown else ""
    return f"<h2>Estimates</h2>{table}{note}{chart if shown else ''}"


def _calibration(plots: Plots) -> str:
    lines = {stage: points for stage, points in plots.calibration.items() if points}
    if not lines:
        return ""
    drawn = curve("Calibration", lines, across="probability of the label", up="share that is right")
    return "<h2>Calibration</h2><p>On the diagonal the model is right as often as it says.</p>" + drawn


def _distances(contract: Contract, plots: Plots) -> str:
    stages = [stage for stage in contract.stages if stage.distances]
    if not stages:
        return ""
    names = list(dict.fromkeys(name for stage in stages for name in stage.distances))
    rows = [
        (
            escape(_metric_title(name)),
            *(f"{stage.distances[name]:.4g}" if name in stage.distances else "" for stage in stages),
        )
        for name in names
    ]
    counted = list(plots.distances)
    by_bin = [
        (bin_, [float(plots.distances[stage][index]) for stage in counted]) for index, bin_ in enumerate(decades())
    ]
    most = max((count for counts in plots.distances.values() for count in counts), default=0)
    chart = bars("How many answers moved how far", by_bin, counted, most=most, form="{:.0f}", colour=1) if most else ""
    first = escape(contract.stages[0].stage)
    table = _table(("", *(escape(stage.stage) for stage in stages)), rows, numbers=range(1, len(stages) + 1))
    return f"<h2>Distance from {first}</h2>{table}{chart}"


def _classes(contract: Contract) -> str:
    stages = [stage for stage in contract.stages if stage.recalls]
    if not stages:
        return ""
    by_stage = [{recall.label: recall for recall in stage.recalls} for stage in stages]
    shown = [recall for recall in stages[-1].recalls if recall.rows]
    rows = [
        (
            escape(last.label),
            str(last.rows),
            *(_share(r[last.label].sensitivity) if last.label in r else "" for r in by_stage),
            *(_share(r[last.label].specificity) if last.label in r else "" for r in by_stage),
        )
        for last in shown
    ]
    heads = [f"{which}, {escape(stage.stage)}" for which in ("sensitivity", "specificity") for stage in stages]
    chart = bars(
        "Sensitivity of each class",
        [(last.label, [r[last.label].sensitivity if last.label in r else None for r in by_stage]) for last in shown],
        [stage.stage for stage in stages],
        most=1.0,
    )
    return f"<h2>Classes</h2>{chart}" + _table(("class", "rows", *heads), rows, numbers=range(1, 2 + len(heads)))


def _slices(contract: Contract) -> str:
    if not contract.slices:
        return ""
    stages, metric = [contract.stages[0].stage, contract.stages[-1].stage], _metric_title(contract.metric or "")
    rows = [
        (
            escape(each.column),
            escape(each.value),
            str(each.rows),
            *(f"{value:.4g}" for value in (each.before, each.after, loss_of(each, contract))),
        )
        for each in contract.slices
    ]
    described = describe_worst_slice(contract)
    worst = f"<p>Worst slice: <strong>{escape(described)}</strong>.</p>" if described else ""
    most = max(max(each.before, each.after) for each in contract.slices)
    by_slice = [(str(each), [each.before, each.after]) for each in contract.slices]
    chart = bars(f"By slice: {metric}", by_slice, stages, most=most, left=WIDE)
    head = ("column", "value", "rows", *(f"{metric}, {escape(stage)}" for stage in stages), "loss")
    return f"<h2>Slices</h2>{worst}{chart}" + _table(head, rows, numbers=(2, 3, 4, 5))


def _importance(importance: Importance | str) -> str:
    """What answers hang on, over rows of the data and over the worst of them; or why that is not known."""
    title = "<h2>What answers hang on</h2>"
    if isinstance(importance, str):
        return f"{title}<p>Not known: {escape(importance)}.</p>" if importance else ""
    which = [f"{importance.rows} rows", f"the {importance.worst_rows} worst"]
    most = max(max(sizes) for _, *sizes in importance.columns)
    chart = bars(
        f"Mean size of attributions, in {importance.unit} of {importance.output}",
        [(name, sizes) for name, *sizes in importance.columns],
        which,
        most=most,
        form="{:.3g}",
        left=WIDE,
    )
    one_by_one = "" if importance.each else " Rows are told one by one where <code>--explain-rows</code> asks for it."
    note = (
        f"<p>How far each column moves answers away from the expected value ({escape(importance.method)}), on average: "
        f"over rows of the data, and over those that are answered worst.{one_by_one}</p>"
    )
    return f"{title}{note}{chart}{_explained_rows(importance)}"


def _explained_rows(importance: Importance) -> str:
    """The rows that are answered worst, one by one, where that was asked for."""
    if not importance.each:
        return ""
    rows = [
        (
            str(each.row),
            escape(each.column),
            f"{each.answer:.4g}",
            f"{each.expected:.4g}",
            escape(", ".join(f"{name} {value:+.3g}" for name, value in each.moves)),
        )
        for each in importance.each
    ]
    head = ("row, from 0", "explained", "answer", "expected", "what moves it most")
    return (
        f"<h3>The worst {len(rows)} rows</h3><p>In {escape(importance.unit)}. No values are shown, but who has the "
        "model may work them out: keep this page as you keep the data.</p>" + _table(head, rows, numbers=(0, 2, 3))
    )


def _split(draft: Draft, contract: Contract) -> str:
    """What the graph gave on the rows that chose it, beside the rows that judge."""
    done = draft.optimization
    chosen = next((rung for rung in done.rungs if rung.outcome == "chosen"), None) if done else None
    if done is None or done.split is None or chosen is None:
        return ""
    split, last = done.split, contract.stages[-1]
    distance = next((finding.value for finding in contract.findings if finding.name == "distance"), None)
    rows = [
        ("rows", str(split.choosing), str(contract.rows)),
        *(
            (escape(_metric_title(name)), f"{value:.4g}", f"{last.metrics[name].value:.4g}")
            for name, value in chosen.metrics.items()
            if name in last.metrics
        ),
        ("largest distance", *("" if each is None else f"{each:.4g}" for each in (chosen.distance, distance))),
    ]
    grouped = f" Rows that share a value of {escape(split.group)} are on one side." if split.group else ""
    folds = f" {split.agreeing} of {split.splits} splits chose it." if split.splits > 1 else ""
    where = "rows of another file" if split.judge_digest else f"others of the data, drawn with seed {split.seed}"
    note = f"<p>Some rows chose the graph; {where} judge it.{folds}{grouped}</p>"
    return f"<h2>Choosing and judging rows</h2>{note}" + _table(("", "chose", "judge"), rows, numbers=(1, 2))


def _ladder(draft: Draft, metric: str) -> str:
    """What each rung of the optimization gave, and why it was chosen or not."""
    rungs = draft.optimization.rungs if draft.optimization else ()
    if not rungs:
        return ""
    rows = [
        (
            escape(rung.name),
            "" if rung.bytes is None else f"{rung.bytes / 1000:.1f}",
            *("" if seconds is None else f"{seconds * 1e3:.3f}" for seconds in (rung.latency, rung.latency_32)),
            f"{rung.metrics[metric]:.4g}" if metric in rung.metrics else "",
            "" if rung.distance is None else f"{rung.distance:.2g}",
            (f"<strong>{rung.outcome}</strong>" if rung.outcome == "chosen" else rung.outcome)
            + f"<br><small>{escape(rung.reason)}</small>",
        )
        for rung in rungs
    ]
    sizes = [(rung.name, [rung.bytes / 1000]) for rung in rungs if rung.bytes is not None]
    most = max((size for _, (size,) in sizes), default=0)
    chart = bars("Kilobytes of each rung", sizes, ["kB"], most=most, form="{:.1f}", colour=1, left=WIDE)
    head = ("rung", "kB", "ms, 1 row", "ms, 32 rows", escape(_metric_title(metric)), "distance", "outcome")
    note = "<p>Times are those of the machine that optimized; distances are the largest, on the contract's scale.</p>"
    return f"<h2>Optimization</h2>{note}{chart}" + _table(head, rows, numbers=range(1, 6))


def _origin(draft: Draft, contract: Contract) -> str:
    provenance, done = draft.provenance, draft.optimization
    rows = [
        ("source", f"<code>{escape(provenance.source_digest or '-')}</code>"),
        ("graph", f"<code>{escape(contract.graph_digest or '-')}</code>"),
        ("made with", escape(", ".join(f"{name} {version}" for name, version in provenance.versions.items()))),
    ]
    if draft.probing is not None:
        rows.append(("probing rows", escape(describe_probing(draft.probing))))
    if done is not None:
        rows.append(("optimization", escape(f"{done.method}: {done.reason}")))
        rows.append(("bytes", f"{done.bytes_before} → {done.bytes_after}"))
        if done.kept:
            rows.append(("left in float", escape(", ".join(done.kept))))
        if done.calibration is not None:
            digest = f"<code>{escape(done.calibration.digest)}</code>"
            rows.append(("calibration", f"{escape(done.calibration.method)} on {done.calibration.rows} rows, {digest}"))
    if draft.golden is not None:
        near = draft.golden.tolerance
        apart = f"answers may be {near.absolute:g} + {near.relative:g} of their size apart"
        rows.append(("golden cases", f"{draft.golden.cases}, {draft.golden.source}; {apart}"))
    return "<h2>Origin</h2>" + _table(("", ""), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Iterable[int] = ()) -> str:
    """A table of cells that are HTML already."""
    right = set(numbers)
    marks = ["n" if index in right else "" for index in range(len(head))]
    titles = "".join(f'<th scope="col" class="{mark}">{cell}</th>' for mark, cell in zip(marks, head, strict=True))
    lines = "".join(
        "<tr>" + "".join(f'<td class="{mark}">{cell}</td>' for mark, cell in zip(marks, row, strict=True)) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table>"


def _metric_title(name: str) -> str:
    return {"auc": "AUC", "f1": "F1", "rmse": "RMSE", "mae": "MAE", "r2": "R²"}.get(name, name.replace("_", " "))


def _estimate(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    interval = f" <small>({estimate.low:.4g} to {estimate.high:.4g})</small>" if _has_interval(estimate) else ""
    return f"{estimate.value:.4g}{interval}"


def _has_interval(estimate: Estimate | None) -> bool:
    return estimate is not None and estimate.low is not None and estimate.high is not None


def _interval(estimate: Estimate) -> tuple[float, float, float]:
    low, high = estimate.low, estimate.high
    return estimate.value, estimate.value if low is None else low, estimate.value if high is None else high


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
