"""Metrics of the local server, in Prometheus' text format (exposition format 0.0.4): counts and seconds, no more."""

from __future__ import annotations

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Requests and the seconds they took, by plane and status."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int], int] = {}
        self._seconds: dict[tuple[str, int], float] = {}

    def count(self, plane: str, status: int, seconds: float) -> None:
        """Add one request."""
        key = (plane, status)
        self._counts[key] = self._counts.get(key, 0) + 1
        self._seconds[key] = self._seconds.get(key, 0.0) + seconds

    def text(self) -> bytes:
        """All of them, as Prometheus reads it."""
        lines = [
            "# HELP onnxlet_request_duration_seconds Time from the last byte of a request to its answer.",
            "# TYPE onnxlet_request_duration_seconds summary",
        ]
        for (plane, status), count in sorted(self._counts.items()):
            labels = f'{{plane="{plane}",status="{status}"}}'
            lines.append(f"onnxlet_request_duration_seconds_count{labels} {count}")
            lines.append(f"onnxlet_request_duration_seconds_sum{labels} {self._seconds[plane, status]:.6f}")
        return ("\n".join(lines) + "\n").encode()
