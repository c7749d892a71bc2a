"""fsck: every kind of damage, made behind the package's back, is found, and mended as docs/fsck.md says."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner, Result

import onnxlet
from deliveries import BROKEN, deliver, make_predictor, rows
from models import tiny
from onnxlet.cli import cli
from onnxlet.errors import StoreUnavailableError
from onnxlet.lifecycle.fsck import KINDS, check_store
from onnxlet.registry.registry import Registry
from onnxlet.store import Blob, open_store, s3
from onnxlet.store.memory import MemoryStore
from onnxlet.values.keys import (
    ALARMS,
    BATCH_JOBS,
    BATCH_WORK,
    LIVE_SKETCHES,
    REPORTS,
    capture_key,
    erasure_key,
    label_key,
)
from registry_processes import PATIENCE, S3_TIMEOUTS
from vandals import FileVandal, S3Vandal, Vandal, edit, flip

pytestmark = pytest.mark.slow

INPUT = "batch/in/m/ward/rows.csv"
OUTPUT = "batch/out/m/ward/rows.csv"
ALIAS = "aliases/m/production.json"
DOCS = Path(__file__).parents[2] / "docs" / "fsck.md"


class World(NamedTuple):
    """A store that is whole, the command on it, and somebody who goes behind its back."""

    url: str
    folder: Path
    vandal: Vandal

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(cli, ["--store", self.url, *words])

    def findings(self, *options: str) -> list[tuple[str, str]]:
        """The kinds and keys that `onnxlet fsck` prints; its exit code says whether there are any."""
        result = self.run("fsck", "--json", "--older-than", "0s", *options)
        assert result.stdout, result.output
        document = json.loads(result.stdout)
        assert result.exit_code == (0 if document["clean"] else 1), result.stderr
        return [(finding["kind"], finding["key"]) for finding in document["findings"]]

    def publish(self, promote: bool = True) -> int:
        """Publish another version of `m`; its number."""
        package = tiny.classifier_package(self.folder / f"again{len(self.vandal.keys())}")
        return tiny.publish(open_store(self.url), "m", package, alias="production" if promote else None).version

    def deliver(self) -> None:
        store = open_store(self.url)
        deliver(store, make_predictor(store, self.folder), INPUT)

    def upload_again(self) -> None:
        self.vandal.write(INPUT, self.vandal.read(INPUT))
        self.deliver()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory store: versions 1 and 2 and a deleted 3, two aliases with histories, settings, two scored files."""
    folder = tmp_path_factory.mktemp("template")
    store = open_store((folder / "store").as_uri())
    registry = Registry(store, who="ana")
    for bias in (0.0, 1.0, 2.0):
        tiny.publish(store, "m", tiny.classifier_package(folder / f"model{bias}", bias=bias))
    registry.promote("m", 1, alias="candidate")
    registry.rollback("m")
    registry.delete("m", 3, force=True, days=0)
    registry.require(registry.requirements)
    for key, content in ((INPUT, rows("tag")), ("batch/in/m@candidate/broken.csv", BROKEN)):
        store.put(key, content)
        deliver(store, make_predictor(store, folder), key)
    return folder / "store"


@pytest.fixture(params=["files", "s3"])
def world(request: pytest.FixtureRequest, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The store of the template, as files and as objects."""
    for name in S3_TIMEOUTS:
        monkeypatch.setattr(s3, name, PATIENCE)  # for busy machines
    if request.param == "files":
        shutil.copytree(template, tmp_path / "store")
        return World((tmp_path / "store").as_uri(), tmp_path, FileVandal(tmp_path / "store"))
    url: str = request.getfixturevalue("s3_store_url")
    endpoint: str = request.getfixturevalue("s3_environment")
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    source, vandal = FileVandal(template), S3Vandal(endpoint, bucket, prefix)
    for key in source.keys():  # noqa: SIM118 - no dictionary
        vandal.write(key, source.read(key))
    return World(url, tmp_path, vandal)


class Case(NamedTuple):
    """A damage, what it is found as, and the documented mend."""

    damage: Callable[[World], Any]
    found: list[tuple[str, str]]
    mend: Callable[[World], Any]


def remove(*keys: str) -> Callable[[World], None]:
    def run(world: World) -> None:
        for key in keys:
            world.vandal.remove(key)

    return run


def write(key: str, data: bytes = b"{}") -> Callable[[World], None]:
    return lambda world: world.vandal.write(key, data)


def both(*steps: Callable[[World], Any]) -> Callable[[World], None]:
    def run(world: World) -> None:
        for step in steps:
            step(world)

    return run


def command(*words: str) -> Callable[[World], None]:
    def run(world: World) -> None:
        result = world.run(*words)
        assert result.exit_code == 0, result.output

    return run


def replace_version(world: World) -> None:
    """Publish anew, promote, delete the damaged one."""
    world.publish()
    command("delete", "m:2", "--force")(world)


def reroute(world: World) -> None:
    document = json.loads(world.vandal.read(ALIAS))
    edit(world.vandal, ALIAS, routes=[document["routes"][0] | {"version": 1}])


def reforge(world: World) -> None:
    """Give the newest entry another predecessor, as a forger who cannot write the history has to."""
    document = json.loads(world.vandal.read(ALIAS))
    edit(world.vandal, ALIAS, entry=document["entry"] | {"predecessor": "sha256:" + "0" * 64})


def begin_anew(world: World) -> None:
    """Move the alias and its history out of the store, then promote again."""
    for key in world.vandal.keys():  # noqa: SIM118 - no dictionary
        if key == ALIAS or key.startswith("history/m/production/"):
            world.vandal.remove(key)
    command("promote", "m:2", "--why", "history lost, see the backup of May")(world)


def strip_manifest(world: World) -> None:
    key = "models/m/2/manifest.json"
    listed = json.loads(world.vandal.read(key))["artifacts"]
    edit(world.vandal, key, artifacts=[artifact for artifact in listed if artifact["path"] != "model.onnx"])


force = command("promote", "m:2", "--force", "--reason", "somebody edited the alias")
publish_anew = replace_version
MANIFEST = "models/m/2/manifest.json"
HISTORY = "history/m/production/0000000002.json"

CASES = {
    "a graph is gone": Case(
        remove("models/m/2/model.onnx"), [("artifact-missing", "models/m/2/model.onnx")], publish_anew
    ),
    "a graph has another bit": Case(
        lambda world: flip(world.vandal, "models/m/2/model.onnx"),
        [("artifact-damaged", "models/m/2/model.onnx")],
        publish_anew,
    ),
    "golden cases are cut short": Case(
        lambda world: world.vandal.write("models/m/2/golden.json", world.vandal.read("models/m/2/golden.json")[:-1]),
        [("artifact-damaged", "models/m/2/golden.json")],
        publish_anew,
    ),
    "a manifest is no manifest": Case(write(MANIFEST, b"{"), [("manifest-damaged", MANIFEST)], publish_anew),
    "a manifest was edited after it was promoted": Case(
        lambda world: edit(world.vandal, MANIFEST, publisher="eve"), [("manifest-damaged", MANIFEST)], publish_anew
    ),
    "a manifest of another version": Case(
        lambda world: world.vandal.write(MANIFEST, world.vandal.read("models/m/1/manifest.json")),
        [("manifest-damaged", MANIFEST)],
        publish_anew,
    ),
    "a manifest lists no graph": Case(strip_manifest, [("manifest-damaged", MANIFEST)], publish_anew),
    "a routed version lost its manifest": Case(
        remove(MANIFEST),
        [("alias-astray", ALIAS), ("unfinished-publish", "models/m/2/")],
        both(command("promote", "m:1"), command("gc", "--older-than", "0s")),
    ),
    "an alias routes to a version that was deleted": Case(
        both(
            write("models/m/2/deleted.json"),
            remove(MANIFEST, "models/m/2/model.onnx", "models/m/2/golden.json"),
        ),
        [("alias-astray", ALIAS)],
        command("gc"),
    ),
    "a claim is gone": Case(
        remove("models/m/1/claim.json"),
        [("claim-missing", "models/m/1/claim.json")],
        write("models/m/1/claim.json"),
    ),
    "a version has a tombstone": Case(
        write("models/m/1/deleted.json"),
        [("deleted-but-there", "models/m/1/deleted.json")],
        remove("models/m/1/deleted.json"),
    ),
    "a version has a tombstone and is not whole": Case(
        both(write("models/m/1/deleted.json"), remove("models/m/1/model.onnx")),
        [("deleted-but-there", "models/m/1/deleted.json"), ("artifact-missing", "models/m/1/model.onnx")],
        command("delete", "m:1", "--force"),
    ),
    "a publish was not finished": Case(
        both(write("models/m/4/claim.json"), write("models/m/4/model.onnx")),
        [("unfinished-publish", "models/m/4/")],
        command("gc", "--older-than", "0s"),
    ),
    "a deleted version left a file": Case(
        write("models/m/3/model.onnx"), [("leftovers", "models/m/3/model.onnx")], command("gc")
    ),
    "files that no manifest lists, and that no model has": Case(
        both(write("models/m/1/notes.txt"), write("models/readme.md"), write("models/.m/1/x"), write("stray")),
        [
            ("orphan", "models/.m/1/x"),
            ("orphan", "models/m/1/notes.txt"),
            ("orphan", "models/readme.md"),
            ("orphan", "stray"),
        ],
        remove("models/.m/1/x", "models/m/1/notes.txt", "models/readme.md", "stray"),
    ),
    "routes were changed": Case(reroute, [("alias-damaged", ALIAS)], force),
    "the ways back were changed": Case(
        lambda world: edit(world.vandal, ALIAS, previous=[]), [("alias-damaged", ALIAS)], force
    ),
    "an alias is no alias": Case(write(ALIAS), [("alias-damaged", ALIAS)], force),
    "an alias is gone": Case(remove(ALIAS), [("alias-damaged", ALIAS)], force),
    "an alias of a model that is not there": Case(
        write("aliases/n/production.json"),
        [("alias-damaged", "aliases/n/production.json")],
        remove("aliases/n/production.json"),
    ),
    "a key that is no alias": Case(
        both(write("aliases/m/pro duction.json"), write("aliases/m.json")),
        [("orphan", "aliases/m.json"), ("orphan", "aliases/m/pro duction.json")],
        remove("aliases/m.json", "aliases/m/pro duction.json"),
    ),
    "a past move was changed": Case(
        lambda world: edit(world.vandal, HISTORY, why="forged"), [("history-broken", HISTORY)], begin_anew
    ),
    "a past move is gone": Case(remove(HISTORY), [("history-broken", HISTORY)], begin_anew),
    "the newest move follows another one": Case(
        reforge, [("history-broken", "history/m/production/0000000003.json")], begin_anew
    ),
    "a move that nobody made": Case(
        write("history/m/production/0000000009.json"),
        [("history-stray", "history/m/production/0000000009.json")],
        remove("history/m/production/0000000009.json"),
    ),
    "requirements that nobody can read": Case(
        write("settings/registry.json", b"no"),
        [("settings-damaged", "settings/registry.json")],
        both(remove("settings/registry.json"), command("require", "contracts", "off")),
    ),
    "a book is no book": Case(
        write(f"{OUTPUT}.book.json", b"no"),
        [("book-damaged", f"{OUTPUT}.book.json")],
        both(remove(f"{OUTPUT}.book.json"), World.upload_again),
    ),
    "a scored file is gone": Case(
        remove(OUTPUT), [("output-missing", OUTPUT)], both(remove(f"{OUTPUT}.book.json"), World.upload_again)
    ),
    "a scored file has another bit": Case(
        lambda world: flip(world.vandal, OUTPUT),
        [("output-damaged", OUTPUT)],
        both(remove(f"{OUTPUT}.book.json"), World.upload_again),
    ),
    "a scoring was not finished": Case(
        remove(f"{OUTPUT}.book.json"),
        [("unfinished-scoring", OUTPUT), ("unfinished-scoring", f"{OUTPUT}.errors.jsonl")],
        World.upload_again,
    ),
    "a claim of a scoring is none": Case(
        lambda world: world.vandal.write(claim(world), b"no"),
        [("batch-claim-damaged", "batch/claims/m/ward/rows.csv/")],
        lambda world: world.vandal.remove(claim(world)),
    ),
    "an input that no model scores": Case(
        write("batch/in/no model/rows.csv"),
        [("nothing-to-score", "batch/in/no model/rows.csv")],
        remove("batch/in/no model/rows.csv"),
    ),
}
RESTORED = {
    "artifact-missing": "models/m/2/model.onnx",
    "manifest-damaged": MANIFEST,
    "history-broken": HISTORY,
    "output-damaged": OUTPUT,
    "alias-damaged": ALIAS,
}


def claim(world: World) -> str:
    return next(key for key in world.vandal.keys() if key.startswith("batch/claims/m/ward/"))  # noqa: SIM118


@pytest.mark.parametrize("name", CASES)
def test_damage_is_found_and_mended_as_documented(world: World, name: str) -> None:
    case = CASES[name]
    assert world.findings() == []
    case.damage(world)
    kinds = [(kind, re.sub("[0-9a-f]{32}[.]json$", "", key)) for kind, key in world.findings()]
    assert kinds == sorted(case.found, key=lambda found: found[1])
    case.mend(world)
    assert world.findings() == []


@pytest.mark.parametrize(("kind", "key"), RESTORED.items())
def test_a_key_that_is_restored_leaves_nothing_to_mend(world: World, kind: str, key: str) -> None:
    backup = world.vandal.read(key)
    world.vandal.write(key, b"[]")
    assert world.findings() == [(kind.replace("missing", "damaged"), key)]
    world.vandal.write(key, backup)
    assert world.findings() == []


def test_documents_of_a_newer_onnxlet_ask_for_an_upgrade(world: World) -> None:
    for key in ("models/m/1/manifest.json", "aliases/m/candidate.json", HISTORY, "settings/registry.json"):
        edit(world.vandal, key, schema=9)
    found = world.findings()
    # a promoted manifest has the digest that it was promoted with, so this one is damaged first of all
    assert [kind for kind, _ in found].count("newer-schema") >= 3


def test_every_kind_has_a_case_and_a_line_in_the_docs() -> None:
    cases = {kind for case in CASES.values() for kind, _ in case.found} | {"newer-schema"}
    assert cases == {kind.name for kind in KINDS}
    documented = re.findall(r"^\| `([a-z-]+)` \|", DOCS.read_text(), re.MULTILINE)
    assert documented == [kind.name for kind in KINDS]


def test_what_may_be_under_way_is_left_alone(world: World) -> None:
    world.vandal.write("models/m/4/claim.json", b"{}")
    world.vandal.remove(f"{OUTPUT}.book.json")
    result = world.run("fsck")
    assert result.exit_code == 0
    assert "nothing is wrong; 1 unfinished publishes may be under way" in result.stderr


def test_a_quick_look_compares_sizes_alone(world: World) -> None:
    flip(world.vandal, "models/m/2/model.onnx")
    assert world.findings("--quick") == []
    world.vandal.write("models/m/2/model.onnx", b"short")
    assert world.findings("--quick") == [("artifact-damaged", "models/m/2/model.onnx")]


def test_the_markers_that_a_console_makes_for_folders_are_no_orphans(s3_store_url: str, s3_environment: str) -> None:
    bucket, _, prefix = s3_store_url.removeprefix("s3://").partition("/")
    vandal = S3Vandal(s3_environment, bucket, prefix)
    for folder in ("models/", "models/m/", "models/m/1/", "batch/", "batch/in/", "batch/in/m/", "batch/in/m/june/"):
        vandal.write(folder, b"")
    assert check_store(open_store(s3_store_url)).clean


def test_what_is_written_while_models_are_in_use_is_no_orphan(world: World) -> None:
    for key in (
        f"{BATCH_JOBS}20261130T070805-3d7146a4.json",
        f"{BATCH_WORK}m/rows.csv/plan.json",
        capture_key("m", 1, "2026-11-29", "e", 0),
        label_key("m", "20261130T071037368996Z", "d0d2e8ec"),
        erasure_key("20261130T071048026139Z", "2987b3b5"),
        f"{LIVE_SKETCHES}m/1/2026-11-29/merged.json",
        f"{REPORTS}m/2026-11-29.html",
        f"{ALARMS}m/log/0000000001.json",
    ):
        world.vandal.write(key, b"x")
    assert world.findings() == []


def test_a_key_that_no_store_takes_is_named(s3_store_url: str, s3_environment: str) -> None:
    bucket, _, prefix = s3_store_url.removeprefix("s3://").partition("/")
    vandal = S3Vandal(s3_environment, bucket, prefix)
    vandal.write("models//x", b"x")
    with pytest.raises(StoreUnavailableError, match=r"holds a key that no store takes: .*models//x"):
        check_store(open_store(s3_store_url))
    vandal.remove("models//x")
    vandal.write("models/\x1b[2K", b"x")
    result = CliRunner().invoke(cli, ["--store", s3_store_url, "fsck"])
    assert result.exit_code == 1
    assert "\x1b" not in result.stderr
    assert r"\u001b[2K" in result.stderr


def test_findings_are_printed_with_what_mends_them(world: World) -> None:
    world.vandal.remove("models/m/2/model.onnx")
    result = world.run("fsck")
    assert result.exit_code == 1
    head, line = result.stdout.splitlines()
    assert head.split() == ["FINDING", "KEY", "WHAT"]
    assert line.split()[:2] == ["artifact-missing", "models/m/2/model.onnx"]
    assert "artifact-missing  restore the key from a backup" in result.stderr
    assert "2 versions of 1 models, 2 aliases with 5 moves" in result.stderr
    assert result.stderr.strip().endswith("1 finding")


def test_the_same_from_python(world: World) -> None:
    registry = onnxlet.Registry(world.url)
    check = registry.fsck()
    assert check.clean
    assert check.checked.moves == 5
    flip(world.vandal, "models/m/1/model.onnx")
    check = registry.fsck()
    assert [finding.kind for finding in check.findings] == ["artifact-damaged"]
    assert "artifact-damaged" in repr(check)
    assert "<td>artifact-damaged</td>" in check._repr_html_()


def test_a_read_that_goes_wrong_once_is_no_finding(template: Path) -> None:
    class Flaky(MemoryStore):
        wrong = 0

        def get_range(self, key: str, start: int, length: int, *, etag: str | None = None) -> memoryview:
            data = super().get_range(key, start, length, etag=etag)
            if key.endswith("model.onnx") and not self.wrong:
                self.wrong += 1
                return memoryview(bytes(data[:-1]) + b"x")
            return data

    store = Flaky("memory://flaky")
    source = FileVandal(template)
    for key in source.keys():  # noqa: SIM118 - no dictionary
        store.put(key, source.read(key))
    assert check_store(store).clean
    assert store.wrong == 1


def test_a_version_that_is_deleted_meanwhile_is_no_finding(template: Path) -> None:
    source = FileVandal(template)

    class Busy(MemoryStore):
        busy = False

        def get(self, key: str) -> Blob:
            blob = super().get(key)
            if key == MANIFEST and not self.busy:
                self.busy = True
                registry = Registry(MemoryStore(self.url))
                registry.promote("m", 1)
                registry.delete("m", 2, force=True)
            return blob

    store = Busy("memory://busy")
    for key in source.keys():  # noqa: SIM118 - no dictionary
        store.put(key, source.read(key))
    assert check_store(store).clean
    assert store.busy


def test_a_large_artifact_is_read_in_parts(template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxlet.registry.fsck.versions.PART", 100)
    longest: list[int] = []

    class Watched(MemoryStore):
        def get_range(self, key: str, start: int, length: int, *, etag: str | None = None) -> memoryview:
            longest.append(length)
            return super().get_range(key, start, length, etag=etag)

    store = Watched("memory://parts")
    source = FileVandal(template)
    for key in source.keys():  # noqa: SIM118 - no dictionary
        store.put(key, source.read(key))
    done: list[tuple[int, int]] = []
    check = check_store(store, on_progress=lambda *progress: done.append(progress))
    assert check.clean
    assert max(longest) == 100
    assert done[-1][0] == done[-1][1] == check.checked.bytes
    flip(_Raw(store), "models/m/1/model.onnx")
    assert [finding.kind for finding in check_store(store).findings] == ["artifact-damaged"]


class _Raw:
    """A store in memory as its vandal sees it."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def read(self, key: str) -> bytes:
        return self._store.get(key).data

    def write(self, key: str, data: bytes) -> None:
        self._store.put(key, data)

    def remove(self, key: str) -> None:
        self._store.delete(key)

    def keys(self) -> list[str]:
        return [entry.key for entry in self._store.list("")]
