"""What the benchmarks measure on: models published to a directory and to moto's S3, and the events that ask them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import orjson
from encoder import write_encoder
from sklearn.datasets import load_breast_cancer
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from onnxlet.convert import convert
from onnxlet.prepare import prepare
from onnxlet.registry import Registry
from onnxlet.store import open_store

BUCKET = "bench"
REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Stage:
    """Where everything lies."""

    directory: Path
    store: str
    s3: str
    environ: dict[str, str]
    """What a process needs to read from moto's S3."""

    def event(self, name: str) -> Path:
        """The file of an HTTP API event."""
        return self.directory / f"{name}.json"

    def plain(self, model: str) -> Path:
        """The ONNX file as it was exported."""
        return self.directory / f"{model}.onnx"

    def published(self, model: str) -> Path:
        """The graph as it was published."""
        return self.directory / "store" / "models" / model / "1" / "model.onnx"


def http_event(path: str, body: str) -> dict[str, object]:
    """A POST as an HTTP API (payload 2.0) hands it to Lambda."""
    event: dict[str, object] = json.loads((REPOSITORY / "tests" / "events" / "predict-http-api.json").read_text())
    return (
        event
        | {"rawPath": path, "body": body, "isBase64Encoded": False, "routeKey": "$default"}
        | {
            "requestContext": event["requestContext"]  # type: ignore[dict-item] # an object in the file
            | {
                "http": {
                    "method": "POST",
                    "path": path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": "192.0.2.1",
                    "userAgent": "x",
                }
            }
        }
    )


def _train_diagnosis(directory: Path) -> Path:
    data = load_breast_cancer()
    model = make_pipeline(StandardScaler(), MLPClassifier((256, 128), max_iter=200, random_state=0))
    model.fit(data.data, data.target)
    joblib.dump(model, directory / "diagnosis.joblib")
    rows = "\n".join(",".join(map(repr, row)) for row in data.data.tolist())
    (directory / "diagnosis.csv").write_text(",".join(data.feature_names) + "\n" + rows + "\n")
    converted = directory / "diagnosis"
    convert(
        directory / "diagnosis.joblib",
        converted,
        data=directory / "diagnosis.csv",
        labels=("malignant", "benign"),
        trust=True,
    )
    return converted


def _write_events(directory: Path) -> None:
    noise = np.random.default_rng(0).normal(1, 0.05, (256, 30))  # all digits of a double, as measured values have
    rows = (load_breast_cancer().data[:256] * noise).tolist()
    bodies = {
        "one-row": orjson.dumps({"instances": rows[:1]}),
        "many-rows": orjson.dumps({"instances": rows}),
        "tokens": orjson.dumps({"instances": np.random.default_rng(0).integers(0, 30_000, (1, 16)).tolist()}),
    }
    for name, body in bodies.items():
        model = "encoder" if name == "tokens" else "diagnosis"
        event = http_event(f"/v1/models/{model}:predict", body.decode())
        (directory / f"{name}.json").write_text(json.dumps(event))
        tutorial = http_event("/v1/models/model:predict", body.decode())
        (directory / f"{name}-tutorial.json").write_text(json.dumps(tutorial))


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(url: str, process: subprocess.Popen[bytes], seconds: float = 30) -> None:
    """Wait until something answers at `url`. Raises RuntimeError if the process ends or the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"nothing answers at {url}")


@contextmanager
def staged(directory: Path) -> Iterator[Stage]:
    """Train, convert and publish the models to both stores; moto's server runs until the context ends."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    environ = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(f"{endpoint}/moto-api/", server)
        os.environ.update(environ)
        request = urllib.request.Request(f"{endpoint}/{BUCKET}", method="PUT")
        urllib.request.urlopen(request).close()
        stage = Stage(directory, f"file://{directory / 'store'}", f"s3://{BUCKET}", environ)
        _publish(stage)
        _write_events(directory)
        yield stage
    finally:
        server.terminate()
        server.wait()


def _publish(stage: Stage) -> None:
    write_encoder(stage.plain("encoder"))
    sources = {"diagnosis": _train_diagnosis(stage.directory), "encoder": stage.plain("encoder")}
    stage.plain("diagnosis").write_bytes((sources["diagnosis"] / "model.onnx").read_bytes())
    bucket = open_store(stage.s3)
    for model, source in sources.items():
        draft, files = prepare(source, stage.directory / f"prepared-{model}")
        for store in (open_store(stage.store), bucket):
            registry = Registry(store, who="bench")
            registry.promote(model, registry.publish(model, draft, files).version)
        bucket.put(f"tutorial/{model}.onnx", stage.plain(model))
