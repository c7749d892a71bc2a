"""What the registry's fault tests run in processes of their own. It imports little, so that they start quickly."""

from __future__ import annotations

import os
import time
from multiprocessing.connection import Connection
from pathlib import Path

from onnxlet.registry.registry import Registry
from onnxlet.store import open_store, s3
from registries import DRAFT, publish

Environment = dict[str, str]
S3_TIMEOUTS = ("CONNECT_SECONDS", "READ_SECONDS", "WRITE_SECONDS", "RETRY_SECONDS")
PATIENCE = 60
"""Seconds for each of them: many writers at once make the S3 of a busy machine slow, and none may lose a write so."""


def open_registry(url: str, who: str, environment: Environment, start: float = 0.0) -> Registry:
    """The registry in a child: at `start`, with the environment that it is told."""
    os.environ.update(environment)
    for name in S3_TIMEOUTS:
        setattr(s3, name, PATIENCE)
    registry = Registry(open_store(url), who=who)
    time.sleep(max(0.0, start - time.time()))
    return registry


def promote_each(url: str, environment: Environment, who: str, versions: list[int], start: float) -> None:
    registry = open_registry(url, who, environment, start)
    for version in versions:
        registry.promote("m", version, why=f"{who}-{version}")


def publish_once(url: str, environment: Environment, folder: Path, who: str, start: float) -> None:
    registry = open_registry(url, who, environment, start)
    publish(registry, folder / who, graph=who.encode())


def publish_until_killed(url: str, environment: Environment, folder: Path, ready: Connection) -> None:
    registry = open_registry(url, "killed", environment)
    artifacts = {"model.onnx": folder / "model.onnx", "model.onnx.data": folder / "data"}
    registry.publish("m", DRAFT, artifacts)  # the first one imports and connects; the killed ones do not
    ready.send(None)
    while True:
        registry.publish("m", DRAFT, artifacts)


def promote_until_killed(url: str, environment: Environment, _: Path, ready: Connection) -> None:
    registry = open_registry(url, "killed", environment)
    registry.promote("m", 2)  # the first one imports and connects; the killed ones do not
    ready.send(None)
    for number in range(1_000_000):
        registry.promote("m", 1 + number % 2)
