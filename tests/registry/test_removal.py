"""Delete, gc, and which versions stay servable: with a clock that the tests turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from onnxlet.errors import (
    AliasNotFoundError,
    ConflictError,
    ModelNotFoundError,
    StoreUnavailableError,
    VersionInUseError,
    VersionNotFoundError,
)
from onnxlet.registry.reading.servable import MOST_MOVES, servable_digest, servable_versions
from onnxlet.registry.registry import Registry
from onnxlet.store import Blob, Entry, Store
from onnxlet.store.memory import MemoryStore
from onnxlet.values.digests import digest
from onnxlet.values.refs import Ref
from registries import publish, routed

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock to turn."""
    return Clock()


@pytest.fixture
def registry(store: Store, tmp_path: Path, clock: Clock) -> Registry:
    """A registry with three versions of `m`."""
    registry = Registry(store, who="ana@clinic", clock=clock)
    for number in range(1, 4):
        publish(registry, tmp_path, graph=bytes(number))
    return registry


def object_keys(store: Store, prefix: str = "models/") -> list[str]:
    return [entry.key for entry in store.list(prefix)]


class Dying(MemoryStore):
    """A store that is never heard of again at the nth write or delete."""

    left = 0

    def _spend(self) -> None:
        if self.left == 0:
            raise StoreUnavailableError("gone")
        self.left -= 1

    def create(self, key: str, data: bytes | Path) -> str:
        self._spend()
        return super().create(key, data)

    def swap(self, key: str, data: bytes | Path, etag: str) -> str:
        self._spend()
        return super().swap(key, data, etag)

    def delete(self, key: str, *, etag: str | None = None) -> None:
        self._spend()
        super().delete(key, etag=etag)


def dying(registry: Registry, writes: int) -> Registry:
    """The same registry, but only so many writes reach the store."""
    store = Dying(registry.store.url)
    store.left = writes
    return Registry(store, who=registry.writer.who, clock=registry.writer.clock)


def test_a_deleted_version_is_gone_and_its_number_is_never_reused(registry: Registry, tmp_path: Path) -> None:
    registry.delete("m", 3)
    assert [version.number for version in registry.versions("m")] == [1, 2]
    for ask in (registry.manifest, registry.promote, registry.delete):
        with pytest.raises(VersionNotFoundError, match="version 3 of model 'm' was deleted"):
            ask("m", 3)
    assert object_keys(registry.store, "models/m/3/") == ["models/m/3/claim.json", "models/m/3/deleted.json"]
    assert publish(registry, tmp_path).version == 4


def test_a_model_without_versions_is_no_model_any_more_but_its_numbers_are_taken(
    registry: Registry, tmp_path: Path
) -> None:
    for version in (1, 2, 3):
        registry.delete("m", version)
    assert registry.models() == []
    with pytest.raises(ModelNotFoundError):
        registry.versions("m")
    assert registry.gc(older_than=timedelta(0)) == []
    assert publish(registry, tmp_path).version == 4


def test_a_version_in_use_is_not_deleted_and_the_error_says_who_uses_it(registry: Registry, clock: Clock) -> None:
    registry.promote("m", 1)
    registry.promote("m", 1, alias="candidate")
    with pytest.raises(VersionInUseError, match="'candidate', 'production' routes to it"):
        registry.delete("m", 1)
    registry.promote("m", 2)
    registry.promote("m", 2, alias="candidate")
    with pytest.raises(VersionInUseError, match="within the last 7 days"):
        registry.delete("m", 1)
    clock.now += 7 * DAY
    with pytest.raises(VersionInUseError):
        registry.delete("m", 1)
    clock.now += HOUR
    registry.delete("m", 1)
    registry.promote("m", 3)
    registry.promote("m", 3, alias="candidate")
    clock.now += HOUR
    registry.delete("m", 2, days=1 / 25)
    assert [version.number for version in registry.versions("m")] == [3]


def test_force_takes_aliases_off_the_version_and_says_so_in_their_histories(registry: Registry) -> None:
    registry.promote("m", 1)
    registry.promote("m", 2)
    registry.promote("m", 2, alias="candidate")
    Registry(registry.store, who="ben").delete("m", 2, force=True)
    assert {name: routed(alias) for name, alias in registry.aliases("m").items()} == {"production": [1]}
    assert [(entry.action, entry.who, entry.why) for entry in registry.history("m")][2:] == [
        ("rollback", "ben", "version 2 was deleted")
    ]
    assert [entry.action for entry in registry.history("m", "candidate")] == ["promote", "retire"]
    for name in ("production", "candidate"):
        registry.verify_history("m", name)


def test_a_retired_alias_answers_as_none_and_can_be_promoted_again(registry: Registry) -> None:
    registry.promote("m", 1)
    registry.delete("m", 1, force=True)
    for ask in (lambda: registry.alias("m"), lambda: registry.resolve(Ref("m")), lambda: registry.rollback("m")):
        with pytest.raises(AliasNotFoundError, match="retired: promote a version"):
            ask()
    assert registry.aliases("m") == {}
    assert routed(registry.promote("m", 2)) == [2]
    assert [entry.sequence for entry in registry.history("m")] == [1, 2, 3]
    assert registry.verify_history("m") == 3


@pytest.mark.parametrize("writes", range(5))
def test_a_delete_that_dies_midway_can_be_made_again_or_left_to_gc(
    registry: Registry, tmp_path: Path, writes: int, clock: Clock
) -> None:
    registry.promote("m", 1)
    registry.promote("m", 2)
    with pytest.raises(StoreUnavailableError):
        dying(registry, writes).delete("m", 2, force=True)
    registry.verify_history("m")
    gone = all(version.number != 2 or version.state == "incomplete" for version in registry.versions("m"))
    if not gone:
        registry.delete("m", 2, force=True)
    clock.now += DAY
    registry.gc(older_than=HOUR)
    assert routed(registry.alias("m")[0]) == [1]
    assert [version.number for version in registry.versions("m")] == [1, 3]
    assert object_keys(registry.store, "models/m/2/") == ["models/m/2/claim.json", "models/m/2/deleted.json"]
    assert publish(registry, tmp_path).version == 4


def test_a_promotion_during_a_delete_leaves_no_alias_on_the_deleted_version(registry: Registry) -> None:
    class Between(MemoryStore):
        def delete(self, key: str, *, etag: str | None = None) -> None:
            if key == "models/m/2/manifest.json":
                registry.promote("m", 2, why="between")
            super().delete(key, etag=etag)

    registry.promote("m", 1)
    Registry(Between(registry.store.url)).delete("m", 2)
    assert routed(registry.alias("m")[0]) == [1]
    assert [entry.why for entry in registry.history("m")] == ["", "between", "version 2 was deleted"]
    assert registry.verify_history("m") == 3


@pytest.mark.parametrize("writes", range(1, 3))
def test_gc_clears_what_an_unfinished_publish_left_once_it_is_old(
    registry: Registry, tmp_path: Path, clock: Clock, writes: int
) -> None:
    with pytest.raises(StoreUnavailableError):
        publish(dying(registry, writes), tmp_path)
    left = ["models/m/4/model.onnx"] * (writes - 1)
    assert registry.versions("m")[-1].state == "incomplete"
    assert registry.versions("m")[-1].size == 5 * (writes - 1)
    clock.now += HOUR
    assert registry.gc(older_than=2 * HOUR) == []
    clock.now += 2 * HOUR
    before = object_keys(registry.store)
    assert registry.gc(older_than=2 * HOUR, dry_run=True) == left
    assert object_keys(registry.store) == before
    assert registry.gc(older_than=2 * HOUR) == left
    assert [version.number for version in registry.versions("m")] == [1, 2, 3]
    assert registry.gc(older_than=timedelta(0)) == []
    assert publish(registry, tmp_path).version == 5


def test_gc_leaves_a_publish_alone_that_still_writes(registry: Registry, tmp_path: Path) -> None:
    class Collecting(MemoryStore):
        def create(self, key: str, data: bytes | Path) -> str:
            assert registry.gc(older_than=HOUR) == []
            return super().create(key, data)

    publish(Registry(Collecting(registry.store.url)), tmp_path)
    assert registry.models() == ["m"]


@pytest.mark.parametrize("path", ["model.onnx", "manifest.json", "claim.json"])
def test_a_publish_that_gc_took_for_dead_fails_and_leaves_nothing_visible(
    registry: Registry, tmp_path: Path, clock: Clock, path: str
) -> None:
    class Stalling(MemoryStore):
        def create(self, key: str, data: bytes | Path) -> str:
            if key == f"models/m/4/{path}" and path != "claim.json":
                collect()
            etag = super().create(key, data)
            if key == f"models/m/4/{path}" and path == "claim.json":
                collect()
            return etag

    def collect() -> None:
        clock.now += DAY
        registry.gc(older_than=HOUR)

    with pytest.raises(ConflictError, match="cleared away by gc"):
        publish(Registry(Stalling(registry.store.url)), tmp_path)
    assert [version.number for version in registry.versions("m")] == [1, 2, 3]
    registry.gc(older_than=HOUR)
    assert object_keys(registry.store, "models/m/4/") == ["models/m/4/claim.json", "models/m/4/deleted.json"]


def test_gc_keeps_its_hands_off_a_version_that_is_published_while_it_looks(
    registry: Registry, tmp_path: Path, clock: Clock
) -> None:
    class Late(MemoryStore):
        def list(self, prefix: str) -> Iterator[Entry]:
            listed = list(super().list(prefix))
            registry.store.put("models/m/4/manifest.json", registry.store.get("models/m/3/manifest.json").data)
            yield from listed

    with pytest.raises(StoreUnavailableError):
        publish(dying(registry, 2), tmp_path)
    clock.now += DAY
    late = Late(registry.store.url)
    assert Registry(late, clock=clock).gc(older_than=HOUR) == []
    assert object_keys(registry.store, "models/m/4/") == [
        "models/m/4/claim.json",
        "models/m/4/manifest.json",
        "models/m/4/model.onnx",
    ]


def test_a_version_is_servable_while_an_alias_routes_to_it_and_some_days_after(
    registry: Registry, clock: Clock
) -> None:
    def servable(days: float = 7.0) -> dict[int, str]:
        found = servable_versions(registry.store, "m", days=days, now=clock.now)
        for version in range(5):
            one = servable_digest(registry.store, "m", version, days=days, now=clock.now)
            assert one == found.get(version)
        return found

    assert servable() == {}
    registry.promote("m", 1)
    clock.now += 30 * DAY
    assert servable() == {1: digest(registry.store.get("models/m/1/manifest.json").data)}
    registry.promote("m", 2)
    registry.promote("m", 3)
    clock.now += 3 * DAY
    registry.rollback("m")
    assert list(servable()) == [1, 2, 3]
    clock.now += 5 * DAY
    assert list(servable()) == [2, 3]
    assert list(servable(days=1)) == [2]
    registry.promote("m", 1, alias="candidate")
    assert list(servable(days=0)) == [1, 2]
    registry.delete("m", 2, force=True)
    assert list(servable()) == [1, 3]
    assert servable_versions(registry.store, "n", days=7, now=clock.now) == {}


def test_asking_for_a_version_that_nothing_routes_to_reads_a_bounded_number_of_moves(
    registry: Registry, clock: Clock
) -> None:
    reads: list[str] = []

    class Counting(MemoryStore):
        def get(self, key: str) -> Blob:
            reads.append(key)
            return super().get(key)

    registry.promote("m", 3)
    for number in range(MOST_MOVES + 10):
        registry.promote("m", 1 + number % 2)
    counting = Counting(registry.store.url)
    assert servable_digest(counting, "m", 3, days=7, now=clock.now) is None
    assert len(reads) == MOST_MOVES + 1
    reads.clear()
    assert servable_digest(counting, "m", 9, days=7, now=clock.now) is None
    assert reads == []


def test_a_history_with_a_hole_serves_what_it_still_tells(registry: Registry, clock: Clock) -> None:
    for version in (1, 2, 3):
        registry.promote("m", version)
    registry.store.delete("history/m/production/0000000001.json")
    assert list(servable_versions(registry.store, "m", days=7, now=clock.now)) == [1, 2, 3]
    registry.store.delete("history/m/production/0000000002.json")
    assert list(servable_versions(registry.store, "m", days=7, now=clock.now)) == [2, 3]


def test_deleting_needs_no_readable_manifest(registry: Registry) -> None:
    registry.store.put("models/m/2/manifest.json", b"?")
    registry.delete("m", 2)
    assert [version.number for version in registry.versions("m")] == [1, 3]


def test_deleting_twice_at_once_deletes_once(registry: Registry) -> None:
    def twice(meanwhile: Callable[[], None]) -> Registry:
        class Twice(MemoryStore):
            def create(self, key: str, data: bytes | Path) -> str:
                meanwhile()
                return super().create(key, data)

        return Registry(Twice(registry.store.url))

    def other() -> None:
        with pytest.raises(VersionNotFoundError):
            registry.delete("m", 2)
        registry.store.create("models/m/2/deleted.json", b"{}")

    twice(other).delete("m", 2)
    assert object_keys(registry.store, "models/m/2/") == ["models/m/2/claim.json", "models/m/2/deleted.json"]


def test_gc_takes_aliases_off_what_was_deleted_at_the_moment_that_it_was_promoted(registry: Registry) -> None:
    class Killed(Exception):  # noqa: N818 - what happens, not an error
        pass

    class Dying(MemoryStore):
        def swap(self, key: str, data: bytes | Path, etag: str) -> str:
            Registry(MemoryStore(self.url)).delete("m", 2, force=True)
            super().swap(key, data, etag)
            raise Killed

    registry.promote("m", 1)
    with pytest.raises(Killed):
        Registry(Dying(registry.store.url)).promote("m", 2)
    assert routed(registry.alias("m")[0]) == [2]
    registry.gc(older_than=DAY, dry_run=True)
    assert routed(registry.alias("m")[0]) == [2]
    assert registry.gc(older_than=DAY) == []
    assert routed(registry.alias("m")[0]) == [1]
    assert registry.history("m")[-1].why == "version 2 was deleted"
    assert registry.verify_history("m") == 3


def test_gc_leaves_aliases_alone_that_were_changed_by_hand(registry: Registry) -> None:
    registry.promote("m", 1)
    registry.delete("m", 2)
    registry.store.put("aliases/m/production.json", b"{}")
    registry.gc(older_than=DAY)
    assert registry.store.get("aliases/m/production.json").data == b"{}"
