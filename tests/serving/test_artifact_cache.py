"""The artifact cache: nothing gets its name on disk that is not what the manifest promises."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from faults import FragileStore, WatchedStore
from onnxlet.errors import DigestMismatchError, IntegrityError, StoreUnavailableError, UnavailableError
from onnxlet.serving.artifact_cache import ArtifactCache
from onnxlet.settings import Settings
from onnxlet.store import Store, open_store
from onnxlet.store.ranges import IN_FLIGHT, MAX_RANGE, MIN_RANGE, range_size
from onnxlet.values.digests import digest
from onnxlet.values.manifest import Artifact, Manifest, Provenance, encode_manifest
from onnxlet.values.signature import Signature

PREFIX = "models/m/1/"


def manifest_of(files: Mapping[str, bytes]) -> Manifest:
    return Manifest(
        graph=Signature((), ()),
        signature=Signature((), ()),
        provenance=Provenance(framework="tests", opset={}),
        model="m",
        version=1,
        created="2026-11-23T12:00:00Z",
        publisher="tests",
        artifacts=tuple(Artifact(path, digest(data), len(data)) for path, data in files.items()),
    )


def fill(store: Store, files: Mapping[str, bytes]) -> Manifest:
    for path, data in files.items():
        store.put(PREFIX + path, data)
    return manifest_of(files)


def fetch(store: Store, manifest: Manifest, directory: Path, *, deadline: float = 60) -> Path:
    return Path(ArtifactCache(store, directory).fetch(manifest, digest(encode_manifest(manifest)), deadline=deadline))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def noise(size: int) -> bytes:
    """Bytes without a pattern that a misplaced range could hide in."""
    return np.random.default_rng(7).bytes(size)


def test_a_versions_files_arrive_whole_and_in_their_folders(store: Store, tmp_path: Path) -> None:
    files = {"model.onnx": b"graph", "labels/classes.txt": b"", "golden.json": b"{}"}
    folder = fetch(store, fill(store, files), tmp_path)
    assert contents(folder) == files
    assert folder.parent == tmp_path


@pytest.mark.parametrize(
    "size",
    [
        MIN_RANGE - 1,
        MIN_RANGE,
        MIN_RANGE + 1,
        2 * MIN_RANGE,
        (IN_FLIGHT + 1) * MIN_RANGE + 5,
        IN_FLIGHT * MAX_RANGE + 9,
    ],
)
def test_large_files_arrive_in_ranges(size: int, store: Store, tmp_path: Path) -> None:
    files = {"model.onnx": noise(size)}
    fragile = FragileStore(store)
    assert contents(fetch(fragile, fill(store, files), tmp_path)) == files
    assert fragile.reads[PREFIX + "model.onnx"] == max(1, -(-size // range_size(size)))


def test_small_files_are_read_beside_the_largest(store: Store, tmp_path: Path) -> None:
    files = {"golden.json": b"{}", "model.onnx": b"graph", "labels.txt": b"a"}
    together = threading.Barrier(len(files), timeout=20)
    threads: dict[str, int] = {}

    def meet(_: str, key: str) -> None:
        threads[key.removeprefix(PREFIX)] = threading.get_ident()
        together.wait()

    assert contents(fetch(WatchedStore(store, meet), fill(store, files), tmp_path)) == files
    assert len(set(threads.values())) == len(files)
    assert threads["model.onnx"] == threading.get_ident()


def test_what_fails_beside_the_largest_is_raised_once_all_have_ended(store: Store, tmp_path: Path) -> None:
    files = {"golden.json": b"{}", "model.onnx": noise(2 * MIN_RANGE)}
    manifest = fill(store, files)
    store.put(PREFIX + "golden.json", b"[]")
    with pytest.raises(DigestMismatchError, match=r"golden\.json"):
        fetch(store, manifest, tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["model.onnx"]


def test_one_small_file_is_read_without_threads(store: Store, tmp_path: Path) -> None:
    seen: list[int] = []
    manifest = fill(store, {"model.onnx": b"graph"})
    fragile = FragileStore(store)

    def noted(data: bytes) -> bytes:
        seen.append(threading.get_ident())
        return data

    fragile.changed[PREFIX + "model.onnx"] = noted
    fetch(fragile, manifest, tmp_path)
    assert seen == [threading.get_ident()]


def test_files_that_are_there_are_not_fetched_again(store: Store, tmp_path: Path) -> None:
    fragile = FragileStore(store)
    manifest = fill(store, {"model.onnx": b"graph", "golden.json": b"{}"})
    fetch(fragile, manifest, tmp_path)
    fetch(fragile, manifest, tmp_path)
    assert fragile.reads.total() == 2


@pytest.mark.parametrize("left", [b"grapf", b"gra", b"", b"graph and more"])
def test_files_that_an_earlier_process_spoiled_are_fetched_again(left: bytes, store: Store, tmp_path: Path) -> None:
    manifest = fill(store, {"model.onnx": b"graph"})
    folder = fetch(store, manifest, tmp_path)
    (folder / "model.onnx").write_bytes(left)
    assert contents(fetch(store, manifest, tmp_path)) == {"model.onnx": b"graph"}


@pytest.mark.parametrize(
    "changed",
    [b"grapf", b"gra", b"", b"graph and more"],
    ids=["tampered", "truncated", "emptied", "extended"],
)
def test_other_bytes_than_promised_never_get_a_name(changed: bytes, store: Store, tmp_path: Path) -> None:
    manifest = fill(store, {"model.onnx": b"graph"})
    store.put(PREFIX + "model.onnx", changed)
    with pytest.raises(DigestMismatchError) as caught:
        fetch(store, manifest, tmp_path)
    for named in (digest(b"graph"), digest(changed), PREFIX + "model.onnx"):
        assert named in caught.value.detail
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("kept", [0, 5, MIN_RANGE, MIN_RANGE + 5, 3 * MIN_RANGE - 1])
def test_a_large_file_cut_short_never_gets_a_name(kept: int, store: Store, tmp_path: Path) -> None:
    whole = noise(3 * MIN_RANGE)
    manifest = fill(store, {"model.onnx": whole})
    store.put(PREFIX + "model.onnx", whole[:kept])
    with pytest.raises(DigestMismatchError, match=digest(whole[:kept])):
        fetch(store, manifest, tmp_path)
    assert contents(tmp_path) == {}


def test_one_flipped_bit_in_a_large_file_is_noticed(store: Store, tmp_path: Path) -> None:
    whole = bytearray(noise(2 * MIN_RANGE + 9))
    manifest = fill(store, {"model.onnx": bytes(whole)})
    whole[MIN_RANGE + 77] ^= 1
    store.put(PREFIX + "model.onnx", bytes(whole))
    with pytest.raises(DigestMismatchError):
        fetch(store, manifest, tmp_path)


def test_two_artifacts_swapped_are_noticed(store: Store, tmp_path: Path) -> None:
    manifest = fill(store, {"model.onnx": b"one", "model.onnx.data": b"two"})
    fill(store, {"model.onnx": b"two", "model.onnx.data": b"one"})
    with pytest.raises(DigestMismatchError):
        fetch(store, manifest, tmp_path)


def test_an_artifact_that_is_gone_is_an_integrity_error_not_a_404(store: Store, tmp_path: Path) -> None:
    for files in ({"model.onnx": b"graph"}, {"model.onnx": noise(MIN_RANGE)}):
        with pytest.raises(IntegrityError, match="is gone"):
            fetch(store, manifest_of(files), tmp_path)


@pytest.mark.parametrize("path", ["../model.onnx", "/etc/passwd", "a/../../b", "a//b", "./a", "", "a\\b", "a\0b"])
def test_paths_that_leave_the_folder_are_refused(path: str, store: Store, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="outside the version's folder"):
        fetch(store, manifest_of({path: b"x"}), tmp_path)


def test_a_store_that_fails_midway_leaves_nothing_with_a_name(store: Store, tmp_path: Path) -> None:
    fragile = FragileStore(store)
    key = PREFIX + "model.onnx"
    manifest = fill(store, {"model.onnx": noise(4 * MIN_RANGE)})

    def fail_later(data: bytes) -> bytes:
        fragile.down = fragile.reads[key] >= 2
        return data

    fragile.changed[key] = fail_later
    with pytest.raises(StoreUnavailableError):
        fetch(fragile, manifest, tmp_path)
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("size", [5, 2 * MIN_RANGE])
def test_a_fetch_ends_at_its_deadline(size: int, store: Store, tmp_path: Path) -> None:
    fragile = FragileStore(store)
    manifest = fill(store, {"model.onnx": noise(size)})
    fragile.slow = 0.2
    with pytest.raises(StoreUnavailableError, match="ONNXLET_LOAD_DEADLINE"):
        fetch(fragile, manifest, tmp_path, deadline=0.05)
    assert contents(tmp_path) == {}


def test_threads_may_fetch_one_version_at_once(store: Store, tmp_path: Path) -> None:
    files = {"model.onnx": noise(2 * MIN_RANGE), "golden.json": b"{}"}
    manifest = fill(store, files)
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: fetch(store, manifest, tmp_path), range(4)))
    assert [contents(folder) for folder in folders] == [files]


def test_processes_may_fetch_one_version_at_once(directory_url: str, tmp_path: Path) -> None:
    files = {"model.onnx": noise(MIN_RANGE + 1), "golden.json": b"{}"}
    manifest = fill(open_store(directory_url), files)
    (tmp_path / "manifest.json").write_bytes(encode_manifest(manifest))
    code = """
        import sys
        from onnxlet.serving.artifact_cache import ArtifactCache
        from onnxlet.values.digests import digest
        from onnxlet.values.manifest import decode_manifest
        from onnxlet.store import open_store
        data = open(sys.argv[2], "rb").read()
        for _ in range(3):
            print(ArtifactCache(open_store(sys.argv[1]), sys.argv[3]).fetch(decode_manifest(data), digest(data)))
    """
    arguments = [directory_url, str(tmp_path / "manifest.json"), str(tmp_path / "cache")]
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    folders = {line for process in running for line in process.communicate(timeout=60)[0].splitlines()}
    assert [process.returncode for process in running] == [0, 0, 0]
    assert [contents(Path(folder)) for folder in folders] == [files]


def partial_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.partial")


def test_a_full_disk_gives_up_other_versions_first(store: Store, tmp_path: Path) -> None:
    manifest = fill(store, {"model.onnx": b"graph"})
    folder = fetch(store, manifest, tmp_path)
    (folder / "model.onnx").unlink()
    other = tmp_path / "another"
    other.mkdir()
    (other / "model.onnx").write_bytes(b"old")
    # every write to this device fails as on a full disk; it stands in the way once
    partial_of(folder / "model.onnx").symlink_to("/dev/full")
    assert contents(fetch(store, manifest, tmp_path)) == {"model.onnx": b"graph"}
    assert not other.exists()


def test_a_disk_that_stays_full_is_reported(store: Store, tmp_path: Path) -> None:
    manifest = fill(store, {"model.onnx": b"graph"})
    folder = fetch(store, manifest, tmp_path)
    (folder / "model.onnx").unlink()
    (tmp_path / "another").mkdir()
    fragile = FragileStore(store)
    partial = partial_of(folder / "model.onnx")

    def fill_up(data: bytes) -> bytes:
        # opened already: what is written next goes to the device all the same
        descriptor = next(fd for fd in range(3, 64) if Path(f"/proc/self/fd/{fd}").resolve() == partial.resolve())
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, descriptor)
        os.close(full)
        return data

    fragile.changed[PREFIX + "model.onnx"] = fill_up
    with pytest.raises(UnavailableError, match=r"too full for the 5 bytes .* ONNXLET_CACHE_DIR"):
        fetch(fragile, manifest, tmp_path)
    assert contents(tmp_path) == {}


def test_a_disk_too_full_for_a_large_artifact_is_reported_from_any_thread(store: Store, tmp_path: Path) -> None:
    manifest = fill(store, {"model.onnx": b"graph" * (MIN_RANGE // 2)})
    folder = fetch(store, manifest, tmp_path)
    (folder / "model.onnx").unlink()
    partial = partial_of(folder / "model.onnx")
    fragile = FragileStore(store)

    def stand_in_the_way(data: bytes) -> bytes:
        # several threads read: the first one of each attempt finds the file
        for descriptor in range(3, 64):
            if Path(f"/proc/self/fd/{descriptor}").resolve() == partial.resolve():
                full = os.open("/dev/full", os.O_WRONLY)
                os.dup2(full, descriptor)
                os.close(full)
        return data

    fragile.changed[PREFIX + "model.onnx"] = stand_in_the_way
    with pytest.raises(UnavailableError, match="too full for the"):
        fetch(fragile, manifest, tmp_path)
    assert contents(tmp_path) == {}


def test_a_folder_that_cannot_be_written_is_reported(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UnavailableError, match="Not a directory"):
        fetch(store, fill(store, {"model.onnx": b"graph"}), tmp_path / "file")


# --- whose folder it is -----------------------------------------------------------------------------------------------


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_cache_is_made_for_its_user_alone(store: Store, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder = fetch(store, fill(store, {"model.onnx": b"graph", "part/data": b"more"}), tmp_path / "a" / "cache")
    finally:
        os.umask(before)
    assert [mode_of(path) for path in (tmp_path / "a" / "cache", folder, folder / "part")] == [0o700] * 3


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777, 0o720, 0o702])
def test_a_cache_that_others_can_write_is_refused_with_what_to_do(store: Store, tmp_path: Path, mode: int) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(mode)
    manifest = fill(store, {"model.onnx": b"graph"})
    with pytest.raises(UnavailableError, match=rf"mode {mode:o}\).*chmod 700 '{cache}'.*ONNXLET_CACHE_DIR"):
        fetch(store, manifest, cache)
    assert contents(cache) == {}
    cache.chmod(0o700)
    assert fetch(store, manifest, cache).parent == cache


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o755])
def test_a_cache_that_others_can_only_read_is_used(store: Store, tmp_path: Path, mode: int) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(mode)
    assert fetch(store, fill(store, {"model.onnx": b"graph"}), cache).parent == cache
    assert mode_of(cache) == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders to others")
def test_a_cache_of_somebody_else_is_refused(store: Store, tmp_path: Path) -> None:
    manifest = fill(store, {"model.onnx": b"graph"})
    theirs, mine = tmp_path / "theirs", tmp_path / "mine"
    theirs.mkdir(mode=0o700)
    os.chown(theirs, 1234, 1234)
    with pytest.raises(UnavailableError, match=r"the folder belongs to user 1234.*ONNXLET_CACHE_DIR"):
        fetch(store, manifest, theirs)
    mine.mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(mine)
    os.chown(tmp_path / "link", 1234, 1234, follow_symlinks=False)
    with pytest.raises(UnavailableError, match="the link belongs to user 1234"):
        fetch(store, manifest, tmp_path / "link")
    assert contents(tmp_path) == {}


def test_a_link_is_as_good_as_what_it_leads_to(store: Store, tmp_path: Path) -> None:
    manifest = fill(store, {"model.onnx": b"graph"})
    for name, mode in (("good", 0o700), ("bad", 0o777)):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
        (tmp_path / f"to-{name}").symlink_to(tmp_path / name)
    assert fetch(store, manifest, tmp_path / "to-good").parent == tmp_path / "to-good"
    with pytest.raises(UnavailableError, match="others can write it"):
        fetch(store, manifest, tmp_path / "to-bad")
    (tmp_path / "to-nothing").symlink_to(tmp_path / "nothing")
    with pytest.raises(UnavailableError, match="cannot be used"):
        fetch(store, manifest, tmp_path / "to-nothing")


def test_without_a_setting_the_cache_is_the_users_own_and_that_of_lambda_in_tmp(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Path(Settings().cache_folder).is_relative_to(tmp_path)
    assert Settings(function_name="predict").cache_folder == "/tmp/onnxlet"  # noqa: S108 - Lambda's
    assert Settings(cache_dir="/somewhere", function_name="predict").cache_folder == "/somewhere"
