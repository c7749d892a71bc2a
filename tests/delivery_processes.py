"""What the tests of deliveries run in processes of their own, to be killed."""

from __future__ import annotations

import os
import time
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path

from deliveries import deliver, make_predictor
from onnxlet.batch import scoring
from onnxlet.batch.scratch import scratch_folder
from onnxlet.errors import VersionNotFoundError
from onnxlet.store import open_store, s3

S3_TIMEOUTS = ("CONNECT_SECONDS", "READ_SECONDS", "WRITE_SECONDS", "RETRY_SECONDS")
PATIENCE = 60
"""Seconds for each of them: several writers make the S3 of a busy machine slow, and none may lose a write so."""

TRIES = 3
"""How often the queue of the stack delivers a message before it gives up."""


def deliver_often(  # noqa: PLR0917 - what the process is given
    url: str, environment: dict[str, str], folder: Path, ready: Connection, times: int, in_parts: int
) -> None:
    """Deliver the file again and again; outputs of so many bytes go to S3 in parts."""
    os.environ.update(environment)
    scoring.IN_PARTS = in_parts
    for name in S3_TIMEOUTS:
        setattr(s3, name, PATIENCE)
    store = open_store(url)
    predictor = make_predictor(store, folder)
    ready.send(None)
    for _ in range(times):
        deliver(store, predictor)


def deliver_until_scored(
    url: str, environment: dict[str, str], folder: Path, connection: Connection, start: Event
) -> None:
    """Wait for the start, deliver the file until it is scored as a queue does, and say how often it failed."""
    os.environ.update(environment)
    for name in S3_TIMEOUTS:
        setattr(s3, name, PATIENCE)
    store = open_store(url)
    predictor = make_predictor(store, folder)
    connection.send(None)
    start.wait(PATIENCE)
    failures = 0
    while failures < TRIES:
        try:
            deliver(store, predictor)
        except VersionNotFoundError:
            failures += 1
        else:
            break
    connection.send(failures)


def hold_scratch(folder: Path, ready: Connection) -> None:
    """Hold a scratch folder with a file in it until somebody ends this."""
    with scratch_folder(folder) as scratch:
        (scratch / "output").write_bytes(b"x" * 1000)
        ready.send(str(scratch))
        time.sleep(600)
