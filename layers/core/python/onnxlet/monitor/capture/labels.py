"""Labels: what turned out to be true of captured rows, joined by request id and row.

Each file that is brought becomes one object with what is new in it: bringing it again changes nothing, and of two
labels of one row the later one counts.
"""

from __future__ import annotations

import csv
import io
import secrets
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from onnxlet.errors import InvalidInputError, NotFoundError
from onnxlet.monitor.capture.reading import (
    captured_versions,
    list_captures,
    pack,
    read_published_policy,
    read_rows,
    unpack,
)
from onnxlet.monitor.capture.truths import Truth, same
from onnxlet.registry.reading import lookup
from onnxlet.steps import decode_steps
from onnxlet.store import Store
from onnxlet.values.canonical import canonical
from onnxlet.values.keys import label_key, labels_prefix
from onnxlet.values.timestamps import format_timestamp

Place = tuple[str, int, str]
"""A request's id, a row of it, and an output, empty for the first that labels are compared with."""
Captured = Mapping[str, Mapping[int, Iterable[str]]]
"""The outputs of each row that was captured, by request."""
OnProgress = Callable[[int, int], None]
_IDS = ("request_id", "id")
_JSON_LINES = (".jsonl", ".ndjson", ".json")


class Label(msgspec.Struct, frozen=True):
    """What is true of an output of a row; `when` it was brought. Without an output it is that of the first."""

    id: str
    row: int
    label: Truth
    when: str
    output: str = ""

    @property
    def place(self) -> Place:
        """Of two labels of one place the later counts."""
        return self.id, self.row, self.output


class GivenLabel(msgspec.Struct, frozen=True):
    """A line of a file; without a row it is that of a request of one row."""

    id: str
    label: Truth
    row: int | None = None
    output: str = ""


class Labelled(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a model's labels: rows labelled for the first time, changed, known already.

    `conflicting`: rows to which the file itself gives several labels, of which the last counts; `unknown`: labels whose
    request, row or output was not captured; `ambiguous`: those that name no row of a request with several; `foreign`:
    rows whose label is no class of the model, which count as answered wrong.
    """

    model: str
    new: int = 0
    changed: int = 0
    known: int = 0
    conflicting: int = 0
    unknown: int = 0
    ambiguous: int = 0
    foreign: int = 0


def read_label_file(path: Path) -> list[GivenLabel]:
    """The labels of a CSV or JSON Lines file with `request_id`, `label` and, for requests of several rows, `row`;
    for models that tell several things `output`, that whose label it is.

    Raises InvalidInputError, which names the line and quotes nothing of it.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path.name!r} cannot be read as UTF-8 text: {type(error).__name__}") from None
    if path.suffix.lower() in _JSON_LINES:
        return [_given(document, place) for place, document in enumerate(_json_lines(text), 1)]
    rows = csv.DictReader(io.StringIO(text, newline=""))
    return [_given(row, place) for place, row in enumerate(rows, 2)]


def give_labels(documents: Iterable[Mapping[str, object]]) -> list[GivenLabel]:
    """The same of documents in memory. Raises InvalidInputError."""
    return [_given(document, place) for place, document in enumerate(documents, 1)]


def bring_labels(
    store: Store,
    models: Iterable[str],
    given: Iterable[GivenLabel],
    now: datetime,
    on_progress: OnProgress | None = None,
) -> list[Labelled]:
    """Store the labels of those models whose captured requests they name. Repeating it is harmless.

    Raises InvalidInputError for a model whose policies keep too little to join labels with.
    """
    by_id: defaultdict[str, list[GivenLabel]] = defaultdict(list)
    for label in given:
        by_id[label.id].append(label)
    named = list(models)
    found = {model: _find_rows(store, model, by_id, on_progress) for model in named}
    everywhere = {request for rows in found.values() for request in rows}
    results = []
    for model in named:
        only = len(named) == 1
        mine = {request: labels for request, labels in by_id.items() if only or request in found[model]}
        results.append(_bring(store, model, mine, found[model], now))
    strangers = sum(len(labels) for request, labels in by_id.items() if request not in everywhere)
    if len(named) > 1 and strangers:
        results.append(Labelled(model="", unknown=strangers))
    return results


def read_labels(store: Store, model: str, wanted: Mapping[str, object] | None = None) -> dict[Place, Label]:
    """The labels of rows, of the `wanted` requests or all; the latest of each place counts."""
    labels: dict[Place, Label] = {}
    for entry in store.list(labels_prefix(model)):
        for line in unpack(store.get(entry.key).data, entry.key):
            label = msgspec.json.decode(line, type=Label)
            if wanted is None or label.id in wanted:
                labels[label.place] = label
    return labels


def joinable_models(store: Store) -> list[str]:
    """The models of which rows were captured that labels can be joined with."""
    versions = {(each.model, each.version) for each in list_captures(store) if each.version is not None}
    return sorted({model for model, version in versions if _joins(store, model, version)})


def check_joinable(store: Store, model: str, newest: int) -> None:
    """Raises InvalidInputError if nothing that was captured of the model can be joined, by its `newest` version."""
    if model in joinable_models(store):
        return
    policy = read_published_policy(store, model, newest)
    asked = 'labels are joined by what a policy keeps: "request_id": "keep", "version": "keep" and an output'
    if policy is None:
        raise InvalidInputError(
            f"{model}:{newest} has no capture policy, and {asked}; publish it with --capture-policy"
        )
    if not policy.joins_labels:
        raise InvalidInputError(f"the capture policy of {model}:{newest} keeps too little: {asked}")
    raise InvalidInputError(
        f"no rows of {model!r} are captured yet: rows are written about a minute after their answers"
    )


def _joins(store: Store, model: str, version: int) -> bool:
    policy = read_published_policy(store, model, version)
    return policy is not None and policy.joins_labels


def _find_rows(
    store: Store, model: str, wanted: Mapping[str, object], on_progress: OnProgress | None
) -> dict[str, dict[int, Iterable[str]]]:
    """What was captured of each of the wanted requests."""
    found: defaultdict[str, dict[int, Iterable[str]]] = defaultdict(dict)
    objects = list(list_captures(store, model))
    for done, (_, rows) in enumerate(read_rows(store, objects), 1):
        for row in rows:
            if row.id is not None and row.id in wanted:
                found[row.id][row.row] = row.outputs.keys()
        if on_progress is not None:
            on_progress(done, len(objects))
    return dict(found)


def _bring(store: Store, model: str, by_id: Mapping[str, list[GivenLabel]], found: Captured, now: datetime) -> Labelled:
    placed: dict[Place, Truth] = {}
    conflicting: set[Place] = set()
    unknown = ambiguous = 0
    for request, labels in by_id.items():
        rows = found.get(request, {})
        for label in labels:
            row = min(rows) if label.row is None and len(rows) == 1 else label.row
            if row is None and rows:
                ambiguous += 1
            elif row is None or row not in rows or (label.output and label.output not in rows[row]):
                unknown += 1
            else:
                place = (request, row, label.output)
                if placed.get(place, label.label) != label.label:
                    conflicting.add(place)
                placed[place] = label.label
    before = read_labels(store, model, by_id)
    when = format_timestamp(now)
    fresh = [
        Label(place[0], place[1], truth, when, place[2])
        for place, truth in placed.items()
        if place not in before or before[place].label != truth
    ]
    if fresh:
        lines = [canonical(label) + b"\n" for label in fresh]
        store.create(label_key(model, now.strftime("%Y%m%dT%H%M%S%fZ"), secrets.token_hex(4)), pack(lines))
    new = sum(label.place not in before for label in fresh)
    return Labelled(
        model=model,
        new=new,
        changed=len(fresh) - new,
        known=len(placed) - len(fresh),
        conflicting=len(conflicting),
        unknown=unknown,
        ambiguous=ambiguous,
        foreign=_count_foreign(placed, _read_classes(store, model)),
    )


def _count_foreign(placed: Mapping[Place, Truth], classes: Mapping[str, list[Truth]]) -> int:
    told = Counter((output, label) for (_, _, output), label in placed.items() if output in classes)
    return sum(rows for (output, label), rows in told.items() if not any(same(each, label) for each in classes[output]))


def _read_classes(store: Store, model: str) -> dict[str, list[Truth]]:
    """The classes that the captured versions tell, by output, those of the first without a name too."""
    classes: defaultdict[str, list[Truth]] = defaultdict(list)
    for version in captured_versions(store, model):
        try:
            manifest, _ = lookup.manifest(store, model, version)
        except NotFoundError:
            continue
        for place, target in enumerate(decode_steps(manifest.steps).targets):
            for output in (target.names.label, "")[: 2 if place == 0 else 1]:
                classes[output] += target.labels or target.classes
    return dict(classes)


def _json_lines(text: str) -> Iterator[Mapping[str, object]]:
    for place, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield msgspec.json.decode(line, type=dict[str, object])
            except msgspec.MsgspecError:
                raise InvalidInputError(f"line {place} is no JSON object") from None


def _given(document: Mapping[str, object], place: int) -> GivenLabel:
    request = next((document[name] for name in _IDS if document.get(name)), None)
    label, row = document.get("label"), document.get("row")
    if not isinstance(request, str):
        raise InvalidInputError(f"line {place} has no request_id, a text: the X-Onnxlet-Request-Id of the answer")
    if not isinstance(label, bool | int | float | str) or label == "" or label != label:  # noqa: PLR0124 - NaN
        raise InvalidInputError(f"line {place} has no label, a text or number")
    output = document.get("output") or ""
    if not isinstance(output, str):
        raise InvalidInputError(f"line {place} has an output that is no name of one")
    if row in (None, ""):
        return GivenLabel(request, label, None, output)
    try:
        return GivenLabel(request, label, int(str(row)), output)
    except ValueError:
        raise InvalidInputError(f"line {place} has a row that is no number: rows of a request count from 0") from None
