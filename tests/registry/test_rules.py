"""Any sequence of promote, rollback and delete against a plain model of what they should do."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from onnxlet.errors import AliasNotFoundError, NotFoundError, NothingToRollBackError, VersionInUseError
from onnxlet.registry.reading.servable import servable_digest, servable_versions
from onnxlet.registry.registry import Registry
from onnxlet.store import open_store
from onnxlet.values.aliases import PREVIOUS_KEPT
from registries import publish, routed

DAYS = 7.0
ALIASES = ("production", "candidate")


class AliasModel:
    """An alias as a reader of the documentation would imagine it."""

    def __init__(self) -> None:
        self.version: int | None = None
        self.stack: list[int] = []
        self.moves = 0
        self.left: dict[int, datetime] = {}

    def go(self, version: int | None, now: datetime) -> None:
        if self.version is not None and version != self.version:
            self.left[self.version] = now
        self.version = version
        self.moves += 1

    def promote(self, version: int, now: datetime) -> None:
        if version == self.version:
            return
        if self.version is not None:
            self.stack = [self.version, *self.stack][:PREVIOUS_KEPT]
        self.go(version, now)

    def rollback(self, alive: set[int], now: datetime) -> bool:
        left = self.version
        choices = [version for version in self.stack if version in alive and version != left]
        if not choices:
            return False
        self.stack = [v for v in self.stack[self.stack.index(choices[0]) + 1 :] if v != left]
        self.go(choices[0], now)
        return True

    def servable(self, now: datetime) -> set[int]:
        lately = {version for version, when in self.left.items() if when >= now - timedelta(days=DAYS)}
        return lately | ({self.version} if self.version is not None else set())


class RegistryRules(RuleBasedStateMachine):
    """The registry and the model of it, side by side, with a clock that the rules turn."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.store = open_store(f"memory://{uuid.uuid4().hex}")
        self.registry = Registry(self.store, clock=lambda: self.now)
        self.alive: set[int] = set()
        self.published = 0
        self.aliases = {name: AliasModel() for name in ALIASES}

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def existing(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.alive)))

    @rule()
    def publish(self) -> None:
        self.published += 1
        self.alive.add(self.published)
        assert publish(self.registry, self.folder).version == self.published

    @rule(hours=st.integers(1, 200))
    def wait(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), name=st.sampled_from(ALIASES))
    def promote(self, data: st.DataObject, name: str) -> None:
        version = self.existing(data)
        self.aliases[name].promote(version, self.now)
        assert routed(self.registry.promote("m", version, alias=name)) == [version]

    @rule(name=st.sampled_from(ALIASES))
    def rollback(self, name: str) -> None:
        alias = self.aliases[name]
        if alias.version is None:
            with pytest.raises(NotFoundError):
                self.registry.rollback("m", alias=name)
        elif alias.rollback(self.alive, self.now):
            assert routed(self.registry.rollback("m", alias=name)) == [alias.version]
        else:
            with pytest.raises(NothingToRollBackError):
                self.registry.rollback("m", alias=name)

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        version = self.existing(data)
        if any(version in alias.servable(self.now) for alias in self.aliases.values()):
            with pytest.raises(VersionInUseError):
                self.registry.delete("m", version, days=DAYS)
        else:
            self.registry.delete("m", version, days=DAYS)
            self.alive.discard(version)

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def delete_by_force(self, data: st.DataObject) -> None:
        version = self.existing(data)
        for alias in self.aliases.values():
            if alias.version == version and not alias.rollback(self.alive - {version}, self.now):
                alias.go(None, self.now)
                alias.stack = []
        self.registry.delete("m", version, force=True)
        self.alive.discard(version)

    @invariant()
    def aliases_route_where_they_should(self) -> None:
        expected = {name: [alias.version] for name, alias in self.aliases.items() if alias.version is not None}
        assert {name: routed(alias) for name, alias in self.registry.aliases("m").items()} == expected

    @invariant()
    def every_history_holds(self) -> None:
        for name, alias in self.aliases.items():
            if alias.moves:
                assert self.registry.verify_history("m", name) == alias.moves == len(self.registry.history("m", name))
            else:
                with pytest.raises(NotFoundError):
                    self.registry.verify_history("m", name)
            if alias.moves and alias.version is None:
                with pytest.raises(AliasNotFoundError, match="retired"):
                    self.registry.alias("m", name)

    @invariant()
    def just_the_right_versions_are_servable(self) -> None:
        expected = set().union(*(alias.servable(self.now) for alias in self.aliases.values())) & self.alive
        found = servable_versions(self.store, "m", days=DAYS, now=self.now)
        assert set(found) == expected
        for version in range(1, self.published + 1):
            one = servable_digest(self.store, "m", version, days=DAYS, now=self.now)
            assert one == found.get(version)

    @invariant()
    def just_the_living_are_listed(self) -> None:
        if self.alive:
            listed = self.registry.versions("m")
            assert [(version.number, version.state) for version in listed] == [
                (number, "published") for number in sorted(self.alive)
            ]
        assert self.registry.models() == (["m"] if self.alive else [])


TestRegistryRules = RegistryRules.TestCase
TestRegistryRules.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
