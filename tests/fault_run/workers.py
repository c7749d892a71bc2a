"""What the processes of the fault run do, over and over, until they are killed. What was acknowledged is written down.

Each appends lines of JSON to a journal of its own, before it begins something and after it was acknowledged: what it
was killed in between may have happened or not.
"""

from __future__ import annotations

import json
import logging
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from models import tiny
from onnxlet.batch.events import handle
from onnxlet.errors import OnnxletError
from onnxlet.registry.reading.listing import model_contents
from onnxlet.registry.registry import Registry
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.steps import Column, Steps, Tabular
from onnxlet.store import open_store
from onnxlet.values.tensors import Tensors

MODEL = "m"
FILES = 6
"""Files that are uploaded and scored; each has one uploader, and every scorer scores all of them."""
KEPT = 5
"""Versions that are not deleted."""
GC_AGE = timedelta(seconds=20)
STEPS = Steps((Tabular(columns=(Column("x0", "FP32"), Column("x1", "FP32")), input="input"),))


@dataclass(frozen=True)
class Job:
    """One process: its role, which of its kind it is, and the how manieth of these; where it works."""

    role: str
    number: int
    generation: int
    seed: int
    url: str
    folder: Path
    environment: dict[str, str]

    @property
    def who(self) -> str:
        """Its name in the registry."""
        return f"{self.role}-{self.number}"


class Journal:
    """The lines of one process, in its folder."""

    def __init__(self, job: Job) -> None:
        self._job = job
        path = job.folder / "journals" / f"{job.who}-{job.generation}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(self, what: str, **facts: Any) -> None:  # noqa: ANN401 - JSON
        """Write one line, whole or not at all."""
        os.write(self._file, json.dumps({"what": what, "who": self._job.who, **facts}).encode() + b"\n")


def work(job: Job) -> None:
    """Do what the role does until the end."""
    os.environ.update(job.environment)
    logging.disable()  # what is refused is in the journals
    dice = random.Random(f"{job.seed}-{job.who}-{job.generation}")  # noqa: S311 - no secret
    registry = Registry(open_store(job.url), who=job.who)
    journal = Journal(job)
    step = ROLES[job.role](job, registry, journal, dice)
    while True:
        try:
            step()
        except OnnxletError as error:
            journal.write("refused", error=type(error).__name__, detail=error.detail[:300])
        time.sleep(dice.uniform(0.05, 0.5))


def begin(job: Job) -> None:
    """What there is before anything fails: two versions, one of them promoted, and every file."""
    os.environ.update(job.environment)
    dice = random.Random(job.seed)  # noqa: S311 - no secret
    registry = Registry(open_store(job.url), who=job.who)
    journal = Journal(job)
    publish = publisher(job, registry, journal, dice)
    for _ in range(2):
        publish()
    registry.promote(MODEL, 1, why="the first")
    for file in range(FILES):
        registry.store.put(f"batch/in/{MODEL}/{file}.csv", make_file(file))


Step = Callable[[], None]


def publisher(job: Job, registry: Registry, journal: Journal, dice: random.Random) -> Step:
    """Publishes versions that multiply by a number which no other version has."""
    factors = iter(range(job.number * 1_000_000 + job.generation * 1000 + 1, 2**24))
    folder = job.folder / f"{job.who}-{job.generation}"

    def step() -> None:
        factor = next(factors)
        graph = tiny.regressor(factor)
        package = tiny.package(graph, folder / str(factor), steps=STEPS, golden=[draw_rows(dice)])
        manifest = registry.publish(
            MODEL, *package, on_claim=lambda version: journal.write("claims", version=version, factor=factor)
        )
        journal.write("published", version=manifest.version, factor=factor)
        time.sleep(dice.uniform(0.5, 2))  # lists of many keys are slow in moto

    return step


def draw_rows(dice: random.Random) -> Tensors:
    """A row for the regressor."""
    return {"input": np.array([[dice.randrange(8), dice.randrange(8)]], dtype=np.float32)}


def promoter(job: Job, registry: Registry, journal: Journal, dice: random.Random) -> Step:
    """Promotes one of the newest versions, or rolls back; each move has a reason of its own."""

    def step() -> None:
        published = [version.number for version in model_contents(registry.store, MODEL) if version.published]
        why = f"{job.who}-{job.generation}-{dice.randrange(2**62)}"
        if dice.random() < 0.25:
            moved = registry.rollback(MODEL, why=why)
        else:
            moved = registry.promote(MODEL, dice.choice(published[-3:]), why=why)
        if moved.entry.why == why:  # else it was routed there already
            journal.write("moved", why=why, sequence=moved.sequence, version=moved.routes[0].version)

    return step


def deleter(job: Job, registry: Registry, journal: Journal, dice: random.Random) -> Step:
    """Deletes an old version, also one that is served."""
    del job

    def step() -> None:
        published = [version.number for version in model_contents(registry.store, MODEL) if version.published]
        if len(published) > KEPT:
            version = dice.choice(published[:-KEPT])
            journal.write("deletes", version=version)
            registry.delete(MODEL, version, force=dice.random() < 0.5, days=0)
            journal.write("deleted", version=version)
        time.sleep(dice.uniform(0, 1))

    return step


def collector(job: Job, registry: Registry, journal: Journal, dice: random.Random) -> Step:
    """Clears up what was not touched for a while."""
    del job

    def step() -> None:
        removed = registry.gc(older_than=GC_AGE)
        journal.write("cleared", keys=len(removed))
        time.sleep(dice.uniform(1, 3))

    return step


def scorer(job: Job, registry: Registry, journal: Journal, dice: random.Random) -> Step:
    """Uploads its own files now and then, and scores everybody's: every event comes to two scorers, or comes twice."""
    store = registry.store
    settings = Settings(store=job.url, cache_dir=str(job.folder / f"cache-{job.who}"), alias_ttl=1)
    predictor = Predictor(store, settings)

    def step() -> None:
        file = dice.randrange(FILES)
        key = f"batch/in/{MODEL}/{file}.csv"
        if file % 2 == job.number and dice.random() < 0.4:
            tag = dice.randrange(2**62)
            journal.write("uploads", key=key, tag=tag)
            store.put(key, make_file(tag))
            journal.write("uploaded", key=key, tag=tag)
        handle(store, predictor, make_event(job.url, key))
        journal.write("scored", key=key)

    return step


def make_file(tag: int) -> bytes:
    """A file of rows that only this tag gives."""
    dice = random.Random(tag)  # noqa: S311 - no secret
    rows = (f"{tag}-{number},{dice.randrange(8)},{dice.randrange(8)}" for number in range(dice.randrange(5, 300)))
    return "\n".join(["id,x0,x1", *rows, ""]).encode()


def make_event(url: str, key: str) -> dict[str, Any]:
    """What EventBridge says when the key was written."""
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    detail = {"bucket": {"name": bucket}, "object": {"key": f"{prefix}/{key}"}}
    return {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}


ROLES: dict[str, Callable[[Job, Registry, Journal, random.Random], Step]] = {
    "publisher": publisher,
    "promoter": promoter,
    "deleter": deleter,
    "collector": collector,
    "scorer": scorer,
}
"""Every role by its name."""
