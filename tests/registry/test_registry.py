"""Publishing, listing and looking up."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from onnxlet.errors import (
    AliasNotFoundError,
    ConflictError,
    DigestMismatchError,
    IntegrityError,
    InvalidInputError,
    InvalidNameError,
    ModelNotFoundError,
    PreconditionFailedError,
    StoreUnavailableError,
    TooLargeError,
    VersionNotFoundError,
)
from onnxlet.registry.reading.listing import VersionSummary
from onnxlet.registry.registry import Registry
from onnxlet.store import Entry, Store, open_store
from onnxlet.store.memory import MemoryStore
from onnxlet.values import keys
from onnxlet.values.digests import digest
from onnxlet.values.manifest import Golden, encode_manifest
from onnxlet.values.refs import Ref
from registries import DRAFT, publish, routed


@pytest.fixture(params=["memory", "directory", "s3"])
def any_store(request: pytest.FixtureRequest) -> Store:
    """Each of the three stores."""
    if request.param == "memory":
        store: Store = request.getfixturevalue("store")
        return store
    return open_store(request.getfixturevalue("directory_url" if request.param == "directory" else "s3_store_url"))


DOCUMENTS = ["claim.json", "manifest.json", "deleted.json", "manifest.json/x"]


def everything(store: Store) -> dict[str, bytes]:
    return {entry.key: store.get(entry.key).data for entry in store.list("")}


def test_a_version_lives_from_publish_to_delete_in_every_store(any_store: Store, tmp_path: Path) -> None:
    registry = Registry(any_store, who="ana@clinic")
    for graph in (b"one", b"two", b"three"):
        publish(registry, tmp_path, graph=graph)
        registry.promote("m", len(registry.versions("m")), why="better")
    assert registry.models() == ["m"]
    assert routed(registry.rollback("m", why="worse")) == [2]
    assert [(entry.action, entry.why) for entry in registry.history("m")] == [("promote", "better")] * 3 + [
        ("rollback", "worse")
    ]
    assert registry.verify_history("m") == 4
    registry.delete("m", 3, force=True)
    assert [version.number for version in registry.versions("m")] == [1, 2]
    assert publish(registry, tmp_path).version == 4
    assert registry.gc(older_than=timedelta(0)) == []


def test_a_manifest_says_what_was_published_by_whom_and_when(store: Store, tmp_path: Path) -> None:
    graph, golden = tmp_path / "a", tmp_path / "b"
    graph.write_bytes(b"graph")
    golden.write_bytes(b"[]")
    draft = msgspec.structs.replace(DRAFT, golden=Golden("golden/cases.json", "synthetic", 0))
    now = datetime(2026, 5, 3, 14, 3, tzinfo=UTC)
    registry = Registry(store, who="ana@clinic", clock=lambda: now)
    manifest = registry.publish("m", draft, {"model.onnx": graph, "golden/cases.json": golden})
    assert manifest == registry.manifest("m", 1)
    assert (manifest.model, manifest.version, manifest.publisher) == ("m", 1, "ana@clinic")
    assert manifest.created == "2026-05-03T14:03:00.000000Z"
    assert [(artifact.path, artifact.size) for artifact in manifest.artifacts] == [
        ("golden/cases.json", 2),
        ("model.onnx", 5),
    ]
    for artifact in manifest.artifacts:
        assert digest(store.get(f"models/m/1/{artifact.path}").data) == artifact.digest
    assert store.get("models/m/1/manifest.json").data == encode_manifest(manifest)


def test_a_large_artifact_is_uploaded_from_its_file_with_the_same_digest(any_store: Store, tmp_path: Path) -> None:
    graph = bytes(range(256)) * (9 * 2**12)
    manifest = publish(Registry(any_store), tmp_path, graph=graph)
    assert manifest.artifacts[0].digest == digest(graph)
    assert any_store.get("models/m/1/model.onnx").data == graph


def test_a_large_file_that_changes_while_it_is_uploaded_is_not_published(store: Store, tmp_path: Path) -> None:
    class Writing(MemoryStore):
        def create(self, key: str, data: bytes | Path) -> str:
            if isinstance(data, Path):
                data.write_bytes(b"other")
            return super().create(key, data)

    with pytest.raises(ConflictError, match="changed while it was being published"):
        publish(Registry(Writing(store.url)), tmp_path, graph=bytes(9 * 2**20))
    assert Registry(store).models() == []


def test_progress_is_told_in_bytes_from_nothing_to_all(store: Store, tmp_path: Path) -> None:
    files = {}
    for number, name in enumerate(["model.onnx", "labels.json", "golden.json"], start=1):
        files[name] = tmp_path / name
        files[name].write_bytes(bytes(number * 100))
    told: list[tuple[int, int]] = []
    Registry(store).publish("m", DRAFT, files, on_progress=lambda done, total: told.append((done, total)))
    assert told[0] == (0, 600)
    assert told[-1] == (600, 600)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_artifacts_over_5_gb_are_refused_before_anything_is_written(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    with file.open("wb") as stream:
        stream.truncate(5 * 10**9 + 1)
    with pytest.raises(TooLargeError, match="5000000001 bytes"):
        Registry(store).publish("m", DRAFT, {"model.onnx": file})
    assert everything(store) == {}


@pytest.mark.parametrize(
    "path",
    ["../model.onnx", "/etc/passwd", "a//b", "a/./b", "", "a\\b", "a\nb", "x" * 300, "model.onnx/x", *DOCUMENTS],
)
def test_artifact_paths_that_lead_elsewhere_are_refused_before_anything_is_written(
    store: Store, tmp_path: Path, path: str
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"graph")
    with pytest.raises(InvalidNameError):
        Registry(store).publish("m", DRAFT, {"model.onnx": file, path: file})
    assert everything(store) == {}


@pytest.mark.parametrize("name", ["", "../m", "a/b", "m\n", "modèle", "..", "x" * 129])
def test_names_that_no_model_can_have_are_refused_everywhere(store: Store, tmp_path: Path, name: str) -> None:
    registry = Registry(store)
    for ask in (registry.versions, registry.aliases, registry.alias, registry.history, registry.verify_history):
        with pytest.raises(InvalidNameError):
            ask(name)
    with pytest.raises(InvalidNameError):
        publish(registry, tmp_path, name)
    for change in (registry.manifest, registry.promote, registry.delete):
        with pytest.raises(InvalidNameError):
            change(name, 1)
    with pytest.raises(InvalidNameError):
        registry.rollback(name)
    assert everything(store) == {}


@pytest.mark.parametrize("files", [{}, {"model.onnx.data": "there"}, {"model.onnx": "missing"}, {"model.onnx": "."}])
def test_a_version_without_its_files_is_refused(store: Store, tmp_path: Path, files: dict[str, str]) -> None:
    (tmp_path / "there").write_bytes(b"x")
    with pytest.raises(InvalidInputError):
        Registry(store).publish("m", DRAFT, {path: tmp_path / name for path, name in files.items()})
    draft = msgspec.structs.replace(DRAFT, golden=Golden("golden.json", "random", 1))
    with pytest.raises(InvalidInputError, match=r"'golden\.json'"):
        Registry(store).publish("m", draft, {"model.onnx": tmp_path / "there"})
    assert everything(store) == {}


def test_a_publish_that_fails_leaves_a_gap_whose_number_is_never_reused(store: Store, tmp_path: Path) -> None:
    class Failing(MemoryStore):
        def create(self, key: str, data: bytes | Path) -> str:
            if key.endswith("model.onnx"):
                raise StoreUnavailableError("no answer")
            return super().create(key, data)

        def delete(self, key: str, *, etag: str | None = None) -> None:
            raise StoreUnavailableError(f"no answer for {key!r} and {etag!r}")

    registry = Registry(store)
    with pytest.raises(StoreUnavailableError, match="no answer; `onnxlet gc --older-than 0s` removes what"):
        publish(Registry(Failing(store.url)), tmp_path)
    assert registry.models() == []
    assert [(version.number, version.state) for version in registry.versions("m")] == [(1, "incomplete")]
    with pytest.raises(ModelNotFoundError):
        registry.manifest("m", 1)
    assert publish(registry, tmp_path).version == 2
    with pytest.raises(VersionNotFoundError, match="incomplete"):
        registry.promote("m", 1)
    assert [(version.number, version.state) for version in registry.versions("m")] == [
        (1, "incomplete"),
        (2, "published"),
    ]


def test_a_publish_that_fails_takes_back_what_it_uploaded(store: Store, tmp_path: Path) -> None:
    class Full(MemoryStore):
        def create(self, key: str, data: bytes | Path) -> str:
            if key.endswith("model.onnx.data"):
                raise StoreUnavailableError("no space left")
            return super().create(key, data)

    files = {name: tmp_path / name for name in ("a.txt", "b.txt", "model.onnx", "model.onnx.data")}
    for file in files.values():
        file.write_bytes(b"x")
    registry, claimed = Registry(store), list[int]()

    with pytest.raises(StoreUnavailableError, match=r"^no space left$"):
        Registry(Full(store.url)).publish("m", DRAFT, files, on_claim=claimed.append)

    assert claimed == [1]
    assert sorted(everything(store)) == ["models/m/1/claim.json", "models/m/1/deleted.json"]
    assert publish(registry, tmp_path).version == 2


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), StoreUnavailableError("no answer")])
def test_a_publish_that_ends_between_its_files_and_its_manifest_takes_them_back(
    store: Store, tmp_path: Path, fault: BaseException
) -> None:
    class Ending(MemoryStore):
        def get_range(self, key: str, start: int, length: int, *, etag: str | None = None) -> memoryview:
            if key.endswith(keys.TOMBSTONE):
                raise fault
            return super().get_range(key, start, length, etag=etag)

    with pytest.raises(type(fault)):
        publish(Registry(Ending(store.url)), tmp_path)

    assert sorted(everything(store)) == ["models/m/1/claim.json", "models/m/1/deleted.json"]


def test_a_publish_that_is_cleared_away_while_it_uploads_leaves_nothing(store: Store, tmp_path: Path) -> None:
    class Slow(MemoryStore):
        def create(self, key: str, data: bytes | Path) -> str:
            if key.endswith("model.onnx"):
                Registry(store).gc(older_than=timedelta(0))
            return super().create(key, data)

    with pytest.raises(ConflictError, match="cleared away by gc"):
        publish(Registry(Slow(store.url)), tmp_path)

    assert sorted(everything(store)) == ["models/m/1/claim.json", "models/m/1/deleted.json"]


def test_a_publish_that_fails_leaves_what_others_wrote(store: Store, tmp_path: Path) -> None:
    store.create("models/m/1/a.txt", b"theirs")

    class Late(MemoryStore):
        def list(self, prefix: str) -> Iterator[Entry]:
            return (entry for entry in super().list(prefix) if not entry.key.endswith("a.txt"))

    files = {name: tmp_path / name for name in ("a.txt", "model.onnx")}
    for file in files.values():
        file.write_bytes(b"x")

    with pytest.raises(ConflictError, match="written by somebody else"):
        Registry(Late(store.url)).publish("m", DRAFT, files)

    assert store.get("models/m/1/a.txt").data == b"theirs"
    assert "models/m/1/model.onnx" not in everything(store)


@pytest.mark.parametrize("written", [True, False])
def test_a_publish_whose_manifest_is_not_answered_removes_nothing(
    *, store: Store, tmp_path: Path, written: bool
) -> None:
    class Mute(MemoryStore):
        def create(self, key: str, data: bytes | Path) -> str:
            if not key.endswith("manifest.json"):
                return super().create(key, data)
            if written:
                super().create(key, data)
            raise StoreUnavailableError("no answer")

    if written:
        assert publish(Registry(Mute(store.url)), tmp_path) == Registry(store).manifest("m", 1)
    else:
        with pytest.raises(StoreUnavailableError, match="no answer; `onnxlet gc --older-than 0s` removes what"):
            publish(Registry(Mute(store.url)), tmp_path)
    assert store.get("models/m/1/model.onnx").data == b"graph"


def test_a_publish_that_is_done_is_not_said_to_have_left_anything_behind(store: Store, tmp_path: Path) -> None:
    class Silenced(MemoryStore):
        def get_range(self, key: str, start: int, length: int, *, etag: str | None = None) -> memoryview:
            if key.endswith(keys.TOMBSTONE) and Registry(store).models():
                raise StoreUnavailableError("no answer")
            return super().get_range(key, start, length, etag=etag)

    with pytest.raises(StoreUnavailableError, match=r"^no answer$"):
        publish(Registry(Silenced(store.url)), tmp_path)
    assert Registry(store).manifest("m", 1).version == 1


@pytest.mark.parametrize("size", [5, 9 * 2**20])
def test_a_write_whose_answer_is_lost_and_that_is_repeated_counts_as_ours(
    store: Store, tmp_path: Path, size: int
) -> None:
    class Repeating(MemoryStore):
        def create(self, key: str, data: bytes | Path) -> str:
            super().create(key, data)
            return super().create(key, data)

    assert publish(Registry(Repeating(store.url)), tmp_path, graph=bytes(size)).version == 1
    assert Registry(store).manifest("m", 1).version == 1


@pytest.mark.parametrize("theirs", [bytes(9 * 2**20 - 1), bytes(9 * 2**20 + 1), b"x" * 9 * 2**20])
def test_a_large_file_of_somebody_else_is_not_taken_over(store: Store, tmp_path: Path, theirs: bytes) -> None:
    class Intruding(MemoryStore):
        def create(self, key: str, data: bytes | Path) -> str:
            if key.endswith("model.onnx"):
                store.create(key, theirs)
            return super().create(key, data)

    with pytest.raises(PreconditionFailedError):
        publish(Registry(Intruding(store.url)), tmp_path, graph=bytes(9 * 2**20))
    assert store.get("models/m/1/model.onnx").data == theirs


def test_a_claim_that_is_lost_takes_the_next_number(store: Store, tmp_path: Path) -> None:
    class Overtaken(MemoryStore):
        def create(self, key: str, data: bytes | Path) -> str:
            if key == keys.claim_key("m", 1):
                publish(Registry(store, who="other"), tmp_path / "other")
            return super().create(key, data)

    assert publish(Registry(Overtaken(store.url), who="me"), tmp_path).version == 2
    assert [Registry(store).manifest("m", number).publisher for number in (1, 2)] == ["other", "me"]


@pytest.mark.parametrize("path", ["model.onnx", "manifest.json"])
def test_a_publish_does_not_take_over_what_somebody_else_wrote(store: Store, tmp_path: Path, path: str) -> None:
    class Intruding(MemoryStore):
        def create(self, key: str, data: bytes | Path) -> str:
            if key == f"models/m/2/{path}":
                store.create(key, foreign)
            return super().create(key, data)

    foreign = encode_manifest(msgspec.structs.replace(publish(Registry(store, who="eve"), tmp_path), version=2))
    with pytest.raises(ConflictError, match="publish"):
        publish(Registry(Intruding(store.url)), tmp_path)


def test_versions_are_listed_by_number_with_their_aliases(store: Store, tmp_path: Path) -> None:
    registry = Registry(store)
    created = [publish(registry, tmp_path, graph=bytes(number)).created for number in range(1, 12)]
    registry.promote("m", 11)
    registry.promote("m", 11, alias="candidate")
    registry.promote("m", 2, alias="fallback")
    publish(registry, tmp_path, "m.2")
    listed = registry.versions("m")
    assert [version.number for version in listed] == list(range(1, 12))
    assert listed[1] == VersionSummary(2, created[1], 2, "published", ("fallback",))
    assert listed[10].aliases == ("candidate", "production")
    assert sorted(registry.aliases("m")) == ["candidate", "fallback", "production"]
    assert registry.models() == ["m", "m.2"]


def test_what_does_not_exist_is_named(store: Store, tmp_path: Path) -> None:
    registry = Registry(store)
    with pytest.raises(ModelNotFoundError, match="'m'"):
        registry.versions("m")
    with pytest.raises(ModelNotFoundError, match="'m'"):
        registry.alias("m", "production")
    with pytest.raises(ModelNotFoundError, match="'m'"):
        registry.promote("m", 1)
    assert registry.aliases("m") == {}
    publish(registry, tmp_path)
    with pytest.raises(VersionNotFoundError, match="no version 2"):
        registry.manifest("m", 2)
    for ask in (registry.alias, registry.history, registry.verify_history):
        with pytest.raises(AliasNotFoundError, match="promote a version with 'onnxlet promote m:VERSION'"):
            ask("m", "production")
    with pytest.raises(AliasNotFoundError):
        registry.rollback("m")


def test_a_model_whose_versions_were_deleted_is_said_to_have_had_some(store: Store, tmp_path: Path) -> None:
    registry = Registry(store)
    publish(registry, tmp_path)
    registry.delete("m", 1, force=False, days=0.0)

    for ask in (
        lambda: registry.promote("m", 1),
        lambda: registry.versions("m"),
        lambda: registry.manifest("m", 1),
        lambda: registry.alias("m", "production"),
        lambda: registry.delete("m", 1, force=False, days=0.0),
    ):
        with pytest.raises(ModelNotFoundError, match=r"^model 'm' has no version left: what there was of it was dele"):
            ask()

    store.create(keys.claim_key("m", 2), b"{}")
    with pytest.raises(ModelNotFoundError, match=r"^model 'm' has no finished version, only what a publish began$"):
        registry.promote("m", 2)


def test_a_ref_resolves_by_number_by_alias_and_to_production(store: Store, tmp_path: Path) -> None:
    registry = Registry(store)
    manifests = [publish(registry, tmp_path, graph=bytes(number)) for number in (1, 2, 3)]
    registry.promote("m", 1)
    registry.promote("m", 2, alias="candidate")
    for ref, number in [(Ref("m"), 1), (Ref("m", alias="candidate"), 2), (Ref("m", version=3), 3)]:
        assert registry.resolve(ref) == (manifests[number - 1], digest(encode_manifest(manifests[number - 1])))
    with pytest.raises(AliasNotFoundError):
        registry.resolve(Ref("m", alias="other"))


def test_a_manifest_that_was_swapped_is_never_resolved(store: Store, tmp_path: Path) -> None:
    registry = Registry(store)
    manifest = publish(registry, tmp_path)
    publish(registry, tmp_path)
    registry.promote("m", 1)
    store.put("models/m/1/manifest.json", encode_manifest(msgspec.structs.replace(manifest, publisher="eve")))
    with pytest.raises(DigestMismatchError, match="sha256:"):
        registry.resolve(Ref("m"))
    store.put("models/m/1/manifest.json", store.get("models/m/2/manifest.json").data)
    with pytest.raises(IntegrityError, match="is that of 'm:2'"):
        registry.manifest("m", 1)
    registry.promote("m", 2, alias="candidate")
    store.put("aliases/m/production.json", store.get("aliases/m/candidate.json").data)
    with pytest.raises(IntegrityError, match="is that of 'm@candidate'"):
        registry.alias("m", "production")


def test_foreign_objects_among_the_versions_are_passed_over(store: Store, tmp_path: Path) -> None:
    registry = Registry(store)
    publish(registry, tmp_path)
    for key in ("models/readme.txt", "models/m/notes.txt", "models/m/007/manifest.json", "models/m/x/manifest.json"):
        store.put(key, b"?")
    assert registry.models() == ["m"]
    assert [version.number for version in registry.versions("m")] == [1]
    assert publish(registry, tmp_path).version == 2


def test_a_registry_may_act_in_anothers_name(store: Store, tmp_path: Path) -> None:
    registry = Registry(store)
    assert publish(registry, tmp_path).publisher == "unknown"
    assert publish(registry.acting_as("ana"), tmp_path).publisher == "ana"


def test_a_conditional_write_that_fails_for_another_reason_is_not_taken_for_a_lost_claim(
    store: Store, tmp_path: Path
) -> None:
    class Down(MemoryStore):
        def create(self, key: str, data: bytes | Path) -> str:
            raise StoreUnavailableError("no answer", key=key, data=data)

    with pytest.raises(StoreUnavailableError):
        publish(Registry(Down(store.url)), tmp_path)


def modules_loaded_by(module: str) -> set[str]:
    """What a process has loaded that imports this module."""
    code = f"import sys, {module}; print(*sys.modules)"
    finished = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(finished.stdout.split())


def test_what_the_data_plane_reads_imports_neither_the_registry_nor_a_thread_pool() -> None:
    loaded = modules_loaded_by("onnxlet.registry.reading.servable")
    assert "onnxlet.registry.reading.servable" in loaded
    assert not {"onnxlet.registry.registry", "concurrent.futures", "numpy", "random"} & loaded
    assert not [module for module in loaded if module.startswith("onnxlet.registry.writing")]


def test_the_data_plane_loads_one_module_of_the_registry_and_the_folders_that_it_lies_in() -> None:
    loaded = modules_loaded_by("onnxlet.serving.predictor")
    assert {module for module in loaded if module.startswith("onnxlet.registry")} == {
        "onnxlet.registry",
        "onnxlet.registry.reading",
        "onnxlet.registry.reading.lookup",
    }


def test_an_unreadable_file_is_the_callers_mistake(store: Store, tmp_path: Path) -> None:
    class Removing(MemoryStore):
        def create(self, key: str, data: bytes | Path) -> str:
            (tmp_path / "model.onnx").unlink(missing_ok=True)
            return super().create(key, data)

    with pytest.raises(InvalidInputError, match="cannot be read"):
        publish(Registry(Removing(store.url)), tmp_path)
