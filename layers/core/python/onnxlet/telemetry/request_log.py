"""The request log: one line of JSON for each request, written when metrics are. It never holds a payload."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from onnxlet.telemetry import ALIAS, MODEL, VERSION
from onnxlet.telemetry.recording import Observation, Record


class RequestLog:
    """A watcher that writes who was answered by which version, as logs have it."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []

    def fold(self, records: Sequence[Record]) -> None:
        """Make lines of observations."""
        self._lines += [
            msgspec.json.encode(_line(each)) for each in records if isinstance(each, Observation) and each.requests
        ]

    def flush(self, *, final: bool) -> None:  # noqa: ARG002 - lines wait for nothing
        """Write them."""
        lines, self._lines = self._lines, []
        if lines:
            sys.stdout.write(b"\n".join(lines).decode() + "\n")
            sys.stdout.flush()


def _line(seen: Observation) -> dict[str, object]:
    served = seen.served
    facts = {
        "timestamp": datetime.fromtimestamp(seen.time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": "INFO",
        "message": "answered",
        "request_id": seen.request_id,
        "trace": seen.trace,
        MODEL: seen.model,
        VERSION: None if served is None else served.version,
        ALIAS: None if served is None else served.alias,
        "status": seen.status,
        "problem": getattr(seen.error, "slug", str)() if seen.error is not None else "",
        "rows": seen.rows,
        "milliseconds": round(seen.total * 1000, 3),
    }
    return {name: value for name, value in facts.items() if value not in (None, "")}
