"""What promoting asks of a version: a contract that holds, one at all if the registry requires it, or a reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from click.testing import CliRunner, Result
from starlette.testclient import TestClient

from faults import FragileStore
from onnxlet.cli import cli
from onnxlet.controlplane.app import create_app
from onnxlet.errors import (
    ContractFailedError,
    ContractMissingError,
    IntegrityError,
    InvalidInputError,
    PreconditionFailedError,
    ReferenceRefusedError,
)
from onnxlet.registry.reading.requirements import Requirements
from onnxlet.registry.registry import Registry
from onnxlet.registry.writing.promotion_gate import GATE, REFERENCE_GATE
from onnxlet.settings import Settings
from onnxlet.store import Blob, Store, open_store
from onnxlet.values.contract import Bounds, Contract, Finding
from onnxlet.values.manifest import ReferenceOrigin
from registries import DRAFT, routed

FAILED, HELD, NONE = 1, 2, 3
"""The versions of `m`: with a contract that failed, with one that held, with none."""


def contract(*, holds: bool) -> Contract:
    """A contract with one finding."""
    return Contract(
        holds=holds,
        task="classification",
        metric="accuracy",
        rows=100,
        bounds=Bounds(),
        findings=(Finding("accuracy_loss", 0.0 if holds else 0.02, 0.005, ok=holds),),
        stages=(),
    )


@pytest.fixture
def registry(directory_url: str, tmp_path: Path) -> Registry:
    """A registry with the three versions."""
    registry = Registry(open_store(directory_url), who="ana")
    graph = tmp_path / "model.onnx"
    graph.write_bytes(b"graph")
    for judged in (contract(holds=False), contract(holds=True), None):
        registry.publish("m", msgspec.structs.replace(DRAFT, contract=judged), {"model.onnx": graph})
    return registry


def test_a_contract_that_holds_lets_its_version_through_and_the_history_says_so(registry: Registry) -> None:
    alias = registry.promote("m", HELD)

    assert routed(alias) == [HELD]
    assert alias.entry.gates == {GATE: "held"}


def test_a_contract_that_failed_stops_its_version(registry: Registry) -> None:
    registry.promote("m", HELD)

    with pytest.raises(ContractFailedError, match=r"'m:1' may not be promoted.*accuracy loss 0.02, at most 0.005"):
        registry.promote("m", FAILED)

    assert routed(registry.alias("m")[0]) == [HELD]
    assert len(registry.history("m")) == 1


def test_it_can_be_forced_with_a_reason_which_the_history_keeps(registry: Registry) -> None:
    with pytest.raises(InvalidInputError, match="needs a reason"):
        registry.promote("m", FAILED, force=True)

    alias = registry.promote("m", FAILED, force=True, why="the old one is worse")

    assert routed(alias) == [FAILED]
    assert alias.entry.why == "the old one is worse"
    assert alias.entry.gates[GATE].startswith("forced: its accuracy contract does not hold")
    assert registry.verify_history("m") == 1


def test_a_version_without_a_contract_passes_unless_one_is_required(registry: Registry) -> None:
    assert registry.promote("m", NONE).entry.gates == {GATE: "none"}
    assert registry.requirements == Requirements()

    registry.require(Requirements(require_contract=True))

    with pytest.raises(ContractMissingError, match="this registry requires one"):
        registry.promote("m", NONE)
    assert routed(registry.promote("m", HELD)) == [HELD]
    forced = registry.promote("m", NONE, force=True, why="a test graph")
    assert forced.entry.gates[GATE].startswith("forced: it has no accuracy contract")


def test_forcing_what_needs_no_force_is_recorded_as_what_it_is(registry: Registry) -> None:
    assert registry.promote("m", HELD, force=True, why="to be sure").entry.gates == {GATE: "held"}


def test_rolling_back_asks_for_no_contract(registry: Registry) -> None:
    registry.promote("m", NONE)
    registry.promote("m", HELD)
    registry.require(Requirements(require_contract=True))

    assert routed(registry.rollback("m")) == [NONE]


@pytest.mark.parametrize("damage", [b"no json", b'{"require_contract": "yes"}', b'{"schema": 2}'])
def test_settings_that_cannot_be_read_let_nothing_through(registry: Registry, damage: bytes) -> None:
    registry.store.put("settings/registry.json", damage)

    with pytest.raises(IntegrityError):
        registry.promote("m", NONE)


def test_every_store_holds_the_requirement(store: Store) -> None:
    registry = Registry(store)
    registry.require(Requirements(require_contract=True))

    assert Registry(store).requirements.require_contract
    registry.require(Requirements())
    assert not Registry(store).requirements.require_contract


class Contested(FragileStore):
    """A store in which somebody else changes the settings right after they were read."""

    def get(self, key: str) -> Blob:
        try:
            return super().get(key)
        finally:
            Registry(self._store).require(Requirements(require_contract=True))


@pytest.mark.parametrize("before", [False, True])
def test_two_who_change_the_requirement_at_once_do_not_overwrite_each_other(store: Store, *, before: bool) -> None:
    if before:
        Registry(store).require(Requirements())

    with pytest.raises(PreconditionFailedError, match=r"settings/registry\.json"):
        Registry(Contested(store)).require(Requirements())

    assert Registry(store).requirements.require_contract


def test_the_api_answers_with_a_conflict_and_can_be_forced(registry: Registry) -> None:
    client = TestClient(create_app(Settings(store=registry.store.url), registry))
    path = "/registry/models/m/aliases/production"

    refused = client.put(path, json={"version": FAILED})
    unexplained = client.put(path, json={"version": FAILED, "force": True})
    forced = client.put(path, json={"version": FAILED, "force": True, "why": "urgent"})

    assert refused.status_code == 409
    assert refused.json()["type"] == "/problems/contract-failed"
    assert (refused.json()["model"], refused.json()["version"]) == ("m", FAILED)
    assert unexplained.status_code == 400
    assert forced.status_code == 201
    assert forced.json()["entry"]["gates"][GATE].startswith("forced")


@pytest.fixture
def run(registry: Registry, directory_url: str) -> Callable[..., Result]:
    """Run a command on the registry's store."""
    del registry
    return lambda *words: CliRunner().invoke(cli, ["--store", directory_url, *words])


def test_the_command_refuses_warns_and_forces(run: Callable[..., Result]) -> None:
    refused = run("promote", f"m:{FAILED}")
    assert refused.exit_code == 1
    assert "--force --reason WHY" in refused.stderr
    assert run("promote", f"m:{FAILED}", "--force").exit_code == 1

    forced = run("promote", f"m:{FAILED}", "--force", "--reason", "urgent")
    assert (forced.exit_code, forced.stdout) == (0, "m@production: - -> 1\n")
    assert "warning: m:1 was forced" in forced.stderr

    bare = run("promote", f"m:{NONE}")
    assert bare.exit_code == 0
    assert "warning: m:3 has no accuracy contract" in bare.stderr
    assert run("promote", f"m:{HELD}").stderr == ""


def published(registry: Registry, tmp_path: Path, kind: Any) -> int:  # noqa: ANN401
    """A version with a contract that holds, and a reference of this kind, or none."""
    graph = tmp_path / "model.onnx"
    graph.write_bytes(b"graph")
    reference = None if kind is None else ReferenceOrigin(kind, "XGBoost", "3.2")
    draft = msgspec.structs.replace(DRAFT, contract=contract(holds=True), reference=reference)
    return registry.publish("m", draft, {"model.onnx": graph}).version


@pytest.mark.parametrize("kind", ["object", "expected", "file"])
def test_the_history_says_whose_answers_were_the_reference(registry: Registry, tmp_path: Path, kind: str) -> None:
    version = published(registry, tmp_path, kind)
    assert registry.promote("m", version).entry.gates == {GATE: "held", REFERENCE_GATE: kind}


@pytest.mark.parametrize(
    ("required", "passing"),
    [("object", {"object"}), ("expected", {"object", "expected"}), ("off", {"object", "expected", "file", None})],
)
def test_a_registry_can_require_a_better_reference(
    registry: Registry, tmp_path: Path, required: Literal["object", "expected", "off"], passing: set[str | None]
) -> None:
    registry.require(Requirements(require_reference=required))
    for kind in ("object", "expected", "file", None):
        version = published(registry, tmp_path, kind)
        if kind in passing:
            registry.promote("m", version)
            continue
        with pytest.raises(ReferenceRefusedError, match=f"its reference is {kind or 'not known'}, and this registry"):
            registry.promote("m", version)
        forced = registry.promote("m", version, force=True, why="there is no other").entry.gates
        assert forced[GATE] == "held"
        assert forced[REFERENCE_GATE].startswith(f"forced: its reference is {kind or 'not known'}")


def test_a_contract_and_a_reference_that_will_not_do_are_both_told(registry: Registry) -> None:
    registry.require(Requirements(require_contract=True, require_reference="object"))
    with pytest.raises(ContractMissingError, match=r"has no accuracy contract.* and its reference is not known"):
        registry.promote("m", NONE)
    with pytest.raises(ContractFailedError, match=r"does not hold.* and its reference is not known"):
        registry.promote("m", FAILED)


def test_the_command_warns_of_a_file_as_reference_and_requires_better(
    run: Callable[..., Result], registry: Registry, tmp_path: Path
) -> None:
    version = published(registry, tmp_path, "file")
    warned = run("promote", f"m:{version}")
    assert warned.exit_code == 0
    assert f"warning: m:{version} is held to what the framework reads in a file" in warned.stderr
    assert run("promote", f"m:{published(registry, tmp_path, 'object')}").stderr == ""

    assert run("require", "reference").stdout == "reference off\n"
    assert run("require", "contracts", "on").exit_code == 0
    assert run("require", "reference", "object").stdout == "reference object\n"
    assert run("require", "contracts").stdout == "contracts on\n"
    assert run("promote", f"m:{version}").exit_code == 1
    forced = run("promote", f"m:{version}", "--force", "--reason", "urgent")
    assert "was forced: its reference is file, and this registry requires object" in forced.stderr
    assert "reference can be object, expected, off, not 'on'" in run("require", "reference", "on").stderr


def test_the_command_requires_contracts_and_tells(run: Callable[..., Result]) -> None:
    assert run("require", "contracts").stdout == "contracts off\n"
    assert run("require", "contracts", "on").stdout == "contracts on\n"
    assert json.loads(run("require", "contracts", "--json").stdout) == {
        "schema": 1,
        "require_contract": True,
        "require_reference": "off",
    }
    refused = run("promote", f"m:{NONE}")
    assert refused.exit_code == 1
    assert "`onnxlet ship MODEL_FILE NAME --data FILE` judges the model" in refused.stderr
    assert "verify DIRECTORY" not in refused.stderr
    assert run("require", "contracts", "off").exit_code == 0
    assert run("promote", f"m:{NONE}").exit_code == 0
