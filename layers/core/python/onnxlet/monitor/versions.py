"""The baseline of a published version: the one that travels with it, or one that it was given later."""

from __future__ import annotations

from datetime import UTC, datetime

from onnxlet.errors import ObjectNotFoundError
from onnxlet.monitor.baseline import Baseline, decode_baseline
from onnxlet.store import Store
from onnxlet.values.keys import BASELINE, drawn_baseline_key, version_prefix
from onnxlet.values.timestamps import day_of


def read_baseline(store: Store, model: str, version: int) -> Baseline | None:
    """What live rows are compared with; None if there is none. The one that was given later counts.

    Raises IntegrityError for what cannot be read.
    """
    for key in (drawn_baseline_key(model, version), version_prefix(model, version) + BASELINE):
        try:
            return decode_baseline(store.get(key).data)
        except ObjectNotFoundError:
            continue
    return None


def baseline_given(store: Store, model: str, version: int) -> str:
    """The day (`2026-11-29`) on which a version was given its baseline later; empty where it was not."""
    key = drawn_baseline_key(model, version)
    given = (entry.modified for entry in store.list(key) if entry.key == key)
    return max((day_of(datetime.fromtimestamp(moment, UTC)) for moment in given), default="")


def give_baseline(store: Store, model: str, version: int, baseline: Baseline) -> None:
    """Give a published version a baseline; live rows counted with another are no longer compared."""
    store.put(drawn_baseline_key(model, version), baseline.encode())
