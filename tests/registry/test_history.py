"""The history of an alias is a chain: whatever is changed, added or taken out of it is noticed, and named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from onnxlet.errors import HistoryBrokenError
from onnxlet.registry.registry import Registry
from onnxlet.store import Blob, Entry, Store
from onnxlet.store.memory import MemoryStore
from onnxlet.values.aliases import decode_alias, decode_entry, encode
from onnxlet.values.canonical import canonical
from onnxlet.values.digests import digest
from registries import publish

ALIAS = "aliases/m/production.json"
MOVES = 7


def key(sequence: int) -> str:
    return f"history/m/production/{sequence:010d}.json"


@pytest.fixture
def registry(store: Store, tmp_path: Path) -> Registry:
    """A registry whose `production` went 1, 2, 3, back to 2, 4, 2, 3, with three aliases on the way."""
    registry = Registry(store, who="ana@clinic")
    for number in range(1, 5):
        publish(registry, tmp_path, graph=bytes(number))
    for version in (1, 2, 3):
        registry.promote("m", version, why=f"try {version}")
        registry.promote("m", version, alias="candidate", gates={"golden": "passed"})
    registry.rollback("m")
    for version in (4, 2, 3):
        registry.promote("m", version, gates={"golden": "passed"})
    assert registry.verify_history("m") == MOVES
    return registry


def mutations(document: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - any JSON
    """Every document that differs from this one in one value, with the path to it."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for name, value in items:
        if isinstance(value, (dict, list)) and value:
            changed = list(mutations(value))
        else:
            changed = [("", {str: f"{value}x", int: 9, float: 0.5, list: [[]], dict: {"x": "y"}}.get(type(value), "x"))]
        for path, other in changed:
            copy = document.copy()
            copy[name] = other
            yield f"{name}/{path}".rstrip("/"), copy


@pytest.mark.parametrize("sequence", range(1, MOVES))
def test_every_value_of_every_past_entry_is_held_by_the_chain(registry: Registry, sequence: int) -> None:
    original = registry.store.get(key(sequence)).data
    count = 0
    for path, changed in mutations(json.loads(original)):
        registry.store.put(key(sequence), canonical(changed))
        with pytest.raises(HistoryBrokenError, match=f"entry {sequence}\\b") as caught:
            registry.verify_history("m")
        assert caught.value.context["sequence"] == sequence, path
        count += 1
    assert count >= 13
    registry.store.put(key(sequence), original + b" ")
    with pytest.raises(HistoryBrokenError, match=f"entry {sequence}\\b"):
        registry.verify_history("m")
    registry.store.put(key(sequence), original)
    assert registry.verify_history("m") == MOVES


def test_every_value_of_the_alias_is_held_but_the_words_of_its_newest_entry(registry: Registry) -> None:
    document = json.loads(registry.store.get(ALIAS).data)
    free = []
    for path, changed in mutations(document):
        registry.store.put(ALIAS, canonical(changed))
        try:
            registry.verify_history("m")
        except HistoryBrokenError:
            continue
        free.append(path)
    assert free == ["entry/gates/accuracy-contract", "entry/gates/golden", "entry/when", "entry/who", "entry/why"]


@pytest.mark.parametrize("sequence", range(1, MOVES))
def test_a_missing_entry_is_noticed(registry: Registry, sequence: int) -> None:
    registry.store.delete(key(sequence))
    with pytest.raises(HistoryBrokenError, match=f"breaks at entry {sequence}: .* missing"):
        registry.verify_history("m")


def test_an_added_entry_is_noticed(registry: Registry) -> None:
    data = registry.store.get(key(2)).data
    for stray in (key(MOVES), key(MOVES + 1), "history/m/production/2.json", "history/m/production/x/y"):
        registry.store.put(stray, data)
        with pytest.raises(HistoryBrokenError, match="does not belong"):
            registry.verify_history("m")
        registry.store.delete(stray)
    registry.store.put(key(MOVES), encode(registry.alias("m")[0].entry))  # what a killed mover leaves
    assert registry.verify_history("m") == MOVES


def test_an_entry_in_anothers_place_is_noticed(registry: Registry) -> None:
    third, fourth = registry.store.get(key(3)).data, registry.store.get(key(4)).data
    registry.store.put(key(3), fourth)
    registry.store.put(key(4), third)
    with pytest.raises(HistoryBrokenError, match="entry 4 of 'm@production' lies in its place"):
        registry.verify_history("m")
    registry.store.put(key(3), registry.store.get("history/m/candidate/0000000001.json").data)
    with pytest.raises(HistoryBrokenError, match="'m@candidate' lies in its place"):
        registry.verify_history("m")


@pytest.mark.parametrize("data", [b"", b"{}", b"null", b"\xff\xfe", b"[]"])
def test_bytes_that_are_no_entry_are_noticed(registry: Registry, data: bytes) -> None:
    registry.store.put(key(3), data)
    with pytest.raises(HistoryBrokenError, match="breaks at entry 3"):
        registry.verify_history("m")
    registry.store.put(ALIAS, data)
    with pytest.raises(HistoryBrokenError, match="not an alias document"):
        registry.verify_history("m")


def test_an_older_alias_document_put_back_is_noticed(registry: Registry, tmp_path: Path) -> None:
    old = registry.store.get(ALIAS).data
    registry.promote("m", 1)
    registry.promote("m", publish(registry, tmp_path).version)
    registry.store.put(ALIAS, old)
    with pytest.raises(HistoryBrokenError, match="does not belong"):
        registry.verify_history("m")


def test_a_missing_alias_document_is_noticed(registry: Registry) -> None:
    registry.store.delete(ALIAS)
    with pytest.raises(HistoryBrokenError, match="the alias document is gone"):
        registry.verify_history("m")


def test_a_chain_forged_anew_from_some_entry_on_is_noticed_unless_the_alias_is_forged_too(registry: Registry) -> None:
    before = None
    for sequence in range(1, MOVES):
        entry = decode_entry(registry.store.get(key(sequence)).data)
        who = "eve" if sequence == 3 else entry.who
        forged = msgspec.structs.replace(entry, who=who, predecessor=before)
        registry.store.put(key(sequence), encode(forged))
        before = digest(encode(forged))
    with pytest.raises(HistoryBrokenError, match=f"breaks at entry {MOVES - 1}"):
        registry.verify_history("m")
    alias = decode_alias(registry.store.get(ALIAS).data)
    entry = msgspec.structs.replace(alias.entry, predecessor=before)
    registry.store.put(ALIAS, encode(msgspec.structs.replace(alias, entry=entry)))
    assert registry.verify_history("m") == MOVES  # why one may keep the newest digest elsewhere


@pytest.mark.parametrize(
    ("action", "target"), [("rollback", [4]), ("rollback", [3]), ("retire", [1]), ("rollback", [])]
)
def test_a_move_that_cannot_be_made_from_there_is_noticed(registry: Registry, action: str, target: list[int]) -> None:
    alias = registry.alias("m")[0]
    routes = [{"version": version, "weight": 1.0, "digest": digest(b"")} for version in target]
    if target == [3]:
        routes = json.loads(canonical(alias.routes))
    entry = json.loads(encode(alias.entry)) | {
        "sequence": MOVES + 1,
        "action": action,
        "from": json.loads(canonical(alias.routes)),
        "to": routes,
        "predecessor": digest(encode(alias.entry)),
    }
    document = {"schema": 1, "sequence": MOVES + 1, "routes": routes, "previous": [], "entry": entry}
    registry.store.put(key(MOVES), encode(alias.entry))
    registry.store.put(ALIAS, canonical(document))
    with pytest.raises(HistoryBrokenError, match=f"breaks at entry {MOVES + 1}"):
        registry.verify_history("m")


def test_a_history_reads_while_the_alias_moves_on(registry: Registry) -> None:
    class Moving(MemoryStore):
        def list(self, prefix: str) -> Iterator[Entry]:
            yield from list(super().list(prefix))
            if prefix.startswith("history/m/production"):
                Registry(MemoryStore(self.url)).promote("m", 1)
                Registry(MemoryStore(self.url)).promote("m", 2)

    store = Moving(registry.store.url)
    assert Registry(store).verify_history("m") == MOVES + 2
    assert [entry.sequence for entry in Registry(store).history("m")] == list(range(1, MOVES + 3))


def test_a_long_history_reads_in_order(registry: Registry) -> None:
    for number in range(60):
        registry.promote("m", 1 + number % 4, why=str(number))
    assert [entry.why for entry in registry.history("m")][MOVES:] == [str(number) for number in range(60)]
    assert registry.verify_history("m") == MOVES + 60


def test_reads_that_go_wrong_break_no_history(registry: Registry) -> None:
    for number in range(60):
        registry.promote("m", 1 + number % 4, why=str(number))

    class Noisy(MemoryStore):
        reads = 0

        def get(self, key: str) -> Blob:
            blob = super().get(key)
            self.reads += 1
            if self.reads % 23:
                return blob
            return msgspec.structs.replace(blob, data=blob.data[:50] + b"x" + blob.data[51:])

    noisy = Noisy(registry.store.url)
    for _ in range(5):
        assert Registry(noisy).verify_history("m") == MOVES + 60
    forged = registry.store.get(key(30)).data.replace(b"ana", b"eva")
    registry.store.put(key(30), forged)
    with pytest.raises(HistoryBrokenError, match="breaks at entry 30"):
        Registry(noisy).verify_history("m")
