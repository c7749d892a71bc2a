"""Recording: when a flush is due, and what becomes of records."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxlet.telemetry.recording import HEAVY_RECORDS, MOST, Observation, Prediction, Record, Telemetry


class Seen:
    """A watcher that keeps what it was shown."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.flushes: list[bool] = []

    def fold(self, records: Sequence[Record]) -> None:
        """Keep them."""
        self.records += records

    def flush(self, *, final: bool) -> None:
        """Note that."""
        self.flushes.append(final)


def observed(at: float = 0.0, rows: int = 1, status: int = 200, size: int = 0) -> Observation:
    """An answer."""
    prediction = Prediction("serving_default", {}, {"y": np.zeros(rows)}, 0.1)
    return Observation(at, "id", "", "m", None, prediction, status, None, size, 0, 0.2)


def watched(seen: Seen, now: list[float], **limits: float) -> Telemetry:
    """Telemetry by a clock of its own."""
    telemetry = Telemetry(rows=int(limits.get("rows", 10)), seconds=limits.get("seconds", 60), clock=lambda: now[0])
    telemetry.watch_with(lambda: seen)
    return telemetry


def test_without_watchers_nothing_is_kept() -> None:
    telemetry = Telemetry(rows=1)
    telemetry.observe(observed())
    assert not telemetry.is_due()
    telemetry.flush(final=True)


def test_a_flush_is_due_by_rows_or_age_or_an_error_of_ours() -> None:
    now = [100.0]
    telemetry = watched(Seen(), now)
    assert not telemetry.is_due()
    telemetry.observe(observed(at=100.0, rows=9))
    assert not telemetry.is_due()
    telemetry.observe(observed(at=100.0))
    assert telemetry.is_due()
    telemetry.flush()
    telemetry.observe(observed(at=100.0))
    now[0] = 159.9
    assert not telemetry.is_due()
    now[0] = 160.0
    assert telemetry.is_due()
    telemetry.flush()
    telemetry.observe(observed(at=160.0, status=400))
    assert not telemetry.is_due()
    telemetry.observe(observed(at=160.0, status=503))
    assert telemetry.is_due()


def test_what_was_folded_counts_until_it_is_written() -> None:
    now = [0.0]
    telemetry = watched(Seen(), now)
    telemetry.observe(observed(rows=6))
    telemetry.fold()
    assert not telemetry.is_due()
    telemetry.observe(observed(rows=4))
    assert telemetry.is_due()
    telemetry.flush()
    assert not telemetry.is_due()


def test_a_clock_that_is_set_back_loses_nothing() -> None:
    now, seen = [1000.0], Seen()
    telemetry = watched(seen, now)
    telemetry.observe(observed(at=1000.0))
    now[0] = 10.0
    assert not telemetry.is_due()
    for _ in range(9):
        telemetry.observe(observed(at=10.0))
    assert telemetry.is_due()
    telemetry.flush()
    assert len(seen.records) == 10


def test_many_records_or_large_ones_are_folded_before_a_flush() -> None:
    telemetry = watched(Seen(), [0.0], rows=10**9)
    for _ in range(HEAVY_RECORDS - 1):
        telemetry.observe(observed())
    assert not telemetry.is_heavy()
    telemetry.observe(observed())
    assert telemetry.is_heavy()
    telemetry.fold()
    assert not telemetry.is_heavy()
    telemetry.observe(observed(size=9_000_000))
    assert telemetry.is_heavy()
    telemetry.fold()
    # masks of a small picture, or a direct invocation, which has no body
    telemetry.observe(observed(rows=2_000_000))
    assert telemetry.is_heavy()


def test_tensors_are_let_go_once_they_are_folded() -> None:
    class Forgetful(Seen):
        def fold(self, records: Sequence[Record]) -> None:
            """Keep nothing."""

    import gc
    import weakref

    telemetry = watched(Forgetful(), [0.0])
    tensor = np.zeros(5)
    gone = weakref.ref(tensor)
    telemetry.observe(
        Observation(0.0, "id", "", "m", None, Prediction("s", {"x": tensor}, {}, 0.1), 200, None, 0, 0, 0.1)
    )
    del tensor
    assert gone() is not None
    telemetry.fold()
    gc.collect()
    assert gone() is None


def test_what_nobody_folds_is_bounded() -> None:
    seen = Seen()
    telemetry = watched(seen, [0.0])
    for _ in range(MOST + 5):
        telemetry.observe(observed())
    telemetry.flush()
    assert len(seen.records) == MOST


def test_one_who_ends_does_not_wait_for_one_who_hangs() -> None:
    release = threading.Event()

    class Hanging(Seen):
        def fold(self, records: Sequence[Record]) -> None:  # noqa: ARG002 - not one of them
            """Hang."""
            release.wait(30)

    telemetry = watched(Hanging(), [0.0])
    telemetry.observe(observed())
    thread = threading.Thread(target=telemetry.fold)
    thread.start()
    telemetry.flush(final=True)
    assert thread.is_alive()
    release.set()
    thread.join()


@given(st.lists(st.integers(1, 8), min_size=1, max_size=60), st.integers(1, 20))
def test_every_record_is_seen_once_and_less_than_the_limit_is_ever_unwritten(sizes: list[int], limit: int) -> None:
    seen = Seen()
    telemetry = watched(seen, [0.0], rows=limit)
    unwritten = 0
    for rows in sizes:
        telemetry.observe(observed(rows=rows))
        unwritten += rows
        flushes = len(seen.flushes)
        telemetry.flush_if_due()
        if len(seen.flushes) > flushes:
            unwritten = 0
        assert unwritten < limit
    telemetry.flush(final=True)
    assert sum(record.rows for record in seen.records) == sum(sizes)
    assert seen.flushes[-1] is True


def test_threads_that_append_while_another_folds_lose_nothing() -> None:
    seen = Seen()
    telemetry = watched(seen, [0.0])

    def append() -> None:
        for _ in range(500):
            telemetry.observe(observed())

    threads = [threading.Thread(target=append) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        telemetry.flush()
    telemetry.flush()
    assert len(seen.records) == 4000


def test_a_failing_watcher_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Seen):
        def fold(self, records: Sequence[Record]) -> None:  # noqa: ARG002 - not one of them
            """Fail."""
            raise ValueError("the value 42")

    seen = Seen()
    telemetry = watched(seen, [0.0])
    telemetry.watch_with(Failing)
    for _ in range(3):
        telemetry.observe(observed())
        telemetry.fold()
    assert [record.message for record in caplog.records] == ["telemetry: Failing failed with ValueError"]
    assert len(seen.records) == 3
