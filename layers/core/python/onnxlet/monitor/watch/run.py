"""One run of the watch: windows are merged, reports written, alarms settled, events handed on, metrics told.

Every step may be repeated, by the next run or by two at once: parts count once, a report is what the sketches say, and
alarms open once. A run that has no time left stops between two models, or two thousands of parts, and the next goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from onnxlet.errors import IntegrityError, ObjectNotFoundError, OnnxletError, StoreUnavailableError
from onnxlet.monitor.alarms.book import AlarmBook, Note
from onnxlet.monitor.alarms.events import Announcer
from onnxlet.monitor.alarms.ledger import take_out, turn
from onnxlet.monitor.alarms.turning import settle
from onnxlet.monitor.capture.retention import expire
from onnxlet.monitor.report import alarms
from onnxlet.monitor.report.document import Report, decode_report, read_report
from onnxlet.monitor.report.scope import Scope
from onnxlet.monitor.watch.agenda import Due, list_agenda
from onnxlet.monitor.watch.measures import aliases_of
from onnxlet.monitor.windows import compact
from onnxlet.registry.reading.listing import aliases
from onnxlet.store import Store
from onnxlet.telemetry import MODEL, log
from onnxlet.values.keys import report_key
from onnxlet.values.timestamps import day_of, format_timestamp, utc_now

DAYS = 30
"""Closed days that a report tells of."""
WHO = "onnxlet watch"

Tell = Callable[[Report, AlarmBook, dict[int, int], datetime], None]
"""Tells metrics of a report, the alarms, and how many windows of each version were merged."""


class WatchRun(msgspec.Struct, frozen=True):
    """What one run did: models that were looked at, with new reports, left for the next run, and those that failed.

    `closed` is the newest day that was over, `windows` how many were merged, `events` how many somebody took, and
    `waiting` how many nobody did yet; `expired` are objects of captured rows and labels whose time was over.
    """

    closed: str
    watched: tuple[str, ...] = ()
    reported: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    failed: dict[str, str] = {}
    windows: int = 0
    events: int = 0
    waiting: int = 0
    expired: int = 0


class Watch:
    """Watches all models of a store.

        Watch(store, announcer=EventBridge(), tell=tell).run()

    `clock` returns aware datetimes; a day is over when it says so, in UTC.
    """

    def __init__(
        self,
        store: Store,
        *,
        announcer: Announcer,
        tell: Tell = lambda *_: None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._announcer = announcer
        self._tell = tell
        self._clock = clock

    def run(self, *, out_of_time: Callable[[], bool] = lambda: False) -> WatchRun:
        """Look at the models, most urgent first, until `out_of_time`. What is wrong with one harms no other.

        Raises StoreUnavailableError if the store does not answer.
        """
        now = self._clock()
        closed = day_of(now - timedelta(days=1))
        run = WatchRun(closed)
        agenda = list_agenda(self._store, closed)
        for place, due in enumerate(agenda):
            if out_of_time():
                left = tuple(each.model for each in agenda[place:])
                log(__name__).warning("no time left for %d models: the next run goes on with them", len(left))
                return msgspec.structs.replace(run, left=left)
            try:
                run = self._watch(run, due, now, out_of_time)
            except StoreUnavailableError:
                raise
            except OnnxletError as error:
                log(__name__).error("%s is not watched: %s", due.model, error, extra={MODEL: due.model})
                run = msgspec.structs.replace(run, failed={**run.failed, due.model: error.detail})
        return msgspec.structs.replace(run, expired=0 if out_of_time() else self._expire(now))

    def _expire(self, now: datetime) -> int:
        """Remove captured rows that their policies keep no longer; how many objects went."""
        try:
            return len(expire(self._store, now))
        except IntegrityError as error:
            log(__name__).error("captured rows were not removed in time: %s", error)
            return 0

    def _watch(self, run: WatchRun, due: Due, now: datetime, out_of_time: Callable[[], bool]) -> WatchRun:
        merged: dict[int, int] = {}
        for version, day in due.windows:
            if not out_of_time():
                compact(self._store, due.model, version, day, out_of_time=out_of_time)
                merged[version] = merged.get(version, 0) + 1
        if out_of_time():
            return msgspec.structs.replace(run, left=(*run.left, due.model))
        before = self._last_report(due)
        report = self._read_report(due, run.closed, now, before) if due.report or before is None else before
        book = self._settle(report, now)
        report = report.with_section(alarms.SECTION.name, alarms.tell_alarms(book))
        if report != before:
            self._write_report(report)
        self._tell(report, book, merged, now)
        taken, waiting = self._announce(due.model, book, try_it=not run.waiting)
        return msgspec.structs.replace(
            run,
            watched=(*run.watched, due.model),
            reported=(*run.reported, due.model) if due.report else run.reported,
            windows=run.windows + sum(merged.values()),
            events=run.events + taken,
            waiting=run.waiting + waiting,
        )

    def _read_report(self, due: Due, closed: str, now: datetime, before: Report | None) -> Report:
        """What became of the model until the newest closed day; of days that are as they were, what was told before."""
        routed = {route.version for alias in aliases(self._store, due.model).values() for route in alias.routes}
        versions = sorted({*due.versions, *routed})
        since = day_of(now - timedelta(days=DAYS))
        told = before.sections if before else {}
        scope = Scope(self._store, due.model, versions, since=since, until=closed, now=now, told=told)
        return read_report(scope, written=now)

    def _last_report(self, due: Due) -> Report | None:
        """None where there is none, or one that this onnxlet cannot read: it is written again."""
        if not due.reported:
            return None
        try:
            return decode_report(self._store.get(report_key(due.model, due.reported)).data)
        except (IntegrityError, ObjectNotFoundError) as error:
            log(__name__).warning("the report of %s is written again: %s", due.model, error, extra={MODEL: due.model})
            return None

    def _settle(self, report: Report, now: datetime) -> AlarmBook:
        """Open and close alarms as the report finds something or nothing."""
        moment, findings, routes = format_timestamp(now), report.findings, aliases_of(report)
        note = Note(WHO, moment, "")
        return turn(self._store, report.model, note, lambda book: settle(book, report.model, findings, routes, moment))

    def _write_report(self, report: Report) -> None:
        """The JSON comes last: while there is none, the report is due."""
        self._store.put(report_key(report.model, report.until, "html"), report.page().encode())
        self._store.put(report_key(report.model, report.until), report.encode())

    def _announce(self, model: str, book: AlarmBook, *, try_it: bool) -> tuple[int, int]:
        """How many events were taken, and how many wait: once some do, the others of a run wait with them."""
        if not book.outbox or not try_it:
            return 0, len(book.outbox)
        kept = {event.id for event in self._announcer.announce(book.outbox)}
        taken = [event for event in book.outbox if event.id not in kept]
        if taken:
            take_out(self._store, model, taken)
        return len(taken), len(kept)
