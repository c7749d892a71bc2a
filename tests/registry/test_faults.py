"""The registry under many writers at once and under `kill -9`: real processes, a directory and S3."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from onnxlet.registry.registry import Registry
from onnxlet.store import Store, open_store, s3
from onnxlet.values.digests import digest
from registries import publish, routed
from registry_processes import (
    PATIENCE,
    S3_TIMEOUTS,
    promote_each,
    promote_until_killed,
    publish_once,
    publish_until_killed,
)

pytestmark = pytest.mark.slow

CHECKED_EVERY = 5
"""Kills between two looks."""
LONGEST_LIFE = 2.0
"""Seconds that a process is let live at most before it is killed: on a busy machine a hundred still end in time."""
# Children come from a small server process: they start in milliseconds and inherit no lock or thread of this one.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["onnxlet.registry.registry", "onnxlet.store.directory", "onnxlet.store.s3"])


@pytest.fixture(params=["directory", "s3"])
def store_url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a store that processes can share, and that is given all the time that it needs to answer."""
    for name in S3_TIMEOUTS:
        monkeypatch.setattr(s3, name, PATIENCE)
    url: str = request.getfixturevalue("directory_url" if request.param == "directory" else "s3_store_url")
    return url


@pytest.fixture(params=[20, pytest.param(100, marks=pytest.mark.long)], ids="{} kills".format)
def kills(request: pytest.FixtureRequest) -> int:
    """How often a process is killed."""
    count: int = request.param
    return count


def aws_environment() -> dict[str, str]:
    """What a child needs to be told, for it inherits the environment of the server process."""
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


def run_all(target: Callable[..., None], arguments: list[tuple[object, ...]]) -> None:
    """Run processes side by side; every one must end well."""
    processes = [_PROCESSES.Process(target=target, args=args) for args in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
    assert [process.exitcode for process in processes] == [0] * len(processes)


def kill_often(
    target: Callable[[str, dict[str, str], Path, Connection], None],
    url: str,
    folder: Path,
    check: Callable[[], None],
    kills: int,
) -> None:
    """Start a process and kill it at some moment after it got ready, so many times; `check` now and then.

    The moment lies within a few times what `check`, which does what the process does, takes on this machine just now.
    """
    started = time.perf_counter()
    check()
    longest = min(5 * (time.perf_counter() - started), LONGEST_LIFE)
    for number in range(1, kills + 1):
        ours, theirs = _PROCESSES.Pipe(duplex=False)
        process = _PROCESSES.Process(target=target, args=(url, aws_environment(), folder, theirs))
        process.start()
        theirs.close()
        ours.recv()
        time.sleep(random.uniform(0, longest))  # noqa: S311 - a moment, no secret
        process.kill()
        process.join()
        ours.close()
        process.close()
        if number % CHECKED_EVERY == 0:
            check()


def assert_whole(store: Store) -> None:
    """Every version that is listed as published has all its artifacts, with the digests that its manifest says."""
    registry = Registry(store)
    for version in registry.versions("m"):
        if version.state == "published":
            for artifact in registry.manifest("m", version.number).artifacts:
                data = store.get(f"models/m/{version.number}/{artifact.path}").data
                assert (digest(data), len(data)) == (artifact.digest, artifact.size)


@pytest.fixture
def registry(store_url: str, tmp_path: Path) -> Registry:
    """A registry with four versions of `m`."""
    registry = Registry(open_store(store_url))
    for number in range(1, 5):
        publish(registry, tmp_path, graph=bytes(number))
    return registry


def publish_fifty(registry: Registry, folder: Path) -> list[int]:
    """The numbers of fifty versions of `m`, so that fifty promotes are fifty moves."""
    return [publish(registry, folder).version for _ in range(50)]


def assert_every_promote_counted(registry: Registry, reasons: set[str]) -> None:
    """Each is in the history once, in order, and the alias is where the last one took it."""
    history = registry.history("m")
    assert Counter(entry.why for entry in history) == Counter(reasons)
    assert [entry.sequence for entry in history] == list(range(1, len(reasons) + 1))
    assert routed(registry.alias("m")[0]) == [route.version for route in history[-1].target]
    assert registry.verify_history("m") == len(reasons)


@pytest.mark.long
def test_fifty_promotes_at_once_from_threads_are_all_in_the_history_in_order(
    registry: Registry, tmp_path: Path
) -> None:
    versions = publish_fifty(registry, tmp_path)
    with ThreadPoolExecutor(50) as pool:
        moves = [pool.submit(registry.promote, "m", version, why=str(version)) for version in versions]
    assert [move.exception() for move in moves] == [None] * 50
    assert_every_promote_counted(registry, {str(version) for version in versions})


def test_fifty_promotes_of_one_version_at_once_are_one_move(registry: Registry) -> None:
    with ThreadPoolExecutor(50) as pool:
        moves = [pool.submit(registry.promote, "m", 1) for _ in range(50)]
    assert {move.result().sequence for move in moves} == {1}
    assert registry.verify_history("m") == 1


def test_fifty_promotes_at_once_from_processes_are_all_in_the_history_in_order(
    registry: Registry, store_url: str, tmp_path: Path
) -> None:
    versions = publish_fifty(registry, tmp_path)
    shares = {f"p{number}": versions[5 * number : 5 * number + 5] for number in range(10)}
    start = time.time() + 0.5
    run_all(promote_each, [(store_url, aws_environment(), who, versions, start) for who, versions in shares.items()])
    assert_every_promote_counted(
        registry, {f"{who}-{version}" for who, versions in shares.items() for version in versions}
    )


def test_processes_that_publish_one_model_at_once_get_a_version_each(store_url: str, tmp_path: Path) -> None:
    start = time.time() + 0.5
    names = [f"p{number}" for number in range(6)]
    run_all(publish_once, [(store_url, aws_environment(), tmp_path, name, start) for name in names])
    store = open_store(store_url)
    listed = Registry(store).versions("m")
    assert [(version.number, version.state) for version in listed] == [(n, "published") for n in range(1, 7)]
    manifests = [Registry(store).manifest("m", version.number) for version in listed]
    assert sorted(manifest.publisher for manifest in manifests) == names
    for manifest in manifests:
        assert store.get(f"models/m/{manifest.version}/model.onnx").data == manifest.publisher.encode()
    assert_whole(store)


def test_kills_during_publish_leave_no_half_version(tmp_path: Path, store_url: str, kills: int) -> None:
    store = open_store(store_url)
    registry = Registry(store)
    for name in ("model.onnx", "data"):
        (tmp_path / name).write_bytes(os.urandom(10_000))
    published = []

    def check() -> None:
        published.append(publish(registry, tmp_path / "ours").version)
        assert registry.promote("m", published[-1]).routes[0].version == published[-1]

    kill_often(publish_until_killed, store_url, tmp_path, check, kills)
    assert_whole(store)
    assert published == sorted(set(published))
    assert any(version.state == "incomplete" for version in registry.versions("m"))
    registry.gc(older_than=timedelta(seconds=-1))
    assert all(version.state == "published" for version in registry.versions("m"))
    assert_whole(store)


def test_kills_during_promote_leave_alias_and_history_whole(
    registry: Registry, store_url: str, tmp_path: Path, kills: int
) -> None:
    ours: list[int] = []

    def check() -> None:
        # by turns to 3 and 4, where the killed process never takes it: each is a move
        ours.append(registry.promote("m", 3 + len(ours) % 2, why="ours").sequence)
        assert registry.verify_history("m") == ours[-1]

    kill_often(promote_until_killed, store_url, tmp_path, check, kills)
    history = registry.history("m")
    # beside the first that follows each of ours, which is no killed one
    assert len(history) > len(ours) + kills // CHECKED_EVERY
    assert [entry.sequence for entry in history if entry.why == "ours"] == ours
