"""Recording: a request appends one observation, and watchers read it later, when nobody waits.

A watcher folds observations into something smaller (counts, sketches) and writes that when a flush is due. Metrics are
the first of them; others, of sketches or of captured rows, are one more member of the list. An observation refers to
the very tensors that were sent and answered, so what must never be kept is left out by whoever folds it, under the
version's policy, and the observation is dropped with it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Protocol

import msgspec

from onnxlet.telemetry import log

if TYPE_CHECKING:
    from typing import Any

    import numpy as np

    Tensor = np.ndarray[Any, np.dtype[Any]]
    Tensors = Mapping[str, Tensor]

ROWS = 1000
SECONDS = 60.0
MOST = 10_000
"""Records kept until they are folded: many times what comes between two folds, so a bound and no rule."""
HEAVY_RECORDS = 50
HEAVY_BYTES = 8 * 2**20
"""Pending records, and bytes of what they hold, from which on they are folded before a flush is due."""
PATIENCE = 0.3
"""Seconds that one who flushes waits for another who folds: Lambda gives a function that it ends half a second."""
_OURS = 500
"""From this status on it is not the caller who is wrong."""


class ServedVersion(Protocol):
    """The version that answers, as `onnxlet.serving.predictor.Served` says it."""

    @property
    def version(self) -> int:
        """Its number."""

    @property
    def alias(self) -> str | None:
        """The alias that led to it."""

    @property
    def stale(self) -> bool:
        """Whether the store did not answer."""

    @property
    def fallback(self) -> bool:
        """Whether it stands in for a version that was refused."""

    @property
    def model(self) -> Any:  # noqa: ANN401 - onnxlet.serving.model.Model, which lies above
        """The model in memory."""


class Prediction(msgspec.Struct, gc=False):
    """What a model was given and gave: references, no copies; `run` are the model's own seconds."""

    signature: str
    inputs: Tensors
    outputs: Tensors
    run: float


class Observation(msgspec.Struct, gc=False):
    """One answered request for predictions, or one batch of a file's rows.

    `time` is when it was answered, in seconds since the epoch; `total` the seconds from its last byte to its answer.
    `model` is its name as the request has it, empty where none was found.
    """

    time: float
    request_id: str
    trace: str
    model: str
    served: ServedVersion | None
    prediction: Prediction | None
    status: int
    error: type[Exception] | None
    request_bytes: int
    response_bytes: int
    total: float
    requests: int = 1
    """1, or 0 for rows of a file."""
    key: str | None = None
    """What its rows share with those of other requests, as the caller says it: its routing key."""

    @property
    def rows(self) -> int:
        """The rows that were predicted."""
        if self.prediction is None:
            return 0
        tensor = next(iter(self.prediction.outputs.values()), None)
        return 1 if tensor is None or tensor.ndim == 0 else len(tensor)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it keeps from being freed, about: texts count as references to them."""
        if self.prediction is None:
            return 0
        tensors = (*self.prediction.inputs.values(), *self.prediction.outputs.values())
        return max(self.request_bytes, sum(tensor.nbytes for tensor in tensors))

    @property
    def urgent(self) -> bool:
        """Whether an alarm may wait for it."""
        return self.status >= _OURS


class Event(msgspec.Struct):
    """Something that happened to a version without being an answer: a load, an eviction. `metrics` are by name."""

    time: float
    model: str
    version: int
    metrics: Mapping[str, float]
    rows: int = 0
    nbytes: int = 0
    urgent: bool = False


Record = Observation | Event


class Watcher(Protocol):
    """Reads observations after their answers were sent."""

    def fold(self, records: Sequence[Record]) -> None:
        """Take in what was observed since the last time. What it keeps, it copies."""

    def flush(self, *, final: bool) -> None:
        """Write what was folded; `final`: there will be no other time."""


class Telemetry:
    """Gathers what requests append: `observe(record)`, which is all that a request pays.

    A flush is due once `rows` rows or `seconds` seconds have gathered, or an error that is ours; what a killed process
    loses is less than that. Without watchers nothing is kept.

        telemetry = Telemetry()
        telemetry.watch_with(lambda: EmbeddedMetrics("predict"))
        predictor = Predictor(store, settings, telemetry=telemetry)
    """

    def __init__(self, *, rows: int = ROWS, seconds: float = SECONDS, clock: Callable[[], float] = time.time) -> None:
        self._pending: deque[Record] = deque(maxlen=0)
        self.observe: Callable[[Record], None] = self._pending.append
        self._unopened: list[Callable[[], Watcher]] = []
        self._watchers: list[Watcher] = []
        self._most_rows = rows
        self._seconds = seconds
        self._clock = clock
        self._folding = Lock()
        self._oldest: float | None = None
        """When the first of what is not written was answered; beside it its rows, and whether an alarm waits for it."""
        self._rows = 0
        self._urgent = False
        self._weighed = 0
        """Pending records that are counted in these, and the bytes of what they hold."""
        self._bytes = 0
        self._failed: set[str] = set()

    def watch_with(self, open_watcher: Callable[[], Watcher]) -> None:
        """Add a watcher, which is opened when there is something to fold: a cold start imports none of them.

        To be called before who observes takes `observe`: a predictor, a data plane.
        """
        if self._pending.maxlen == 0:
            self._pending = deque(maxlen=MOST)
            self.observe = self._pending.append
        self._unopened.append(open_watcher)

    def record(self, metrics: Mapping[str, float], *, model: str, version: int, urgent: bool = False) -> None:
        """Append an event."""
        self.observe(Event(self._clock(), model, version, metrics, urgent=urgent))

    def is_due(self) -> bool:
        """Whether enough has gathered to be written."""
        with self._folding:
            self._weigh()
        if self._oldest is None:
            return False
        return self._urgent or self._rows >= self._most_rows or self._clock() - self._oldest >= self._seconds

    def is_heavy(self) -> bool:
        """Whether what is pending should be folded, be a flush due or not."""
        with self._folding:
            self._weigh()
        return self._weighed >= HEAVY_RECORDS or self._bytes >= HEAVY_BYTES

    def fold(self) -> None:
        """Show the watchers what is pending."""
        with self._folding:
            self._fold()

    def flush(self, *, final: bool = False) -> None:
        """Fold what is pending and have the watchers write."""
        if not self._folding.acquire(timeout=PATIENCE):
            return
        try:
            self._write(final=final)
            if final and self._pending:  # what watchers told of their own last writes
                self._write(final=True)
            self._rows, self._oldest, self._urgent = 0, None, False
        finally:
            self._folding.release()

    def flush_if_due(self) -> None:
        """Flush where that is due: for processes in which nothing runs beside the requests."""
        if self.is_due():
            self.flush()
        elif self.is_heavy():
            self.fold()

    def _fold(self) -> None:
        self._weigh()
        records = [self._pending.popleft() for _ in range(min(self._weighed, len(self._pending)))]
        self._weighed = self._bytes = 0
        if not records:
            return
        while self._unopened:
            self._watchers.append(self._unopened.pop(0)())
        for watcher in self._watchers:
            self._run(watcher, watcher.fold, records)

    def _write(self, *, final: bool) -> None:
        self._fold()
        for watcher in self._watchers:
            self._run(watcher, watcher.flush, final=final)

    def _weigh(self) -> None:
        """Count what was appended since the last time; what has no rows counts as one, for it would be lost too."""
        pending, count = self._pending, len(self._pending)
        for position in range(self._weighed, count):
            record = pending[position]
            self._rows += record.rows or 1
            self._bytes += record.nbytes
            self._urgent = self._urgent or record.urgent
            if self._oldest is None:
                self._oldest = record.time
        self._weighed = count

    def _run(self, watcher: Watcher, work: Callable[..., None], *arguments: object, **options: object) -> None:
        """Do a watcher's work; what goes wrong harms nobody else, and is said once, in words that quote no value."""
        try:
            work(*arguments, **options)
        except Exception as error:  # noqa: BLE001 - a watcher may be anybody's
            name = type(watcher).__name__
            if name not in self._failed:
                self._failed.add(name)
                log(__name__).error("telemetry: %s failed with %s", name, type(error).__name__)
