"""Metrics of the local server, in Prometheus' text format (exposition format 0.0.4).

All workers count requests and their seconds in one table that they share, each in rows of its own, so that any of them
can tell the sums. What predictions took and gave is told by `totals`.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableSequence

from onnxlet.local.shared_bytes import SharedBytes

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PLANES = ("control", "data")
STATUSES = range(100, 600)
TABLE_SIZE = 2 * len(PLANES) * len(STATUSES)
"""Numbers of one worker: a count and seconds for each plane and status."""


class Metrics:
    """Requests and the seconds they took, by plane and status; and `shared`, what workers tell of predictions."""

    def __init__(
        self, table: MutableSequence[float] | None = None, worker: int = 0, shared: SharedBytes | None = None
    ) -> None:
        """`table` has TABLE_SIZE numbers for each worker; without one, this process counts alone."""
        self.shared = shared or SharedBytes()
        self._table = [0.0] * TABLE_SIZE if table is None else table
        self._start = worker * TABLE_SIZE

    def count(self, plane: str, status: int, seconds: float) -> None:
        """Add one request."""
        position = self._start + _position(plane, status)
        self._table[position] += 1
        self._table[position + 1] += seconds

    def text(self) -> bytes:
        """The sums over all workers, as Prometheus reads them."""
        lines = [
            "# HELP onnxlet_request_duration_seconds Time from the last byte of a request to its answer.",
            "# TYPE onnxlet_request_duration_seconds summary",
        ]
        for labels, count, seconds in self._sums():
            lines.append(f"onnxlet_request_duration_seconds_count{labels} {count:.0f}")
            lines.append(f"onnxlet_request_duration_seconds_sum{labels} {seconds:.6f}")
        from onnxlet.local.totals import text_of

        return ("\n".join(lines) + "\n" + text_of(self.shared)).encode()

    def _sums(self) -> Iterator[tuple[str, float, float]]:
        table = self._table[:]
        for plane in PLANES:
            for status in STATUSES:
                position = _position(plane, status)
                count = sum(table[position::TABLE_SIZE])
                if count:
                    seconds = sum(table[position + 1 :: TABLE_SIZE])
                    yield f'{{plane="{plane}",status="{status}"}}', count, seconds


def _position(plane: str, status: int) -> int:
    return 2 * (PLANES.index(plane) * len(STATUSES) + status - STATUSES.start)
