"""The parts of an estimator: what a pipeline, an ensemble or a search holds, wherever it keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def all_parts(estimator: Any) -> Iterator[Any]:
    """The estimator and all that it holds, fitted or not, each once."""
    seen: set[int] = set()
    pending = [estimator]
    while pending:
        value = pending.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if hasattr(value, "get_params") and not isinstance(value, type):
            yield value
            pending.extend(vars(value).values())
        elif type(value).__name__ == "_CalibratedClassifier":
            # which is no estimator itself, and holds the fitted one
            pending.append(value.estimator)
        elif isinstance(value, Mapping):
            pending.extend(value.values())
        elif isinstance(value, list | tuple):
            pending.extend(value)
