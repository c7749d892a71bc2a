"""Live sketches: what a process has answered, counted in the baseline's bins and written now and then.

A sketch of one row is that row, so one is written from twenty rows on; fewer wait, and are dropped when their day or
the process ends. What is not counted after all is told as `UnsketchedRows`.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from onnxlet.errors import OnnxletError, UnavailableError
from onnxlet.monitor.counter import RowCounter
from onnxlet.monitor.keys import SeenKeys
from onnxlet.monitor.measures import measure_rows, plan_measures
from onnxlet.monitor.sketch import Sketch, SketchDocument
from onnxlet.monitor.stacking import stack
from onnxlet.monitor.versions import read_baseline
from onnxlet.monitor.windows import FEWEST_ROWS, part_key, write_part
from onnxlet.settings import Settings
from onnxlet.store import Store
from onnxlet.telemetry import UNSKETCHED_ROWS, log
from onnxlet.telemetry.recording import Observation, Prediction, Record, Telemetry
from onnxlet.values.tensors import Tensors
from onnxlet.values.timestamps import day_of_seconds

if TYPE_CHECKING:
    from onnxlet.monitor.baseline import Baseline
    from onnxlet.steps import Steps
    from onnxlet.steps.base import Preprocessor

MOST_VERSIONS = 32
"""Versions whose rows are counted at once; rows of more are not."""
MOST_UNWRITTEN = 64
"""Sketches kept while the store does not take them; the oldest go first."""

Counted = tuple[str, int, str]
"""Model, version, day."""
Lose = Callable[[str, int, int], None]
"""Is told of rows that are not counted: model, version, how many."""


def lose_untold(model: str, version: int, rows: int) -> None:
    """Tell nobody."""


class LiveSketches:
    """Counts the rows of observations, and writes the counts below `sketches/`.

    Rows gather for `seconds` seconds before they are written, however many they are: counts of many take no more room
    than of few, and a part each is what the store and the watch have to do with them. `lose` is told of the rows that
    get lost.
    """

    def __init__(
        self,
        store: Store,
        lose: Lose = lose_untold,
        *,
        seconds: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._lose = lose
        self._seconds = seconds
        self._clock = clock
        self._since: float | None = None
        """When what is not written began to gather, or was last tried."""
        self._environment = uuid.uuid4().hex
        self._sequence = 0
        self._sketches: dict[Counted, Sketch] = {}
        self._unwritten: dict[str, tuple[Counted, SketchDocument]] = {}
        self._without: set[tuple[str, int]] = set()
        self._keys = SeenKeys()
        self._measures: dict[tuple[str, int], list[Preprocessor]] = {}
        self._newest = ""
        """The newest day that was met."""

    def fold(self, records: Sequence[Record]) -> None:
        """Count the rows of the predictions among the records."""
        together: dict[tuple[Counted, str], list[Prediction]] = defaultdict(list)
        models: dict[Counted, Any] = {}
        sketches: dict[Counted, Sketch] = {}
        lost: Counter[Counted] = Counter()
        for record in records:
            if not isinstance(record, Observation) or record.prediction is None or record.served is None:
                continue
            day = day_of_seconds(record.time)
            self._newest = max(self._newest, day)
            counted = (record.model, record.served.version, day)
            models[counted] = record.served.model
            if counted not in sketches and counted not in lost:
                sketch = self._sketch(counted)
                if sketch is not None:
                    sketches[counted] = sketch
            if counted not in sketches:
                lost[counted] += record.rows
                continue
            prediction = self._one_of_each_key(sketches[counted], counted, record, record.prediction)
            if prediction is not None:
                together[counted, prediction.signature].append(prediction)
        self._tell(lost)
        for (counted, _), predictions in together.items():
            sketch = sketches[counted]
            counter = RowCounter(sketch.baseline, models[counted])
            for inputs, outputs in stack([(each.inputs, each.outputs) for each in predictions]):
                measured = self._measure(counted, sketch.baseline, models[counted].steps, inputs)
                counter.count(sketch, {**inputs, **measured}, outputs)

    def flush(self, *, final: bool) -> None:
        """Write the sketches that have enough rows, and forget them, if that is due; `final`: all there are.

        What could not be written is tried again, as it was then: it may have arrived all the same. Raises as the store
        does.
        """
        if not (final or self._is_due()):
            return
        self._close(final=final)
        self._forget(MOST_UNWRITTEN)
        self._since = self._clock() if self._sketches or self._unwritten else None
        try:
            for key, (_, document) in list(self._unwritten.items()):
                write_part(self._store, key, document)
                del self._unwritten[key]
        finally:
            if final:
                self._forget(0)

    def _is_due(self) -> bool:
        # before it began only by a clock that was set back, after which it might be due in a year
        return self._since is not None and not 0 <= self._clock() - self._since < self._seconds

    def _close(self, *, final: bool) -> None:
        """Make documents of the sketches that have enough rows, and drop those that will never have."""
        today = self._today()
        for counted, sketch in list(self._sketches.items()):
            if sketch.rows < FEWEST_ROWS:
                if final or counted[2] < today:
                    if sketch.rows:
                        log(__name__).info("%d rows of %s:%d were not sketched: too few", sketch.rows, *counted[:2])
                        self._lose(*counted[:2], sketch.rows)
                    del self._sketches[counted]
                continue
            sliced = sketch.has_sliced(FEWEST_ROWS)
            key = part_key(*counted, self._environment, self._sequence)
            self._unwritten[key] = (counted, sketch.document(sliced=sliced))
            self._sequence += 1
            del self._sketches[counted]
            if sketch.slices and not sliced and not final and counted[2] >= today:
                self._sketches[counted] = Sketch(sketch.baseline)
                self._sketches[counted].take_slices(sketch)
        self._keys.forget_before(today)

    def _today(self) -> str:
        """The newest day that has begun: sketches of those before it grow no more. What a clock said that was ahead for
        a moment is no day that has begun.
        """
        return min(self._newest, day_of_seconds(self._clock()))

    def _measure(self, counted: Counted, baseline: Baseline, steps: Steps, inputs: Tensors) -> Tensors:
        """Numbers of pictures and texts, where the baseline has them."""
        if not baseline.measured:
            return {}
        version = counted[:2]
        if version not in self._measures:
            self._measures[version] = plan_measures(steps)
        return measure_rows(self._measures[version], inputs)

    def _forget(self, most: int) -> None:
        """Give up the oldest sketches beyond so many."""
        while len(self._unwritten) > most:
            (model, version, _), document = self._unwritten.pop(next(iter(self._unwritten)))
            self._lose(model, version, document.rows)

    def _tell(self, lost: Mapping[Counted, int]) -> None:
        """Tell of rows that are not counted though their version may have a baseline."""
        for (model, version, _), rows in lost.items():
            if (model, version) not in self._without:
                self._lose(model, version, rows)

    def _one_of_each_key(
        self, sketch: Sketch, counted: Counted, record: Observation, prediction: Prediction
    ) -> Prediction | None:
        """What counts of a prediction: all rows without a routing key, the first of a key that is new, else none."""
        if record.key is None:
            return prediction
        is_new = self._keys.is_new(counted, record.key)
        sketch.keyed += is_new
        sketch.repeated += record.rows - is_new
        if not is_new:
            return None
        return prediction if record.rows == 1 else _first_row(prediction)

    def _sketch(self, counted: Counted) -> Sketch | None:
        known = self._sketches.get(counted)
        if known is not None:
            return known
        model, version, _ = counted
        if (model, version) in self._without or len(self._sketches) >= MOST_VERSIONS:
            return None
        try:
            baseline = read_baseline(self._store, model, version)
        except OnnxletError as error:
            log(__name__).warning("the rows of %s:%d are not counted: %s", model, version, error)
            if isinstance(error, UnavailableError):  # the next rows may find it
                return None
            baseline = None
        if baseline is None:
            self._without.add((model, version))
            return None
        self._sketches[counted] = Sketch(baseline)
        if self._since is None:
            self._since = self._clock()
        return self._sketches[counted]


def _first_row(prediction: Prediction) -> Prediction:
    inputs, outputs = (
        {name: tensor[:1] if tensor.ndim else tensor for name, tensor in tensors.items()}
        for tensors in (prediction.inputs, prediction.outputs)
    )
    return Prediction(prediction.signature, inputs, outputs, prediction.run)


def open_sketches(store: Store, settings: Settings, telemetry: Telemetry) -> LiveSketches:
    """The watcher of a process. Lambda's flushes are seldom; where a process goes on, rows gather first."""

    def lose(model: str, version: int, rows: int) -> None:
        telemetry.record({UNSKETCHED_ROWS: rows}, model=model, version=version)

    return LiveSketches(store, lose, seconds=0.0 if settings.function_name else settings.telemetry_seconds)
