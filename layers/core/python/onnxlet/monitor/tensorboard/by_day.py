"""Tags whose steps are days: traffic, requests, what columns and answers looked like, what the report says."""

from __future__ import annotations

from collections.abc import Iterator

from onnxlet.monitor.baseline import Column, Numbers
from onnxlet.monitor.report.scope import Counted
from onnxlet.monitor.report.shown import show_cells
from onnxlet.monitor.sketch import OUTPUTS, SIDES, Side
from onnxlet.monitor.tensorboard.history import ModelHistory, VersionHistory, noon_of, step_of
from onnxlet.monitor.tensorboard.measures import MEASURES
from onnxlet.monitor.tensorboard.plots import draw_block
from onnxlet.monitor.tensorboard.reading import Reading, markdown_block
from onnxlet.monitor.tensorboard.summaries import Bucket, Value, histogram, image, scalar, text
from onnxlet.values.tables import Block
from onnxlet.values.tensors import Tensor

MOST_COLUMNS = 100
"""Columns of a version with histograms of their own, those first that the baseline has first."""
_FOLDERS = {OUTPUTS: "answers"}


def read_rows(model: ModelHistory) -> Iterator[Reading]:
    """Rows that were counted, and a version's share of all of the model's."""
    totals = dict.fromkeys(model.days(), 0)
    for version in model.versions:
        for counted in version.counted:
            totals[counted.day] += _rows(counted)
    for version in model.versions:
        for counted in version.counted:
            told = {
                "rows/counted": counted.rows,
                "rows/elsewhere": counted.elsewhere,
                "traffic/rows": _rows(counted) / (totals[counted.day] or 1),
            }
            yield from (_on(version, counted.day, scalar(tag, value)) for tag, value in told.items())


def read_routes(model: ModelHistory) -> Iterator[Reading]:
    """The share of the traffic that each alias sends to each version, at the end of each day."""
    for alias in model.moves:
        for version in model.versions:
            for day in model.days():
                routes = model.routes(alias, day)
                whole = sum(route.weight for route in routes)
                mine = sum(route.weight for route in routes if route.version == version.manifest.version)
                yield _on(version, day, scalar(f"traffic/{alias}", mine / whole if whole else 0.0))


def read_requests(model: ModelHistory) -> Iterator[Reading]:
    """Requests, the share that was answered with an error, and times, where metrics tell."""
    for version in model.versions:
        for traffic in model.traffic.get(version.manifest.version, ()):
            told = {"requests/count": traffic.requests, "requests/cold_starts": traffic.cold_starts}
            if traffic.requests:
                told["requests/error_share"] = traffic.errors / traffic.requests
            told |= {f"latency/{name}": value for name, value in traffic.latency.items()}
            yield from (_on(version, traffic.day, scalar(tag, value)) for tag, value in told.items())


def read_measures(model: ModelHistory) -> Iterator[Reading]:
    """The numbers of the report's sections, day by day."""
    for version in model.versions:
        for name, measure in MEASURES.items():
            if (told := version.report.sections.get(name)) is not None:
                for day, tag, value in measure(told):
                    yield _on(version, day, scalar(f"{name}/{tag}", value))


def read_histograms(model: ModelHistory) -> Iterator[Reading]:
    """What columns and answers looked like; the baseline stands on the day before the first."""
    for version in model.versions:
        if version.baseline is None or not version.counted:
            continue
        before = step_of(version.counted[0].day) - 1
        for side, columns in zip(SIDES, (version.baseline.columns, version.baseline.outputs), strict=True):
            for column in columns[:MOST_COLUMNS]:
                for drawn in _draw(side, column, None):
                    yield Reading(version.run, before, noon_of(before), drawn)
        for counted in version.counted:
            for side in SIDES:
                for place, (column, counts) in enumerate(counted.sketch.columns(side)):
                    if place < MOST_COLUMNS:
                        yield from (_on(version, counted.day, drawn) for drawn in _draw(side, column, counts[:-1]))


def read_reports(model: ModelHistory) -> Iterator[Reading]:
    """The report as it is on the newest day: its tables as text, its plots as pictures."""
    for version in model.versions:
        if not version.counted:
            continue
        newest = version.counted[-1].day
        parts = [f"# {title}\n\n" + "\n\n".join(map(markdown_block, blocks)) for title, blocks in _parts(version)]
        if parts:
            yield _on(version, newest, text("report", "\n\n".join(parts)))


def read_plots(model: ModelHistory) -> Iterator[Reading]:
    """The plots of the report as it is on the newest day."""
    for version in model.versions:
        for title, blocks in _parts(version) if version.counted else ():
            for block in blocks:
                if (drawn := draw_block(block)) is not None:
                    tag = f"{title}/{_without_version(drawn.title, version)}"
                    yield _on(version, version.counted[-1].day, image(tag, drawn.picture))


def _without_version(title: str, version: VersionHistory) -> str:
    number = version.manifest.version
    return title.replace(f" of version {number}", "").replace(f", version {number}", "")


def _parts(version: VersionHistory) -> list[tuple[str, list[Block]]]:
    return version.report.parts()


def _on(version: VersionHistory, day: str, value: Value) -> Reading:
    step = step_of(day)
    return Reading(version.run, step, noon_of(step), value)


def _rows(counted: Counted) -> int:
    return counted.rows + counted.elsewhere


def _draw(side: Side, column: Column, window: Tensor | None) -> Iterator[Value]:
    """A column's counts by bin, if there are any to show; of the baseline without a window.

    Bins of few rows are joined, as in the report.
    """
    cells = show_cells(column, window)
    counts = cells.window.tolist()
    if not counts:
        return
    ends = _ends(cells.edges) if isinstance(column, Numbers) else [place - 0.5 for place in range(len(counts) + 1)]
    about = (
        "the outermost bins have no end and are drawn as wide as those beside them"
        if isinstance(column, Numbers)
        else ", ".join(f"{place} {name}" for place, name in enumerate(cells.names))
    )
    bars = [Bucket(ends[place], ends[place + 1], rows) for place, rows in enumerate(counts)]
    yield histogram(f"{_FOLDERS.get(side, 'columns')}/{column.name}", bars, about)


def _ends(edges: tuple[float, ...]) -> list[float]:
    if not edges:
        return [0.0, 1.0]
    low = edges[1] - edges[0] if len(edges) > 1 else 1.0
    high = edges[-1] - edges[-2] if len(edges) > 1 else 1.0
    return [edges[0] - low, *edges, edges[-1] + high]
