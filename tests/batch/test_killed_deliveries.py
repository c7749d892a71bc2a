"""Deliveries by several processes at once, some of which are killed, on a directory and on S3."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from pathlib import Path

import pytest

from deliveries import IN, assert_one_set, deliver, make_predictor, publish, rows
from delivery_processes import PATIENCE, S3_TIMEOUTS, deliver_often
from onnxlet.batch import scoring
from onnxlet.store import open_store, s3

pytestmark = pytest.mark.slow

ROUNDS = 3
# Children come from a small server process: they start in milliseconds and inherit no lock or thread of this one.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["onnxlet.batch.objects", "onnxlet.store.directory", "onnxlet.store.s3"])


@pytest.mark.parametrize(
    "kind", [*(pytest.param(kind, marks=pytest.mark.long) for kind in ("directory", "s3")), "s3 in parts"]
)
def test_processes_that_deliver_together_and_are_killed_leave_the_newest_set(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    for name in S3_TIMEOUTS:
        monkeypatch.setattr(s3, name, PATIENCE)
    url: str = request.getfixturevalue("directory_url" if kind == "directory" else "s3_store_url")
    environment = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    in_parts = 1 if kind == "s3 in parts" else scoring.IN_PARTS
    monkeypatch.setattr(scoring, "IN_PARTS", in_parts)
    store = open_store(url)
    publish(store, tmp_path)
    store.put(IN, rows("first"))
    for number in range(ROUNDS):
        ours, theirs = _PROCESSES.Pipe(duplex=False)
        processes = [
            _PROCESSES.Process(
                target=deliver_often, args=(url, environment, tmp_path / str(worker), theirs, times, in_parts)
            )
            for worker, times in enumerate((10_000, 10_000, 3))
        ]
        for process in processes:
            process.start()
        for _ in processes:
            assert ours.poll(60)
            ours.recv()
        for upload in range(4):
            time.sleep(random.uniform(0, 0.1))  # noqa: S311 - a moment, no secret
            newest = rows(f"{number}-{upload}", 200 + 300 * upload, bad=upload)
            store.put(IN, newest)
        for process in processes[:2]:
            time.sleep(random.uniform(0, 0.1))  # noqa: S311 - a moment, no secret
            process.kill()
        for process in processes:
            process.join(60)
        assert processes[2].exitcode == 0
        deliver(store, make_predictor(store, tmp_path))
        assert_one_set(store, newest)
