"""Retention: captured rows go once the days are over that their version's policy keeps them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta

from onnxlet.monitor.capture.policy import CapturePolicy
from onnxlet.monitor.capture.reading import list_captures, read_published_policy
from onnxlet.monitor.capture.rules import Drop
from onnxlet.registry.reading.listing import model_contents
from onnxlet.store import Store
from onnxlet.values.keys import LABELS, labels_prefix
from onnxlet.values.timestamps import day_of

_DAY = len("20261129")
ReadPolicy = Callable[[str, int], CapturePolicy | None]


def expire(store: Store, now: datetime, *, dry_run: bool = False) -> list[str]:
    """Remove what is older than policies keep it, and return its keys. Repeating it, also at once, is harmless.

    Rows without a version are kept as long as the model's strictest policy that drops versions says; labels as long as
    the longest policy of their model keeps rows. What no policy limits stays.
    """
    policies: dict[tuple[str, int], CapturePolicy | None] = {}

    def read(model: str, version: int) -> CapturePolicy | None:
        if (model, version) not in policies:
            policies[model, version] = read_published_policy(store, model, version)
        return policies[model, version]

    old = [
        each.key
        for each in list_captures(store)
        if (days := _days_of_rows(store, each.model, each.version, read)) is not None and each.day < _first(now, days)
    ]
    old += _old_labels(store, now, read)
    if not dry_run:
        for key in old:
            store.delete(key)
    return old


def _days_of_rows(store: Store, model: str, version: int | None, read: ReadPolicy) -> int | None:
    if version is not None:
        policy = read(model, version)
        return None if policy is None else policy.retention_days
    found = [policy for policy in _policies(store, model, read) if isinstance(policy.version, Drop)]
    return min((policy.retention_days for policy in found if policy.retention_days is not None), default=None)


def _old_labels(store: Store, now: datetime, read: ReadPolicy) -> list[str]:
    days: dict[str, int | None] = {}
    old = []
    for entry in store.list(LABELS):
        model = entry.key.split("/")[1]
        if model not in days:
            kept = [policy.retention_days for policy in _policies(store, model, read) if policy.joins_labels]
            bounded = [each for each in kept if each is not None]
            days[model] = max(bounded) if bounded and len(bounded) == len(kept) else None
        most = days[model]
        stamp = entry.key.removeprefix(labels_prefix(model))[:_DAY]
        if most is not None and stamp.isdecimal() and date.fromisoformat(stamp).isoformat() < _first(now, most):
            old.append(entry.key)
    return old


def _policies(store: Store, model: str, read: ReadPolicy) -> list[CapturePolicy]:
    published = [contents.number for contents in model_contents(store, model) if contents.published]
    return [policy for version in published if (policy := read(model, version)) is not None]


def _first(now: datetime, days: int) -> str:
    """The first day that is kept."""
    return day_of(now - timedelta(days=days))
