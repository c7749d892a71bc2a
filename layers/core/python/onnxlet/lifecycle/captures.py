"""Captured rows, as commands and notebooks look at them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from onnxlet.errors import ObjectNotFoundError
from onnxlet.monitor.capture.reading import decode_row, list_captures, unpack
from onnxlet.values.tables import Table, format_size

if TYPE_CHECKING:
    from onnxlet.lifecycle.workspace import Workspace


class CapturedDay(NamedTuple):
    """What was captured of one day of a version: objects, and their bytes."""

    model: str
    version: int | None
    day: str
    objects: int
    size: int


def list_days(workspace: Workspace, model: str = "") -> list[CapturedDay]:
    """The days of a model, or of all."""
    objects: Counter[tuple[str, int | None, str]] = Counter()
    sizes: Counter[tuple[str, int | None, str]] = Counter()
    for each in list_captures(workspace.open_store(), model):
        objects[each.model, each.version, each.day] += 1
        sizes[each.model, each.version, each.day] += each.size
    return [CapturedDay(*named, count, sizes[named]) for named, count in objects.items()]


def describe_days(days: Sequence[CapturedDay]) -> Table:
    """The days, a row for each."""
    rows = [
        (each.model, "any" if each.version is None else each.version, each.day, each.objects, format_size(each.size))
        for each in days
    ]
    return Table(("model", "version", "day", "objects", "size"), rows)


def read_lines(workspace: Workspace, model: str, *, since: str = "", request_id: str | None = None) -> Iterator[bytes]:
    """Captured rows of a model as they were written, those of one request if its id is kept."""
    store = workspace.open_store()
    for each in list_captures(store, model, since=since):
        try:
            data = store.get(each.key).data
        except ObjectNotFoundError:
            continue
        for line in unpack(data, each.key):
            if request_id is None or decode_row(line, each.key).id == request_id:
                yield line.rstrip()
