"""The stage, set up once: moto's S3 where containers find it, and a model trained, converted, published, promoted."""

from __future__ import annotations

import csv
import json
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from e2e.stage import BUCKET, BUILD, REPOSITORY, Stage, free_port, run, running, wait_for
from onnxlet.cli.demo.training import train_diagnosis


def _bridge() -> str:
    """The host's address inside a container."""
    addresses = json.loads(run(["ip", "-json", "-4", "address", "show", "docker0"], {}, seconds=10))
    address: str = addresses[0]["addr_info"][0]["local"]
    return address


@pytest.fixture(scope="session")
def bare_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """An empty bucket."""
    assert (BUILD / "template.yaml").exists(), "nothing is built: run 'make build' first"
    directory = tmp_path_factory.mktemp("stage")
    host = _bridge()
    port = free_port(host)
    log = directory / "s3.log"
    stage = Stage(f"http://{host}:{port}", directory)
    with running([sys.executable, "-m", "moto.server", "-H", host, "-p", str(port)], stage.environ, log) as server:
        wait_for(host, port, server, log, seconds=60)
        stage.objects.create_bucket(Bucket=BUCKET)
        yield stage


@pytest.fixture(scope="session")
def stage(bare_stage: Stage) -> Stage:
    """The bucket with the model `diagnosis`, made by the command line as anybody would."""
    trained = train_diagnosis(bare_stage.directory, "diagnosis")
    converted = bare_stage.directory / "converted"
    data = ("--data", trained.held_out, "--target", trained.target)
    bare_stage.onnxlet("convert", trained.model, "--trust", *data, "-o", converted)
    bare_stage.onnxlet("optimize", converted, *data, "--method", "dynamic-int8")
    version = bare_stage.onnxlet("publish", converted, "diagnosis").strip()
    bare_stage.onnxlet("promote", version)
    return replace(bare_stage, rows=_rows(trained.held_out))


def _rows(path: Path) -> list[list[float]]:
    with path.open(newline="") as lines:
        return [[float(cell) for cell in row[:-1]] for row in list(csv.reader(lines))[1:]]


@pytest.fixture(scope="session", name="emulator")
def copied_emulator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The emulator from SAM CLI's own package, made executable."""
    machine = platform.machine().replace("aarch64", "arm64")
    (packaged,) = (REPOSITORY / ".tools").glob(f"lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-{machine}")
    copied = Path(shutil.copy(packaged, tmp_path_factory.mktemp("emulator")))
    copied.chmod(0o755)
    return copied


def _containers() -> set[str]:
    listed = subprocess.run(["docker", "ps", "--all", "--quiet"], capture_output=True, text=True, check=True)
    return set(listed.stdout.split())


def _images() -> set[str]:
    command = ["docker", "images", "--quiet", "samcli/lambda-python"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@pytest.fixture(scope="session", autouse=True)
def _nothing_left() -> Iterator[None]:
    """Remove the containers that SAM started and forgot, and the images that it made."""
    before = _containers(), _images()
    yield
    give_up = time.monotonic() + 30
    while left := [("rm", each) for each in _containers() - before[0]] + [
        ("rmi", each) for each in _images() - before[1]
    ]:
        assert time.monotonic() < give_up, left
        for verb, each in left:  # a container that is just ending holds its image for a moment
            subprocess.run(["docker", verb, "--force", each], capture_output=True, check=False)
        time.sleep(0.5)
