"""Windows: the sketches of one day of one version, as they are stored.

Each environment writes parts of its own, create-only under its name and a running number, so that a part that is
written twice counts once. Merging moves parts into one object that lists them: whoever merges at the same moment, or is
stopped halfway, counts none twice and loses none. A part that cannot be read (a newer onnxlet's, a damaged one) stays
where it is, and harms no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import msgspec

from onnxlet.errors import IntegrityError, InvalidInputError, ObjectNotFoundError, PreconditionFailedError
from onnxlet.monitor.parts import Ranges, add_parts, hold, is_part, part_name
from onnxlet.monitor.sketch import SketchDocument, add_documents, decode_sketch, encode_sketch
from onnxlet.registry.parallel import map_parallel
from onnxlet.store import Store
from onnxlet.values.canonical import canonical
from onnxlet.values.keys import LIVE_SKETCHES, sketches_prefix
from onnxlet.values.timestamps import is_day

SCHEMA = 1
MERGED = "merged.json"
FEWEST_ROWS = 20
"""Of a part: one of a few rows is those rows."""
MOST_AT_ONCE = 1000
"""Parts that are read before what they add up to is written."""
_ATTEMPTS = 5


class Window(msgspec.Struct, frozen=True):
    """What is known of one day: a sketch for each baseline that was counted with, and the `parts` that are in them.

    `unread` are the names of parts that are none, which a stored window has not.
    """

    parts: dict[str, Ranges] = {}
    sketches: tuple[SketchDocument, ...] = ()
    unread: tuple[str, ...] = ()
    schema: int = SCHEMA

    @property
    def rows(self) -> int:
        """All rows that were counted."""
        return sum(sketch.rows for sketch in self.sketches)


def part_key(model: str, version: int, day: str, environment: str, sequence: int) -> str:
    """Where an environment writes its part number `sequence` of a day (`2026-11-29`)."""
    return f"{sketches_prefix(model, version)}{day}/{part_name(environment, sequence)}"


def write_part(store: Store, key: str, document: SketchDocument) -> None:
    """Write a part. That it is there already is no error: it is the same one."""
    try:
        store.create(key, encode_sketch(document))
    except PreconditionFailedError:
        return


def list_versions(store: Store, model: str) -> list[int]:
    """The versions of which there are sketches, in order."""
    prefix = f"{LIVE_SKETCHES}{model}/"
    numbers = {entry.key.removeprefix(prefix).split("/")[0] for entry in store.list(prefix)}
    return sorted(int(number) for number in numbers if number.isdecimal())


def list_days(store: Store, model: str, version: int) -> list[str]:
    """The days of which there are sketches, oldest first."""
    prefix = sketches_prefix(model, version)
    within = (entry.key.removeprefix(prefix).split("/") for entry in store.list(prefix))
    return sorted({parts[0] for parts in within if len(parts) > 1 and is_day(parts[0])})


def read_window(store: Store, model: str, version: int, day: str) -> Window:
    """All that was counted on a day: what was merged, and parts that were not yet. Raises IntegrityError."""
    prefix = f"{sketches_prefix(model, version)}{day}/"
    # listed first: what is merged in between is read twice, and counted once
    names = _list_parts(store, prefix)
    parts = _read_parts(store, prefix, names)
    window, _ = _read_merged(store, prefix)
    return _with_parts(window, parts)


def compact(
    store: Store, model: str, version: int, day: str, *, out_of_time: Callable[[], bool] = lambda: False
) -> Window:
    """Merge the parts of a day, and delete those that are merged. Repeating it, also at once, is harmless.

    Parts are merged a thousand at a time until `out_of_time`, which the next run goes on from. Raises
    PreconditionFailedError while others keep merging the same; IntegrityError for what was merged and then damaged.
    """
    prefix = f"{sketches_prefix(model, version)}{day}/"
    names = iter(_list_parts(store, prefix))
    window = Window()
    while True:
        some = list(islice(names, MOST_AT_ONCE))
        merged = _merge(store, prefix, some)
        window = msgspec.structs.replace(merged, unread=(*window.unread, *merged.unread))
        if len(some) < MOST_AT_ONCE or out_of_time():
            return window


def _merge(store: Store, prefix: str, names: Sequence[str]) -> Window:
    parts = _read_parts(store, prefix, names)
    for _ in range(_ATTEMPTS):
        window, etag = _read_merged(store, prefix)
        merged = _with_parts(window, parts)
        if merged.parts != window.parts and not _write_merged(store, prefix, merged, etag):
            continue
        map_parallel(lambda name: store.delete(prefix + name), [name for name in parts if hold(merged.parts, name)])
        return merged
    raise PreconditionFailedError(f"others keep merging the sketches below {prefix!r}: try again", key=prefix)


def _list_parts(store: Store, prefix: str) -> list[str]:
    names = (entry.key.removeprefix(prefix) for entry in store.list(prefix))
    return [name for name in names if name != MERGED]


def _read_parts(store: Store, prefix: str, names: Iterable[str]) -> dict[str, SketchDocument | None]:
    """The parts by name, None for what is no part; those that another has merged meanwhile are left out."""

    def read(name: str) -> tuple[str, SketchDocument | None] | None:
        try:
            return name, decode_sketch(store.get(prefix + name).data) if is_part(name) else None
        except ObjectNotFoundError:
            return None
        except IntegrityError:
            return name, None

    return dict(found for found in map_parallel(read, names) if found is not None)


def _read_merged(store: Store, prefix: str) -> tuple[Window, str | None]:
    key = prefix + MERGED
    try:
        blob = store.get(key)
    except ObjectNotFoundError:
        return Window(), None
    try:
        window = msgspec.json.decode(blob.data, type=Window)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise IntegrityError(f"{key!r} is no merged sketch: {error}", key=key) from error
    if window.schema != SCHEMA:
        raise IntegrityError(
            f"{key!r} has schema {window.schema}, this onnxlet reads {SCHEMA}: upgrade onnxlet", key=key
        )
    return window, blob.etag


def _write_merged(store: Store, prefix: str, window: Window, etag: str | None) -> bool:
    data = canonical(msgspec.structs.replace(window, unread=()))
    try:
        store.create(prefix + MERGED, data) if etag is None else store.swap(prefix + MERGED, data, etag)
    except PreconditionFailedError:
        return False
    return True


def _with_parts(window: Window, parts: dict[str, SketchDocument | None]) -> Window:
    by_baseline: dict[str, SketchDocument] = {sketch.baseline: sketch for sketch in window.sketches}
    merged, unread = [], []
    for name, document in parts.items():
        if document is None:
            unread.append(name)
            continue
        if hold(window.parts, name):
            continue
        known = by_baseline.get(document.baseline)
        try:
            by_baseline[document.baseline] = document if known is None else add_documents(known, document)
        except InvalidInputError:
            unread.append(name)
        else:
            merged.append(name)
    return Window(add_parts(window.parts, merged), tuple(by_baseline.values()), tuple(unread))
