"""Before a version is promoted, its artifacts are looked for: what is damaged never gets an alias."""

from __future__ import annotations

from pathlib import Path

import pytest

from faults import FragileStore
from onnxlet.errors import AliasNotFoundError, IntegrityError
from onnxlet.registry.reading.artifacts import SMALL
from onnxlet.registry.registry import Registry
from onnxlet.store import Store
from registries import DRAFT, publish, routed

GRAPH, WEIGHTS = "models/m/2/model.onnx", "models/m/2/model.onnx.data"


@pytest.fixture
def registry(store: Store, tmp_path: Path) -> Registry:
    """A registry in which version 1 of `m` is promoted, and version 2 has a small graph and weights that are large."""
    registry = Registry(store)
    files = {"model.onnx": tmp_path / "model.onnx", "model.onnx.data": tmp_path / "data"}
    files["model.onnx"].write_bytes(b"graph")
    files["model.onnx.data"].write_bytes(bytes(SMALL + 1))
    registry.publish("m", DRAFT, {"model.onnx": files["model.onnx"]})
    registry.publish("m", DRAFT, files)
    registry.promote("m", 1)
    return registry


@pytest.mark.parametrize(
    ("key", "data", "fault"),
    [
        (GRAPH, None, "'models/m/2/model.onnx' is gone"),
        (WEIGHTS, None, "'models/m/2/model.onnx.data' is gone"),
        (GRAPH, b"", "has 0 bytes, not 5"),
        (GRAPH, b"graph and more", "has 14 bytes, not 5"),
        (GRAPH, b"grapf", "has the digest sha256:.*, not sha256:"),
        (WEIGHTS, bytes(SMALL), f"has {SMALL} bytes, not {SMALL + 1}"),
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_a_version_with_a_damaged_artifact_is_not_promoted_even_by_force(
    registry: Registry, key: str, data: bytes | None, fault: str, *, force: bool
) -> None:
    registry.store.delete(key)
    if data is not None:
        registry.store.put(key, data)

    with pytest.raises(IntegrityError, match=f"'m:2' is damaged: .*{fault}.*: publish the model again"):
        registry.promote("m", 2, force=force, why="urgent")

    assert routed(registry.alias("m")[0]) == [1]
    assert len(registry.history("m")) == 1


def test_all_that_is_damaged_is_named(registry: Registry) -> None:
    registry.store.put(GRAPH, b"grapf")
    registry.store.delete(WEIGHTS)

    with pytest.raises(IntegrityError, match=r"model\.onnx' has the digest .*model\.onnx\.data' is gone"):
        registry.promote("m", 2, alias="candidate")
    with pytest.raises(AliasNotFoundError):
        registry.alias("m", "candidate")


@pytest.mark.parametrize("damage", [None, b"grapf"])
def test_rollback_passes_over_a_damaged_version(registry: Registry, damage: bytes | None, tmp_path: Path) -> None:
    registry.promote("m", 2)
    third = publish(registry, tmp_path).version
    registry.promote("m", third)
    registry.store.delete(GRAPH)
    if damage is not None:
        registry.store.put(GRAPH, damage)

    assert routed(registry.rollback("m")) == [1]


def test_large_artifacts_are_not_read(registry: Registry) -> None:
    watched = FragileStore(registry.store)

    assert routed(Registry(watched).promote("m", 2)) == [2]

    assert (watched.reads[GRAPH], watched.reads[WEIGHTS]) == (1, 0)
