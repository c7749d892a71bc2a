"""Moves over a history that is broken: refused, or forced with a reason, and then said in the history."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from onnxlet.errors import HistoryBrokenError, InvalidInputError, PreconditionFailedError
from onnxlet.registry.registry import Registry
from onnxlet.store import Store
from onnxlet.values.aliases import decode_alias, encode
from registries import publish, routed

ALIAS = "aliases/m/production.json"


def key(sequence: int) -> str:
    return f"history/m/production/{sequence:010d}.json"


@pytest.fixture
def registry(store: Store, tmp_path: Path) -> Registry:
    """A registry whose `production` went 1, 2, 3."""
    registry = Registry(store, who="ana@clinic")
    for number in (1, 2, 3):
        publish(registry, tmp_path, graph=bytes(number))
        registry.promote("m", number)
    return registry


def edit(store: Store, key: str, **changed: object) -> None:
    """Change a JSON document as an editor would."""
    store.put(key, json.dumps(json.loads(store.get(key).data) | changed).encode())


def reroute(store: Store) -> None:
    edit(store, ALIAS, routes=json.loads(store.get(ALIAS).data)["previous"][0])


def forge_way_back(store: Store) -> None:
    edit(store, ALIAS, previous=[])


def renumber(store: Store) -> None:
    edit(store, ALIAS, sequence=2)


def scribble(store: Store) -> None:
    store.put(ALIAS, b"{")


def lose(store: Store) -> None:
    store.delete(ALIAS)


def put_back(store: Store) -> None:
    """The document before the last move, from a backup say; the move after it was archived by a killed mover."""
    document = decode_alias(store.get(ALIAS).data)
    store.create(key(3), encode(document.entry))
    registry = Registry(store)
    entry = registry.history("m")[1]
    edit(store, ALIAS, sequence=2, routes=json.loads(encode(document))["previous"][0], entry=json.loads(encode(entry)))


DAMAGES = [reroute, forge_way_back, renumber, scribble, lose, put_back]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("move", ["promote", "rollback"])
def test_a_move_of_an_alias_that_is_not_what_its_history_says_is_refused_and_when_forced_mends_it(
    registry: Registry, damage: Callable[[Store], None], move: str
) -> None:
    def make(**how: object) -> list[int]:
        if move == "promote":
            return routed(registry.promote("m", 1, **how))  # type: ignore[arg-type]
        return routed(registry.rollback("m", **how))  # type: ignore[arg-type]

    damage(registry.store)
    for how in ({}, {"why": "a reason alone"}):
        with pytest.raises(HistoryBrokenError, match="force the move with a reason"):
            make(**how)
    with pytest.raises(InvalidInputError, match="needs a reason"):
        make(force=True)
    lost = damage in (scribble, lose)  # and the newest entry with the document
    assert make(force=True, why="somebody edited it") == [1 if move == "promote" or lost else 2]
    newest = registry.history("m")[-1]
    assert newest.sequence == (3 if lost else 4)
    assert (newest.action, newest.why) == (move, "somebody edited it")
    assert newest.gates["history"].startswith("forced: the history of 'm@production' breaks at entry ")
    assert registry.verify_history("m") == newest.sequence
    registry.promote("m", 2)
    if move == "promote" and not lost:
        assert [routed(registry.rollback("m")) for _ in range(2)] == [[1], [3]]


def test_a_past_entry_that_was_changed_stays_noticed_after_forced_moves(registry: Registry) -> None:
    original = registry.store.get(key(2)).data
    edit(registry.store, key(2), why="forged")
    with pytest.raises(HistoryBrokenError, match="breaks at entry 2"):
        registry.promote("m", 1)
    assert routed(registry.promote("m", 1, force=True, why="it is urgent")) == [1]
    assert routed(registry.rollback("m", force=True, why="so is this")) == [3]
    with pytest.raises(HistoryBrokenError, match="breaks at entry 2"):
        registry.verify_history("m")
    registry.store.put(key(2), original)
    assert registry.verify_history("m") == 5
    assert routed(registry.rollback("m")) == [2]


def test_force_does_not_overwrite_what_somebody_else_put_in_the_place_of_the_newest_entry(registry: Registry) -> None:
    registry.store.put(key(3), b"{}")
    with pytest.raises(HistoryBrokenError, match="would be lost"):
        registry.promote("m", 1, force=True, why="urgent")
    assert registry.store.get(key(3)).data == b"{}"


def test_force_does_not_overwrite_the_alias_of_a_newer_onnxlet(registry: Registry) -> None:
    edit(registry.store, ALIAS, schema=2)
    with pytest.raises(HistoryBrokenError, match="upgrade onnxlet"):
        registry.promote("m", 1, force=True, why="urgent")
    with pytest.raises(HistoryBrokenError, match="upgrade onnxlet"):
        registry.rollback("m", force=True, why="urgent")


def test_forcing_a_move_over_a_whole_history_leaves_no_word_of_it(registry: Registry) -> None:
    assert "history" not in registry.promote("m", 1, force=True, why="sure").entry.gates
    assert registry.rollback("m", force=True, why="sure").entry.gates == {}


def test_a_forced_move_has_its_condition_too(registry: Registry) -> None:
    before = registry.store.get(ALIAS).etag
    reroute(registry.store)
    with pytest.raises(PreconditionFailedError):
        registry.promote("m", 1, force=True, why="urgent", if_match=before)
    etag = registry.store.get(ALIAS).etag
    assert routed(registry.promote("m", 1, force=True, why="urgent", if_match=etag)) == [1]


@pytest.mark.parametrize("text", ["a\nb", "a\r", "\x1b[2K", "\x9b2K", "\x00", "a\u2028b", "\u202etxt", "\ud800", "\t"])
def test_reasons_and_names_that_could_forge_lines_are_refused_before_anything_is_written(
    registry: Registry, tmp_path: Path, text: str
) -> None:
    before = [entry.key for entry in registry.store.list("")]
    mallory = Registry(registry.store, who=text)
    for move in (
        lambda: registry.promote("m", 1, why=text),
        lambda: registry.rollback("m", why=text),
        lambda: mallory.promote("m", 1),
        lambda: mallory.rollback("m"),
        lambda: publish(mallory, tmp_path),
    ):
        with pytest.raises(InvalidInputError, match="write it in one line"):
            move()
    assert [entry.key for entry in registry.store.list("") if not entry.key.startswith("history/")] == [
        name for name in before if not name.startswith("history/")
    ]
    assert registry.verify_history("m") == 3


@pytest.mark.parametrize("text", ["naïve → fine", "日本語", "\U0001f469\u200d\u2695 signed off", "\u0646\u200c\u0647"])
def test_reasons_in_any_script_are_taken(registry: Registry, text: str) -> None:
    assert registry.promote("m", 1, why=text).entry.why == text
