"""`onnxlet tensorboard`: to a directory, to a bucket, with what CloudWatch counted."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

import onnxlet
from monitor import watched_models
from onnxlet.cli.root import cli
from onnxlet.errors import MissingExtraError
from onnxlet.lifecycle import tensorboard, traffic
from onnxlet.lifecycle.tensorboard import WrittenLogs, serve_logs
from onnxlet.store import open_store


def run(url: str, *words: str) -> dict[str, Any]:
    """What the command prints with --json."""
    result = CliRunner().invoke(cli, ["--store", url, "tensorboard", *words, "--json"])
    assert result.exit_code == 0, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def scalars(run_: str, tag: str) -> list[float]:
    """The numbers of a tag, as TensorBoard reads them."""
    events = EventAccumulator(run_, size_guidance={"tensors": 0})
    events.Reload()
    return [float(tensor_util.make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)]


def test_it_writes_all_models_or_those_named_and_the_second_time_nothing(directory_url: str, tmp_path: Path) -> None:
    store = open_store(directory_url)
    watched_models.drift(store, watched_models.publish(store, tmp_path))
    logs = str(tmp_path / "some logs")
    told = run(directory_url, "--logdir", logs)
    assert told["logdir"] == logs
    assert set(told["runs"]) == {"diagnosis", "diagnosis/1", "diagnosis/2"}
    assert scalars(f"{logs}/diagnosis", "contract/accuracy") == list(watched_models.ACCURACY.values())
    assert not any(run(directory_url, "diagnosis", "--logdir", logs)["runs"].values())


def test_python_writes_the_same(directory_url: str, tmp_path: Path) -> None:
    watched_models.publish(open_store(directory_url), tmp_path)
    registry = onnxlet.Registry(directory_url)
    written = registry.tensorboard("diagnosis", logdir=tmp_path / "logs")
    assert written.steps == sum(written.runs.values()) > 0
    assert run(directory_url, "--logdir", written.logdir)["runs"] == dict.fromkeys(written.runs, 0)


def test_names_that_are_no_model_and_logs_in_memory_are_refused(directory_url: str, tmp_path: Path) -> None:
    watched_models.publish(open_store(directory_url), tmp_path)
    for words, said in (
        (["diagnoses", "--logdir", str(tmp_path / "logs")], "did you mean 'diagnosis'"),
        (["--logdir", "memory://logs"], "use a directory or s3://bucket/prefix"),
    ):
        result = CliRunner().invoke(cli, ["--store", directory_url, "tensorboard", *words])
        assert result.exit_code == 1
        assert said in result.stderr


def count_requests(day: datetime, **dimensions: str) -> None:
    """Put into CloudWatch what it makes of the lines of a day's requests. moto minds the order of dimensions."""
    named = [{"Name": name, "Value": value} for name, value in dimensions.items()]
    told = {"Requests": [1.0] * 50, "Errors": [1.0], "TotalTime": [float(each) for each in range(1, 51)]}
    data = [{"MetricName": name, "Dimensions": named, "Timestamp": day, "Values": v} for name, v in told.items()]
    boto3.client("cloudwatch").put_metric_data(Namespace="Onnxlet", MetricData=data)


def test_a_bucket_takes_event_files_and_cloudwatch_tells_the_requests(
    s3_store_url: str, s3_environment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3_ENDPOINT", s3_environment)  # where TensorBoard looks for S3
    monkeypatch.setattr(traffic, "PERCENTILES", ("Average", "Maximum"))  # moto has no percentiles
    store = open_store(s3_store_url)
    watched_models.publish(store, tmp_path)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    count_requests(yesterday, function="predict", model="diagnosis", version="2", alias="production")
    count_requests(yesterday, function="predict", model="another", version="2", alias="production")
    logs = s3_store_url.replace("/some/prefix", "/logs")
    assert run(s3_store_url, "--logdir", logs)["runs"]["diagnosis/2"] > 0
    assert scalars(f"{logs}/diagnosis/2", "requests/count") == [50.0]
    assert scalars(f"{logs}/diagnosis/2", "requests/error_share") == [pytest.approx(0.02)]
    assert scalars(f"{logs}/diagnosis/2", "latency/Average/predict/production") == [25.5]
    assert scalars(f"{logs}/diagnosis/2", "latency/Maximum/predict/production") == [50.0]


def test_that_cloudwatch_does_not_answer_is_said_and_stops_nothing(
    s3_store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched_models.publish(open_store(s3_store_url), tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    result = CliRunner().invoke(cli, ["--store", s3_store_url, "tensorboard", "--logdir", str(tmp_path / "logs")])
    assert result.exit_code == 0
    assert "no requests and times of diagnosis: CloudWatch does not tell" in result.stderr


def test_without_tensorboard_serving_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: None if name == "tensorboard" else True)
    with pytest.raises(MissingExtraError, match=r"onnxlet\[tensorboard\]"):
        serve_logs(WrittenLogs("logs", {}), port=0, every=1.0, refresh=lambda: None)
