"""What is due: windows to merge, and models whose newest closed day no report tells yet; most urgent first."""

from __future__ import annotations

from typing import NamedTuple

from onnxlet.monitor.parts import is_part
from onnxlet.store import Store
from onnxlet.values.keys import ALIASES, LIVE_SKETCHES, PRODUCTION, REPORTS
from onnxlet.values.timestamps import is_day

MANY_PARTS = 100
"""Parts of a day that is not over from which on they are merged all the same."""


class Due(NamedTuple):
    """What is to be done for a model: windows (version and day) to merge, and whether a report is to be written.

    `reported` is the newest day that a report tells, empty where there is none; `versions` those with live sketches.
    """

    model: str
    versions: tuple[int, ...]
    windows: tuple[tuple[int, str], ...]
    reported: str
    report: bool


class _Model:
    def __init__(self) -> None:
        self.parts: dict[tuple[int, str], int] = {}
        self.counted = 0.0
        """When the newest counts of a closed day were written, in seconds since the epoch."""
        self.reported, self.written = "", 0.0


def list_agenda(store: Store, closed: str) -> list[Due]:
    """What is due for each model with live sketches, `closed` being the newest day that is over (`2026-11-29`).

    First come the models that were not looked at for longest, of those the ones in production.
    """
    models = _list_sketched(store, closed)
    for entry in store.list(REPORTS):
        model, _, name = entry.key.removeprefix(REPORTS).partition("/")
        day = name.removesuffix(".json")
        if model in models and is_day(day) and day >= models[model].reported:
            models[model].reported, models[model].written = day, entry.modified
    served = _list_served(store)
    due = [_due(name, model, closed) for name, model in models.items()]
    return sorted(due, key=lambda each: (each.reported, each.model not in served, each.model))


def _list_sketched(store: Store, closed: str) -> dict[str, _Model]:
    models: dict[str, _Model] = {}
    for entry in store.list(LIVE_SKETCHES):
        model, version, day, name = (*entry.key.removeprefix(LIVE_SKETCHES).split("/", 3), "", "", "")[:4]
        if not version.isdecimal() or not is_day(day):
            continue
        known = models.setdefault(model, _Model())
        window = int(version), day
        known.parts.setdefault(window, 0)
        known.parts[window] += is_part(name)
        if day <= closed:
            known.counted = max(known.counted, entry.modified)
    return models


def _list_served(store: Store) -> set[str]:
    """The models that have an alias `production`."""
    paths = (entry.key.removeprefix(ALIASES).split("/") for entry in store.list(ALIASES))
    return {path[0] for path in paths if path[1:] == [f"{PRODUCTION}.json"]}


def _due(name: str, model: _Model, closed: str) -> Due:
    windows = sorted(
        (window for window, parts in model.parts.items() if parts and (window[1] <= closed or parts >= MANY_PARTS)),
        key=lambda window: (window[1], window[0]),
    )
    report = model.reported < closed or model.counted >= model.written
    versions = tuple(sorted({version for version, _ in model.parts}))
    return Due(name, versions, tuple(windows), model.reported, report)
