"""What the end-to-end tests run on: a store in moto's S3 that containers reach too, and what `make build` built."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import yaml

REPOSITORY = Path(__file__).parents[2]
BUILD = REPOSITORY / ".aws-sam" / "build"
SAM = REPOSITORY / ".tools" / "bin" / "sam"
EVENTS = REPOSITORY / "tests" / "events"
BUCKET = "onnxlet-models"
"""The bucket that the events in tests/events speak of."""
Document = dict[str, Any]


@dataclass(frozen=True)
class Stage:
    """The S3 server's address, and a directory for what tests write."""

    endpoint: str
    directory: Path
    rows: list[list[float]] = field(default_factory=list)
    """Rows that the model `diagnosis` was not trained on."""

    @property
    def store(self) -> dict[str, str]:
        """The variables that a function needs besides AWS's own to find the store."""
        return {"ONNXLET_STORE": f"s3://{BUCKET}", "AWS_ENDPOINT_URL": self.endpoint}

    @property
    def environ(self) -> dict[str, str]:
        """The environment of a process that works on the store."""
        account = {"AWS_ACCESS_KEY_ID": "e2e", "AWS_SECRET_ACCESS_KEY": "e2e", "AWS_REGION": "us-east-1"}
        own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ONNXLET_"))}
        more = {"AWS_DEFAULT_REGION": "us-east-1", "SAM_CLI_TELEMETRY": "0", "ORT_DISABLE_TELEMETRY": "1"}
        return own | account | more | self.store

    def write_template(self) -> Path:
        """The built template, its functions pointed at the S3 server: SAM only overrides variables that are in it."""
        built = yaml.safe_load((BUILD / "template.yaml").read_text())
        built["Globals"]["Function"]["Environment"]["Variables"] |= self.store
        path = BUILD / "e2e.yaml"
        path.write_text(yaml.safe_dump(built))
        return path

    @property
    def objects(self) -> Any:  # noqa: ANN401 - boto3 has no types
        """What else reads and writes the bucket: boto3's client."""
        session = boto3.Session("e2e", "e2e", region_name="us-east-1")
        return session.client("s3", endpoint_url=self.endpoint)

    def put(self, key: str, data: bytes) -> None:
        """Write an object."""
        self.objects.put_object(Bucket=BUCKET, Key=key, Body=data)

    def get(self, key: str) -> bytes:
        """Read an object."""
        body: bytes = self.objects.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return body

    def onnxlet(self, *arguments: object, stdin: str = "") -> str:
        """What the command line prints."""
        command = [Path(sys.executable).with_name("onnxlet"), *arguments]
        return run([str(part) for part in command], self.environ, stdin=stdin, seconds=120)


def run(command: list[str], environ: Mapping[str, str], *, seconds: float, stdin: str = "") -> str:
    """What a command prints; a failure shows all that it said."""
    done = subprocess.run(
        command,
        env=dict(environ),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=seconds,
        cwd=REPOSITORY,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)} failed ({done.returncode}):\n{done.stdout}\n{done.stderr}"
    return done.stdout


def event(name: str) -> Document:
    """An event of tests/events."""
    document: Document = json.loads((EVENTS / f"{name}.json").read_text())
    return document


def http_event(path: str, body: object) -> Document:
    """A POST as an HTTP API hands it to Lambda."""
    it = event("predict-http-api")
    it["requestContext"]["http"] |= {"method": "POST", "path": path}
    return it | {"rawPath": path, "body": json.dumps(body), "isBase64Encoded": False}


def free_port(host: str) -> int:
    """A port that nobody listens on just now."""
    with socket.create_server((host, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    command: list[str], environ: Mapping[str, str], log: Path, directory: Path = REPOSITORY
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is interrupted at the end, and killed if it does not mind; it writes to `log`."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=dict(environ), stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=directory
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(host: str, port: int, process: subprocess.Popen[bytes], log: Path, *, seconds: float) -> None:
    """Wait until somebody listens there; if nobody does in time, or the process ends, fail with what it said."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((host, port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"nobody listens on {host}:{port}:\n{log.read_text()}")
