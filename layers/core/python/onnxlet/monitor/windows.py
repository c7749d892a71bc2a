"""Windows: the sketches of one day of one version, as they are stored.

Each environment writes parts of its own, create-only under its name and a running number, so that a part that is
written twice counts once. Merging moves parts into one object that lists them: whoever merges at the same moment, or is
stopped halfway, counts none twice and loses none.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from onnxlet.errors import IntegrityError, ObjectNotFoundError, PreconditionFailedError
from onnxlet.monitor.sketch import SketchDocument, add_documents, decode_sketch, encode_sketch
from onnxlet.store import Store
from onnxlet.values.canonical import canonical
from onnxlet.values.keys import LIVE_SKETCHES, sketches_prefix

_MERGED = "merged.json"
_ATTEMPTS = 5


class Window(msgspec.Struct, frozen=True):
    """What is known of one day: a sketch for each baseline that was counted with, and the `parts` that are in them."""

    parts: tuple[str, ...] = ()
    sketches: tuple[SketchDocument, ...] = ()

    @property
    def rows(self) -> int:
        """All rows that were counted."""
        return sum(sketch.rows for sketch in self.sketches)


def part_key(model: str, version: int, day: str, environment: str, sequence: int) -> str:
    """Where an environment writes its part number `sequence` of a day (`2026-11-29`)."""
    return f"{sketches_prefix(model, version)}{day}/{environment}-{sequence:06d}.json"


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
    return sorted({parts[0] for parts in within if len(parts) > 1})


def read_window(store: Store, model: str, version: int, day: str) -> Window:
    """All that was counted on a day: what was merged, and parts that were not yet."""
    prefix = f"{sketches_prefix(model, version)}{day}/"
    # listed first: what is merged in between is read twice, and counted once
    parts = dict(_parts(store, prefix))
    window, _ = _read_merged(store, prefix)
    return _with_parts(window, {name: document for name, document in parts.items() if name not in window.parts})


def compact(store: Store, model: str, version: int, day: str) -> Window:
    """Merge the parts of a day, and delete those that are merged. Repeating it, also at once, is harmless."""
    prefix = f"{sketches_prefix(model, version)}{day}/"
    for _ in range(_ATTEMPTS):
        parts = dict(_parts(store, prefix))
        window, etag = _read_merged(store, prefix)
        fresh = {name: document for name, document in parts.items() if name not in window.parts}
        merged = _with_parts(window, fresh)
        if fresh and not _write_merged(store, prefix, merged, etag):
            continue
        for name in parts:
            store.delete(prefix + name)
        return merged
    raise PreconditionFailedError(f"others keep merging the sketches below {prefix!r}: try again", key=prefix)


def _parts(store: Store, prefix: str) -> Iterator[tuple[str, SketchDocument]]:
    for entry in store.list(prefix):
        name = entry.key.removeprefix(prefix)
        if name == _MERGED:
            continue
        try:
            yield name, decode_sketch(store.get(entry.key).data)
        except ObjectNotFoundError:
            continue  # merged by another in between


def _read_merged(store: Store, prefix: str) -> tuple[Window, str | None]:
    try:
        blob = store.get(prefix + _MERGED)
    except ObjectNotFoundError:
        return Window(), None
    try:
        return msgspec.json.decode(blob.data, type=Window), blob.etag
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise IntegrityError(f"{prefix + _MERGED!r} is no merged sketch: {error}", key=prefix + _MERGED) from error


def _write_merged(store: Store, prefix: str, window: Window, etag: str | None) -> bool:
    data = canonical(window)
    try:
        store.create(prefix + _MERGED, data) if etag is None else store.swap(prefix + _MERGED, data, etag)
    except PreconditionFailedError:
        return False
    return True


def _with_parts(window: Window, parts: dict[str, SketchDocument]) -> Window:
    by_baseline: dict[str, SketchDocument] = {sketch.baseline: sketch for sketch in window.sketches}
    for document in parts.values():
        known = by_baseline.get(document.baseline)
        by_baseline[document.baseline] = document if known is None else add_documents(known, document)
    return Window((*window.parts, *parts), tuple(by_baseline.values()))
