"""The watcher that captures: rules are applied as rows are folded, and what they leave is written when a flush is due.

Objects are created once, under a name of this process and a running number, and hold the rows of one day of one
version. What the store does not take waits, within bounds, and is tried again; what is lost is counted and said.
"""

from __future__ import annotations

import time
import uuid
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from onnxlet.errors import OnnxletError, PreconditionFailedError
from onnxlet.monitor.capture.data_key import DataKey, open_data_key
from onnxlet.monitor.capture.policy import CapturePolicy
from onnxlet.monitor.capture.rows import RowMaker
from onnxlet.monitor.capture.rules import Keep
from onnxlet.settings import Settings
from onnxlet.store import Store
from onnxlet.telemetry import CAPTURED_ROWS, UNCAPTURED_ROWS, log
from onnxlet.telemetry.recording import Observation, Record, Telemetry
from onnxlet.values.keys import capture_key
from onnxlet.values.timestamps import day_of_seconds

HOUR = 3600
LARGEST = 4 * 2**20
"""Bytes of an object before compression."""
MOST_UNWRITTEN = 8 * 2**20
"""Bytes, compressed, that wait while the store does not take them; the oldest go first."""
PAUSE = 60.0
"""Seconds after which what failed is tried again: a store or key that does not answer costs no request its time."""
_FAILED = 400
_CAPPED = "a cap of the policy"
Version = tuple[str, int]
Partition = tuple[str, int | None, str]
"""Model, version unless the policy drops it, day."""
Tell = Callable[[str, int, str, int], None]
"""Is told of rows by metric: model, version, metric, how many."""


class CapturedRows:
    """Captures rows as their versions' policies say.

    An object is written once `rows` rows or `seconds` seconds have gathered. `open_key` opens the data key, and is
    called by the first policy that hashes; `tell` counts.
    """

    def __init__(
        self,
        store: Store,
        open_key: Callable[[], DataKey],
        tell: Tell,
        *,
        rows: int = 1,
        seconds: float = 0.0,
        clock: Callable[[], float] = time.time,
        environment: str = "",
    ) -> None:
        self._store = store
        self._open_key = open_key
        self._tell = tell
        self._rows = rows
        self._seconds = seconds
        self._clock = clock
        self._environment = environment or uuid.uuid4().hex
        self._sequence = 0
        self._key: DataKey | None = None
        self._makers: dict[Version, RowMaker] = {}
        self._hours: dict[Version, tuple[int, int, int]] = {}
        """The hour that is counted, and its rows and bytes."""
        self._pending: defaultdict[Partition, list[bytes]] = defaultdict(list)
        self._sizes: Counter[Partition] = Counter()
        self._oldest: float | None = None
        self._unwritten: dict[str, tuple[Version, bytes, int]] = {}
        """Objects by their keys: whose rows, compressed, and how many."""
        self._paused = 0.0
        self._key_paused = 0.0
        self._said: set[tuple[Version, str]] = set()

    def fold(self, records: Sequence[Record]) -> None:
        """Capture the rows of answered requests."""
        lost: Counter[tuple[Version, str]] = Counter()
        for record in records:
            if not isinstance(record, Observation) or not record.requests or record.status >= _FAILED:
                continue
            if record.prediction is None or record.served is None:
                continue
            policy: CapturePolicy | None = record.served.model.policy
            if policy is not None and policy.captures:
                self._capture(record, (record.model, record.served.version), policy, lost)
        for (version, why), rows in lost.items():
            self._lose(version, rows, why)

    def flush(self, *, final: bool) -> None:
        """Write what is due; `final`: all there is."""
        if final or self._is_due():
            for partition in list(self._pending):
                self._close(partition)
            self._oldest = None
        if final or self._clock() >= self._paused:
            self._write()
        if final:
            self._forget(0, "the process ended before the store took them")

    def _capture(
        self, seen: Observation, version: Version, policy: CapturePolicy, lost: Counter[tuple[Version, str]]
    ) -> None:
        assert seen.served is not None  # noqa: S101 - fold has looked
        maker = self._maker(version, policy, seen.served.model)
        if maker is None:
            lost[version, "no key"] += seen.rows
            return
        if not maker.is_sampled(seen.request_id):
            return
        if self._counted(version, seen.time)[1] >= policy.rows_per_hour:  # no row is made for nothing
            lost[version, _CAPPED] += seen.rows
            return
        rows = seen.rows
        partition = (seen.model, version[1] if isinstance(policy.version, Keep) else None, day_of_seconds(seen.time))
        taken = 0
        for line in maker.make(seen):
            if not self._has_room(version, policy, seen.time, len(line)):
                break
            taken += 1
            self._pending[partition].append(line)
            self._sizes[partition] += len(line)
        if taken < rows:
            lost[version, _CAPPED] += rows - taken
        if taken and self._oldest is None:
            self._oldest = seen.time
        if self._sizes[partition] >= LARGEST:
            self._close(partition)

    def _maker(self, version: Version, policy: CapturePolicy, model: Any) -> RowMaker | None:  # noqa: ANN401 - a Model
        if version in self._makers:
            return self._makers[version]
        if policy.needs_key and self._key is None and not self._find_key(version):
            return None
        maker = self._makers[version] = RowMaker(version[0], policy, model.steps, self._key)
        return maker

    def _find_key(self, version: Version) -> bool:
        if self._clock() < self._key_paused:
            return False
        try:
            self._key = self._open_key()
        except OnnxletError as error:
            self._key_paused = self._clock() + PAUSE
            self._say(version, f"rows are not captured: {error.detail}")
            return False
        return True

    def _counted(self, version: Version, at: float) -> tuple[int, int, int]:
        """The hour, and what was captured in it: rows and bytes."""
        counted = self._hours.get(version)
        hour = int(at // HOUR)
        return counted if counted is not None and counted[0] == hour else (hour, 0, 0)

    def _has_room(self, version: Version, policy: CapturePolicy, at: float, size: int) -> bool:
        hour, rows, total = self._counted(version, at)
        if rows >= policy.rows_per_hour or total + size > policy.bytes_per_hour:
            return False
        self._hours[version] = (hour, rows + 1, total + size)
        return True

    def _is_due(self) -> bool:
        if self._oldest is None:
            return False
        aged = self._clock() - self._oldest
        # a clock that was set back makes rows younger than none
        return sum(map(len, self._pending.values())) >= self._rows or not 0 <= aged < self._seconds

    def _close(self, partition: Partition) -> None:
        """Make an object of a partition's rows."""
        model, version, day = partition
        lines = self._pending.pop(partition)
        del self._sizes[partition]
        gzip = zlib.compressobj(wbits=31)
        data = gzip.compress(b"".join(lines)) + gzip.flush()
        key = capture_key(model, version, day, self._environment, self._sequence)
        self._sequence += 1
        self._unwritten[key] = ((model, version or 0), data, len(lines))
        self._forget(MOST_UNWRITTEN, "the store does not take them")

    def _write(self) -> None:
        for key, (version, data, rows) in list(self._unwritten.items()):
            try:
                self._store.create(key, data)
            except PreconditionFailedError:
                pass  # an earlier attempt arrived, and its answer was lost
            except OnnxletError as error:
                self._paused = self._clock() + PAUSE
                self._say(version, f"captured rows wait: {error.detail}")
                return
            del self._unwritten[key]
            self._tell(*version, CAPTURED_ROWS, rows)

    def _forget(self, most: int, why: str) -> None:
        """Give up the oldest objects beyond so many bytes."""
        held = sum(len(data) for _, data, _ in self._unwritten.values())
        for key, (version, data, rows) in list(self._unwritten.items()):
            if held <= most:
                return
            held -= len(data)
            del self._unwritten[key]
            self._lose(version, rows, why)

    def _lose(self, version: Version, rows: int, why: str) -> None:
        self._tell(*version, UNCAPTURED_ROWS, rows)
        self._say(version, f"{rows} rows or more were not captured: {why}; the metric {UNCAPTURED_ROWS} counts them")

    def _say(self, version: Version, text: str) -> None:
        """Log once for each version and kind of trouble."""
        kind = text.partition(":")[2] or text
        if (version, kind) not in self._said:
            self._said.add((version, kind))
            log(__name__).warning("%s:%d: %s", *version, text)


def open_capture(store: Store, settings: Settings, telemetry: Telemetry) -> CapturedRows:
    """The watcher of a process. Lambda's flushes are seldom; where a process goes on, rows gather first."""

    def tell(model: str, version: int, metric: str, rows: int) -> None:
        telemetry.record({metric: rows}, model=model, version=version)

    on_lambda = bool(settings.function_name)
    return CapturedRows(
        store,
        lambda: open_data_key(settings.capture_key),
        tell,
        rows=1 if on_lambda else settings.telemetry_rows,
        seconds=0.0 if on_lambda else settings.telemetry_seconds,
    )
