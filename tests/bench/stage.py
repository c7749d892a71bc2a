"""What the benchmarks measure on: models published to a directory and to moto's S3, and the events that ask them."""

from __future__ import annotations

import json
import marshal
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import msgspec
import numpy as np
import onnx
import orjson
from encoder import write_encoder
from onnx import TensorProto, helper
from sklearn.datasets import load_breast_cancer
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from onnxlet.monitor.capture.policy import read_policy
from onnxlet.registry.registry import Registry
from onnxlet.store import open_store
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.prepare import prepare
from onnxlet.values.manifest import Draft

BUCKET = "bench"
CAPTURED = ("diagnosis", "score")
"""Models whose answers are captured, as their policy says."""
MANY = 10_000_000
"""Rows: no cap is met while it is measured, after which capturing would cost nothing."""
REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Stage:
    """Where everything lies."""

    directory: Path
    store: str
    s3: str
    environ: dict[str, str]
    """What a process needs to read from moto's S3, and to hash captured columns."""

    def check_monitored(self, model: str) -> None:
        """Raises RuntimeError if rows of a model were not both counted and captured in the directory: what was measured
        then was no monitoring.
        """
        store = open_store(self.store)
        for prefix in (f"sketches/live/{model}/1/", f"capture/{model}/1/"):
            if not list(store.list(prefix)):
                raise RuntimeError(f"nothing was written below {prefix}")

    def event(self, name: str) -> Path:
        """The file of an HTTP API event, in marshal's format, which is read without an import."""
        return self.directory / f"{name}.marshal"

    def plain(self, model: str) -> Path:
        """The ONNX file as it was exported."""
        return self.directory / f"{model}.onnx"

    def published(self, model: str) -> Path:
        """The graph as it was published."""
        return self.directory / "store" / "models" / model / "1" / "model.onnx"


def http_event(path: str, body: str) -> dict[str, Any]:
    """A POST as an HTTP API (payload 2.0) hands it to Lambda."""
    event: dict[str, Any] = json.loads((REPOSITORY / "tests" / "events" / "predict-http-api.json").read_text())
    http = event["requestContext"]["http"] | {"method": "POST", "path": path}
    context = event["requestContext"] | {"http": http}
    return event | {"rawPath": path, "body": body, "isBase64Encoded": False, "requestContext": context}


def _train(directory: Path) -> dict[str, Path]:
    """Two networks on 30 features, converted: `diagnosis` has three outputs, `score` one."""
    data = load_breast_cancer()
    rows = "\n".join(",".join(map(repr, row)) for row in data.data.tolist())
    table = directory / "data.csv"
    table.write_text(",".join(data.feature_names) + "\n" + rows + "\n")
    converted = {}
    for name, network, labels in (
        ("diagnosis", MLPClassifier((256, 128), max_iter=200, random_state=0), ("malignant", "benign")),
        ("score", MLPRegressor(hidden_layer_sizes=(256, 128), max_iter=200, random_state=0), None),
    ):
        joblib.dump(make_pipeline(StandardScaler(), network).fit(data.data, data.target), directory / f"{name}.joblib")
        converted[name] = directory / name
        convert(directory / f"{name}.joblib", converted[name], data=table, labels=labels, trust=True)
    return converted


def _write_identity(path: Path) -> None:
    """A model that gives back the image it gets: what JSON costs is all that is left."""
    image = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 3, 224, 224]) for name in ("image", "same")
    ]
    graph = helper.make_graph([helper.make_node("Identity", ["image"], ["same"])], "identity", image[:1], image[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)


def _write_echo(path: Path, kind: int, shape: list[int | str]) -> None:
    """A model that gives back its input `x`."""
    values = [helper.make_tensor_value_info(name, kind, shape) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "echo", values[:1], values[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)


def _write_events(directory: Path) -> None:
    noise = np.random.default_rng(0).normal(1, 0.05, (256, 30))  # all digits of a double, as measured values have
    rows = (load_breast_cancer().data[:256] * noise).tolist()
    tokens = np.random.default_rng(0).integers(0, 30_000, (1, 16)).tolist()
    for name, model, instances in (
        ("one-row", "diagnosis", rows[:1]),
        ("many-rows", "diagnosis", rows),
        ("many-rows-one-output", "score", rows),
        ("tokens", "encoder", tokens),
    ):
        body = orjson.dumps({"instances": instances}).decode()
        for suffix, path in (("", f"/v1/models/{model}:predict"), ("-tutorial", "/v1/models/model:predict")):
            (directory / f"{name}{suffix}.marshal").write_bytes(marshal.dumps(http_event(path, body)))


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
        "ONNXLET_CAPTURE_KEY": f"hex:{'5e' * 32}",
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


def _policy(draft: Draft) -> dict[str, Any]:
    """A policy that keeps the answers, one column and a hash of another, under the id of their request."""
    first, second = load_breast_cancer().feature_names[:2].tolist()
    kept = {spec.name: "keep" for spec in draft.signature.outputs}
    rules = {"columns": {first: "keep", second: "hash"}, "outputs": kept, "request_id": "keep"}
    return read_policy({**rules, "rows_per_hour": MANY, "bytes_per_hour": 1000 * MANY}).document()


def _publish(stage: Stage) -> None:
    sources = _train(stage.directory) | {name: stage.plain(name) for name in ("encoder", "identity", "pair", "text")}
    write_encoder(sources["encoder"])
    _write_identity(sources["identity"])
    _write_echo(sources["pair"], TensorProto.FLOAT, ["rows", 2])
    _write_echo(sources["text"], TensorProto.STRING, ["rows"])
    shutil.copy(sources["diagnosis"] / "model.onnx", stage.plain("diagnosis"))
    bucket = open_store(stage.s3)
    for model, source in sources.items():
        draft, files = prepare(source, stage.directory / f"prepared-{model}")
        if model in CAPTURED:
            draft = msgspec.structs.replace(draft, policy=_policy(draft))
        for store in (open_store(stage.store), bucket):
            registry = Registry(store, who="bench")
            registry.promote(model, registry.publish(model, draft, files).version)
    for model in ("diagnosis", "encoder"):
        bucket.put(f"tutorial/{model}.onnx", stage.plain(model))
