"""What is written of a model: the one list. A new line of it is a new tag of TensorBoard's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from onnxlet.monitor.tensorboard import by_day, by_version
from onnxlet.monitor.tensorboard.history import ModelHistory
from onnxlet.monitor.tensorboard.reading import Reading
from onnxlet.monitor.tensorboard.records import Step


class Written(NamedTuple):
    """Tags, the plugin that shows them, what a step is, what they mean, and who reads them out of a history."""

    tags: tuple[str, ...]
    shown: Literal["scalars", "histograms", "images", "text", "hparams"]
    step: Literal["version", "move", "day"]
    meaning: str
    read: Callable[[ModelHistory], Iterator[Reading]]


WRITTEN = (
    Written(("contract/…",), "scalars", "version", "each metric of the contract", by_version.read_metrics),
    Written(
        ("labels/…",), "scalars", "version", "accuracy and more by the labels so far", by_version.read_label_figures
    ),
    Written(("size/megabytes",), "scalars", "version", "all artifacts", by_version.read_sizes),
    Written(
        ("contract",), "text", "version", "what a version was held to, and what was found", by_version.read_contracts
    ),
    Written(("moves/…",), "text", "move", "who moved an alias, when and why", by_version.read_moves),
    Written(
        ("_hparams_/…",),
        "hparams",
        "version",
        "what tells versions apart, beside metrics",
        by_version.read_hyperparameters,
    ),
    Written(
        ("rows/counted", "rows/elsewhere", "traffic/rows"),
        "scalars",
        "day",
        "live rows, and a version's share",
        by_day.read_rows,
    ),
    Written(("traffic/…",), "scalars", "day", "the share that an alias sends to a version", by_day.read_routes),
    Written(
        ("requests/…", "latency/…"),
        "scalars",
        "day",
        "requests, cold starts, share of errors, milliseconds",
        by_day.read_requests,
    ),
    Written(
        ("drift/…", "quality/…", "labels/…", "expected/…"),
        "scalars",
        "day",
        "the numbers of the report: distances by column, missing values, accuracy by labels and estimated",
        by_day.read_measures,
    ),
    Written(("columns/…", "answers/…"), "histograms", "day", "rows by bin, the baseline first", by_day.read_histograms),
    Written(("report",), "text", "day", "the report as it is on the newest day", by_day.read_reports),
    Written(
        ("Traffic/…", "Drift/…", "Data quality/…", "Accuracy by labels/…", "Accuracy before labels, estimated/…"),
        "images",
        "day",
        "its plots",
        by_day.read_plots,
    ),
)


def steps_of(model: ModelHistory) -> dict[str, list[Step]]:
    """Everything that is known of a model, by run."""
    together: dict[tuple[str, int], list[Reading]] = defaultdict(list)
    for written in WRITTEN:
        for reading in written.read(model):
            together[reading.run, reading.step].append(reading)
    runs: dict[str, list[Step]] = defaultdict(list)
    for (run, step), readings in sorted(together.items(), key=lambda pair: pair[0]):
        at = max(reading.at for reading in readings)
        runs[run].append(Step(step, at, tuple(reading.value for reading in readings)))
    return dict(runs)
