"""Monitoring: what a model meets in production beside what it was made for, in counts alone.

bins             which number lies in which bin; columns: what is counted of tensors
baseline         the counts of the rows that a model was made for; versions: which one a published version has
sketch           the counts of live rows, in the baseline's bins
live             counts what a process answers, and writes it now and then
windows          what was written of one day, by many, merged so that each part counts once
measures         numbers of pictures and texts, of some rows
keys             routing keys that were seen: of the rows of one key one counts
intervals        a figure and how far it may be off
scores           how sure answers were, in integers; estimate: how often they are right, before labels come
levels           how sure a window must be, so that few clean months alarm
distributions    tail probabilities
statistics       tests and distances of two rows of counts
capture          rows that were answered, as far as their version's policy releases them
comparison       a window of live rows beside the baseline: which columns have drifted
alarms           what was found wrong, from its first day to its last, and what people said of it
watch            what is done on a schedule with all of this
report           the days of versions, as one document of sections: drift, data quality …
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from onnxlet.settings import Settings
    from onnxlet.store import Store
    from onnxlet.telemetry.recording import Telemetry, Watcher


def row_watchers(store: Store, settings: Settings) -> tuple[Callable[[Telemetry], Watcher], ...]:
    """What opens the watchers that count live rows, and capture them; none where the settings say so.

    Nothing is imported before.
    """

    def open_counter(telemetry: Telemetry) -> Watcher:
        from onnxlet.monitor.live import open_sketches

        return open_sketches(store, settings, telemetry)

    def open_capture(telemetry: Telemetry) -> Watcher:
        from onnxlet.monitor.capture.watcher import open_capture

        return open_capture(store, settings, telemetry)

    return (*((open_counter,) if settings.monitoring else ()), *((open_capture,) if settings.capture else ()))
