"""The baseline of a published version: the one that travels with it, or one that it was given later."""

from __future__ import annotations

from onnxlet.errors import ObjectNotFoundError
from onnxlet.monitor.baseline import Baseline, decode_baseline
from onnxlet.store import Store
from onnxlet.values.keys import BASELINE, drawn_baseline_key, version_prefix


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


def give_baseline(store: Store, model: str, version: int, baseline: Baseline) -> None:
    """Give a published version a baseline; live rows counted with another are no longer compared."""
    store.put(drawn_baseline_key(model, version), baseline.encode())
