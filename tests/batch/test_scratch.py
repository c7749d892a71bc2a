"""Scratch folders: killed processes leave none for long, and nobody's who still works is touched."""

from __future__ import annotations

import multiprocessing
import threading
from pathlib import Path

import pytest

from delivery_processes import hold_scratch
from onnxlet.batch.scratch import PREFIX, scratch_folder

# Children come from a small server process: they start in milliseconds and inherit no lock or thread of this one.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["onnxlet.batch.objects", "onnxlet.store.directory", "onnxlet.store.s3"])


def _folders(parent: Path) -> list[Path]:
    return sorted(parent.glob(PREFIX + "*"))


def test_the_folder_of_a_killed_process_is_swept_and_that_of_a_live_one_stays(tmp_path: Path) -> None:
    ours, theirs = _PROCESSES.Pipe(duplex=False)
    processes = [_PROCESSES.Process(target=hold_scratch, args=(tmp_path, theirs)) for _ in range(3)]
    try:
        held = []
        for process in processes:
            process.start()
            assert ours.poll(60)
            held.append(Path(ours.recv()))
        for process in processes[:2]:
            process.kill()
            process.join()
        assert _folders(tmp_path) == sorted(held)
        with scratch_folder(tmp_path) as own:
            assert _folders(tmp_path) == sorted([held[2], own])
        assert _folders(tmp_path) == [held[2]]
        assert (held[2] / "output").stat().st_size == 1000
    finally:
        for process in processes:
            process.kill()
            process.join()


def test_a_folder_whose_owner_was_killed_before_it_held_it_is_swept(tmp_path: Path) -> None:
    (tmp_path / (PREFIX + "just-made")).mkdir()
    with scratch_folder(tmp_path) as own:
        assert _folders(tmp_path) == [own]


def test_other_folders_stay(tmp_path: Path) -> None:
    others = [tmp_path / ".onnxlet", tmp_path / f"{PREFIX}notes" / "mine"]
    for other in others:
        other.mkdir(parents=True)
    with scratch_folder(tmp_path):
        assert all(other.is_dir() for other in others)


@pytest.mark.parametrize("workers", [8])
def test_threads_that_sweep_while_others_make_folders_lose_none(tmp_path: Path, workers: int) -> None:
    lost: list[Path] = []

    def work() -> None:
        for _ in range(60):
            with scratch_folder(tmp_path) as folder:
                (folder / "output").write_bytes(b"x")
                if not (folder / "output").exists():
                    lost.append(folder)

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (lost, _folders(tmp_path)) == ([], [])
