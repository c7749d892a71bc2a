"""Where sections begin: stretches are scanned apart, and the plan is made of all scans."""

from __future__ import annotations

from contextlib import closing
from functools import reduce
from typing import TYPE_CHECKING, Any

from onnxlet.batch.formats import find_type
from onnxlet.batch.formats.blocks import LineBlocks
from onnxlet.batch.formats.ports import Place
from onnxlet.batch.large.concluding import conclude, is_closed, refuse
from onnxlet.batch.large.work import PLAN, WORK, Plan, Scanned, Work, WorkArea, describe, scan_name, store_of
from onnxlet.batch.planning import Scan, compose, plan_ranges
from onnxlet.batch.reading import ForwardSource
from onnxlet.errors import ObjectNotFoundError, OnnxletError, UnavailableError

if TYPE_CHECKING:
    from onnxlet.batch.planning import Lines
    from onnxlet.store import Store


def scan_stretch(store: Store, prefix: str, number: int) -> None:
    """Note what is in a stretch: the lines that begin in it; or why nobody can say. Raises UnavailableError."""
    area = WorkArea(store, prefix)
    if area.find(scan_name(number), Scanned) is not None:
        return
    try:
        scanned = Scanned(_scan_stretch(area, number))
    except UnavailableError:
        raise
    except OnnxletError as error:
        scanned = Scanned(failure=describe(error))
    area.note(scan_name(number), scanned)


def _scan_stretch(area: WorkArea, number: int) -> Scan:
    work = area.read(WORK, Work)
    with closing(ForwardSource(store_of(area.store, work.order.input), work.order.key, work.source)) as content:
        lines = find_type(work.order.key).format.open_lines(content, work.separator)
        start = work.first.position if number == 0 else _find_line(lines, number * work.stretch)
        return _scan(lines, start, (number + 1) * work.stretch)


def plan_sections(store: Store, prefix: str) -> dict[str, Any]:
    """Plan the sections of a file whose stretches are all scanned: what the state machine goes through next."""
    area = WorkArea(store, prefix)
    work = area.read(WORK, Work)
    if is_closed(store, work.order, work.source, work.scorer):
        return {"state": "closed"}
    try:
        scans = area.scans(max(1, -(-work.source.size // work.stretch)))
    except (UnavailableError, ObjectNotFoundError):
        raise
    except OnnxletError as error:
        return conclude(store, work.order, refuse(work.open_book(), error))
    places = plan_ranges(work.first, scans, 1)
    whole = reduce(compose, scans)
    end = Place(work.first.position + whole.size, work.first.row + whole.outside.rows)
    return plan_places(area, places, end if whole.outside.certain else None)


def plan_places(area: WorkArea, places: list[Place], end: Place | None) -> dict[str, Any]:
    """Note where sections begin, and where the last one ends if that is known."""
    area.note(PLAN, Plan(tuple(places), end))
    return {"state": "score", "work": area.prefix, "round": 1, "items": list_sections(area, 1)}


def list_sections(area: WorkArea, round_: int, numbers: list[int] | None = None) -> dict[str, str]:
    """Write which sections are to be scored in a round: all, or those of these numbers."""
    plan = area.read(PLAN, Plan)
    ends = plan.ends
    chosen = range(len(plan.places)) if numbers is None else numbers
    items: list[dict[str, Any]] = [
        {"step": "section", "work": area.prefix, "number": number, "start": plan.places[number], "end": ends[number]}
        for number in chosen
    ]
    return area.list_items(f"sections-{round_}", items)


def _find_line(lines: Lines, position: int) -> int:
    """Where the first line begins from a position on."""
    before = LineBlocks(lines.source, position - 1)
    before.take_line()
    return before.position


def _scan(lines: Lines, start: int, limit: int) -> Scan:
    """What is in the lines that begin from a place to a limit; both are places in the file."""
    done = lines.scan(b"")
    position = start
    while position < min(limit, lines.source.size):
        blocks = LineBlocks(lines.source, position)
        while block := blocks.look():
            done = compose(done, lines.scan(block))
            blocks.take(len(block))
        position = blocks.position
    return done
