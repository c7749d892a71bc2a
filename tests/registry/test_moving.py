"""Promote and rollback: one stack per alias, conditional moves, and what happens when moves meet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from onnxlet.errors import (
    AliasNotFoundError,
    HistoryBrokenError,
    InvalidNameError,
    ModelNotFoundError,
    NothingToRollBackError,
    PreconditionFailedError,
    VersionNotFoundError,
)
from onnxlet.registry.registry import Registry
from onnxlet.registry.writing.mover import MUST_BE_NEW
from onnxlet.store import Blob, Entry, Store
from onnxlet.store.memory import MemoryStore
from onnxlet.values.aliases import PREVIOUS_KEPT, encode
from onnxlet.values.digests import digest
from registries import publish, routed

PRODUCTION = "aliases/m/production.json"


@pytest.fixture
def registry(store: Store, tmp_path: Path) -> Registry:
    """A registry with five versions of `m`."""
    registry = Registry(store, who="ana@clinic")
    for number in range(1, 6):
        publish(registry, tmp_path, graph=bytes(number))
    return registry


def test_a_promote_pins_the_manifest_and_records_who_when_why_and_the_gates(registry: Registry) -> None:
    moment = datetime(2026, 5, 3, 14, 3, tzinfo=UTC)
    later = Registry(registry.store, who="ben", clock=lambda: moment)
    registry.promote("m", 1)
    alias = later.promote("m", 2, why="fewer false negatives", gates={"golden": "passed", "drift": "forced"})
    assert alias == registry.alias("m")[0]
    (route,) = alias.routes
    assert (route.version, route.weight) == (2, 1.0)
    assert route.digest == digest(registry.store.get("models/m/2/manifest.json").data)
    assert (alias.entry.who, alias.entry.when) == ("ben", "2026-05-03T14:03:00.000000Z")
    assert alias.entry.why == "fewer false negatives"
    assert alias.entry.gates == {"golden": "passed", "drift": "forced", "accuracy-contract": "none"}
    assert [route.version for route in alias.entry.origin] == [1]


def test_promoting_what_does_not_exist_is_refused(registry: Registry) -> None:
    with pytest.raises(VersionNotFoundError, match="no version 6"):
        registry.promote("m", 6)
    with pytest.raises(ModelNotFoundError):
        registry.promote("n", 1)
    with pytest.raises(InvalidNameError):
        registry.promote("m", 1, alias="../production")
    with pytest.raises(AliasNotFoundError):
        registry.alias("m")


def test_aliases_move_apart_from_each_other(registry: Registry) -> None:
    registry.promote("m", 1)
    registry.promote("m", 2, alias="candidate")
    assert [routed(alias) for alias in registry.aliases("m").values()] == [[2], [1]]
    assert len(registry.history("m", "candidate")) == 1


def test_promoting_the_routed_version_again_writes_nothing_and_says_so(registry: Registry) -> None:
    registry.promote("m", 1)
    before = registry.promote("m", 2, on_unchanged=pytest.fail)
    etag = registry.alias("m")[1]
    unchanged: list[str] = []

    after = registry.promote("m", 2, why="signed off", on_unchanged=lambda: unchanged.append("told"))

    assert unchanged == ["told"]
    assert after == before
    assert registry.alias("m") == (before, etag)
    assert [entry.why for entry in registry.history("m")] == ["", ""]
    assert routed(registry.rollback("m")) == [1]
    assert registry.verify_history("m") == 3


def test_promoting_the_routed_version_with_an_old_etag_is_refused_though_nothing_would_change(
    registry: Registry,
) -> None:
    registry.promote("m", 1)
    _, etag = registry.alias("m")
    registry.promote("m", 2)
    with pytest.raises(PreconditionFailedError, match="read it again"):
        registry.promote("m", 2, if_match=etag)


def test_a_version_whose_manifest_is_another_than_the_one_promoted_is_promoted_anew(registry: Registry) -> None:
    before = registry.promote("m", 1)
    key = "models/m/1/manifest.json"
    registry.store.put(key, registry.store.get(key).data.replace(b"ana@clinic", b"ben@clinic"))

    after = registry.promote("m", 1, on_unchanged=pytest.fail)

    assert after.sequence == before.sequence + 1
    assert after.routes != before.routes


def test_rollback_walks_back_and_never_toggles(registry: Registry) -> None:
    for version in (1, 2, 3, 4):
        registry.promote("m", version)
    assert [routed(registry.rollback("m")) for _ in range(2)] == [[3], [2]]
    registry.promote("m", 5)
    assert [routed(registry.rollback("m")) for _ in range(2)] == [[2], [1]]
    with pytest.raises(NothingToRollBackError):
        registry.rollback("m")
    assert [entry.action for entry in registry.history("m")] == ["promote"] * 4 + ["rollback"] * 2 + ["promote"] + [
        "rollback"
    ] * 2
    assert registry.verify_history("m") == 9


def test_rollback_does_not_lead_back_to_a_version_that_was_rolled_back_from(registry: Registry) -> None:
    for version in (1, 2, 3, 2):
        registry.promote("m", version)
    assert [routed(registry.rollback("m")) for _ in range(2)] == [[3], [1]]


def test_rollback_passes_over_versions_that_are_gone(registry: Registry) -> None:
    for version in (1, 2, 3, 4):
        registry.promote("m", version)
    registry.delete("m", 2, force=True)
    registry.store.delete("models/m/3/manifest.json")
    assert routed(registry.rollback("m", why="worse")) == [1]
    assert registry.verify_history("m") == 5


def test_rollback_passes_over_a_version_whose_manifest_is_not_the_one_that_was_promoted(registry: Registry) -> None:
    for version in (1, 2, 3):
        registry.promote("m", version)
    registry.store.put("models/m/2/manifest.json", b"{}")
    assert routed(registry.rollback("m")) == [1]


def test_nothing_to_roll_back_to_says_where_the_alias_is_since_when(registry: Registry) -> None:
    when = registry.promote("m", 1).entry.when
    with pytest.raises(NothingToRollBackError, match=f"routes to version 1 since {when}"):
        registry.rollback("m")


def test_an_alias_remembers_a_bounded_number_of_routes(registry: Registry) -> None:
    for number in range(PREVIOUS_KEPT + 5):
        registry.promote("m", 1 + number % 5)
    assert len(registry.alias("m")[0].previous) == PREVIOUS_KEPT
    registry.rollback("m")
    assert registry.verify_history("m") == PREVIOUS_KEPT + 6


def test_a_conditional_move_with_an_old_etag_is_refused_at_once(registry: Registry) -> None:
    registry.promote("m", 1)
    _, etag = registry.alias("m")
    registry.promote("m", 2, if_match=etag)
    with pytest.raises(PreconditionFailedError, match="read it again"):
        registry.promote("m", 3, if_match=etag)
    with pytest.raises(PreconditionFailedError, match="read it again"):
        registry.rollback("m", if_match=etag)
    with pytest.raises(PreconditionFailedError):
        registry.promote("m", 1, alias="candidate", if_match=etag)
    assert len(registry.history("m")) == 2
    _, etag = registry.alias("m")
    assert routed(registry.rollback("m", if_match=etag)) == [1]


def test_a_move_can_require_that_the_alias_is_new(registry: Registry) -> None:
    registry.promote("m", 1, if_match=MUST_BE_NEW)
    with pytest.raises(PreconditionFailedError):
        registry.promote("m", 2, if_match=MUST_BE_NEW)
    registry.delete("m", 1, force=True)
    assert routed(registry.promote("m", 2, if_match=MUST_BE_NEW)) == [2]
    assert registry.verify_history("m") == 3


def overtaken(store: Store, meanwhile: Callable[[], object], times: int = 1) -> Store:
    """The same store, but something happens right before each of the first swaps of the alias `production`."""

    class Overtaken(MemoryStore):
        left = times

        def swap(self, key: str, data: bytes | Path, etag: str) -> str:
            if key == PRODUCTION and self.left:
                self.left -= 1
                meanwhile()
            return super().swap(key, data, etag)

    return Overtaken(store.url)


def test_a_lost_swap_comes_after_the_move_that_won(registry: Registry) -> None:
    registry.promote("m", 1)
    faster = iter((4, 5, 2))
    slow = Registry(overtaken(registry.store, lambda: registry.promote("m", next(faster), why="first"), 3))
    assert routed(slow.promote("m", 3, why="second")) == [3]
    assert [entry.why for entry in registry.history("m")] == ["", "first", "first", "first", "second"]
    assert registry.verify_history("m") == 5
    assert routed(registry.rollback("m")) == [2]


def test_a_lost_swap_with_an_etag_is_refused(registry: Registry) -> None:
    registry.promote("m", 1)
    _, etag = registry.alias("m")
    slow = Registry(overtaken(registry.store, lambda: registry.promote("m", 2)))
    with pytest.raises(PreconditionFailedError):
        slow.promote("m", 3, if_match=etag)
    assert routed(registry.alias("m")[0]) == [2]


def test_a_mover_that_keeps_losing_gives_up(registry: Registry) -> None:
    registry.promote("m", 1)
    faster = iter((2, 4, 5))
    slow = Registry(overtaken(registry.store, lambda: registry.promote("m", next(faster)), 100))
    with pytest.raises(PreconditionFailedError):
        slow.promote("m", 3, retries=2)
    assert registry.verify_history("m") == 4


def test_a_swap_that_was_won_but_reported_lost_is_not_made_again(registry: Registry) -> None:
    class Repeating(MemoryStore):
        overtake = False

        def swap(self, key: str, data: bytes | Path, etag: str) -> str:
            super().swap(key, data, etag)
            if self.overtake:
                registry.promote("m", 5)
            return super().swap(key, data, etag)

    store = Repeating(registry.store.url)
    for version in (1, 2, 3):
        registry.promote("m", version)
    assert routed(Registry(store).rollback("m")) == [2]
    _, etag = registry.alias("m")
    assert routed(Registry(store).promote("m", 4, if_match=etag)) == [4]
    assert registry.verify_history("m") == 5
    store.overtake = True
    assert routed(Registry(store).rollback("m")) == [2]
    assert [routed_entry.target[0].version for routed_entry in registry.history("m")] == [1, 2, 3, 2, 4, 2, 5]
    assert registry.verify_history("m") == 7


def test_two_first_promotes_at_once_both_count(registry: Registry) -> None:
    class Overtaken(MemoryStore):
        def create(self, key: str, data: bytes | Path) -> str:
            if key == PRODUCTION:
                registry.promote("m", 1)
                registry.promote("m", 2)
            return super().create(key, data)

    assert routed(Registry(Overtaken(registry.store.url)).promote("m", 3)) == [3]
    assert registry.verify_history("m") == 3


def test_a_first_promote_that_reads_just_before_two_others_comes_after_them(registry: Registry) -> None:
    class Overtaken(MemoryStore):
        def list(self, prefix: str) -> Iterator[Entry]:
            if prefix == "history/m/production/" and not list(super().list("aliases/m/")):
                registry.promote("m", 1)
                registry.promote("m", 2)
            return super().list(prefix)

    assert routed(Registry(Overtaken(registry.store.url)).promote("m", 3)) == [3]
    assert registry.verify_history("m") == 3


def test_an_alias_that_lost_its_document_is_not_started_anew_over_its_history(registry: Registry) -> None:
    registry.promote("m", 1)
    registry.promote("m", 2)
    registry.store.delete(PRODUCTION)
    with pytest.raises(HistoryBrokenError, match="restore the document"):
        registry.promote("m", 3)


def test_a_move_that_would_lose_an_entry_is_refused(registry: Registry) -> None:
    alias = registry.promote("m", 1)
    registry.store.put("history/m/production/0000000001.json", b"{}")
    with pytest.raises(HistoryBrokenError, match="would be lost"):
        registry.promote("m", 2)
    registry.store.put("history/m/production/0000000001.json", encode(alias.entry))
    registry.promote("m", 2)
    assert registry.verify_history("m") == 2


@pytest.mark.parametrize("wrong_read", range(1, 12))
def test_a_read_that_goes_wrong_is_not_made_history(registry: Registry, wrong_read: int) -> None:
    for version in (1, 2, 3):
        registry.promote("m", version, why="sound")

    class Noisy(MemoryStore):
        reads = 0

        def get(self, key: str) -> Blob:
            blob = super().get(key)
            if key.startswith(("aliases/", "history/")):
                self.reads += 1
                if self.reads == wrong_read:
                    return replace(blob, data=blob.data.replace(b"sound", b"found"))
            return blob

    noisy = Noisy(registry.store.url)
    assert routed(Registry(noisy).promote("m", 4, why="sound")) == [4]
    assert [entry.why for entry in registry.history("m")] == ["sound"] * 4
    assert registry.verify_history("m") == 4


def test_a_version_that_is_deleted_while_it_is_promoted_does_not_stay_routed(registry: Registry) -> None:
    registry.promote("m", 1)
    slow = Registry(overtaken(registry.store, lambda: registry.delete("m", 2)))
    with pytest.raises(VersionNotFoundError, match="deleted while it was being promoted"):
        slow.promote("m", 2)
    assert routed(registry.alias("m")[0]) == [1]
    assert registry.verify_history("m") == 3


def test_rolling_back_an_alias_that_is_retired_meanwhile_is_refused(registry: Registry) -> None:
    registry.promote("m", 1)
    registry.promote("m", 2)

    def delete_both() -> None:
        registry.delete("m", 1, force=True)
        registry.delete("m", 2, force=True)

    slow = Registry(overtaken(registry.store, delete_both))
    with pytest.raises(NothingToRollBackError, match="routes to nothing"):
        slow.rollback("m")
    with pytest.raises(AliasNotFoundError, match="retired"):
        registry.rollback("m")
