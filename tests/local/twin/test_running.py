"""The twin at work: files land by another's client, the real functions answer, and failures go where AWS sends them."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from models import tiny
from onnxlet.batch.book import decode_book
from onnxlet.local.twin.cloud import Cloud
from onnxlet.local.twin.running import copy_registry, run_twin
from onnxlet.registry.registry import Registry
from onnxlet.store import open_store

ROOT = Path(__file__).parents[3]
ROWS = b"id,radius,texture\na,1,2\nb,-3,4\nc,x,5\n"

pytestmark = pytest.mark.slow


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> Any:  # noqa: ANN401 - what the condition gives
    give_up = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < give_up
        time.sleep(0.05)
    return found


class Said(list[str]):
    """What the twin said."""


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def cloud(tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    monkeypatch.setenv("ONNXLET_CACHE_DIR", str(tmp_path / "cache"))
    source = open_store((tmp_path / "store").as_uri())
    tiny.publish(source, "diagnosis", tiny.classifier_package(tmp_path / "model"))
    with run_twin(ROOT / "template.yaml", tmp_path, said.append, port=0, visibility=1) as cloud:
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)
        copy_registry(source, open_store(cloud.store), lambda _done, _total: None)
        yield cloud


def test_a_file_that_is_uploaded_in_parts_is_scored_by_the_real_function(cloud: Cloud, said: Said) -> None:
    storage = boto3.client("s3")
    key = "diagnosis/new ward/rows+1.csv"
    upload = storage.create_multipart_upload(Bucket=cloud.bucket, Key=f"batch/in/{key}")
    where = {"Bucket": cloud.bucket, "Key": f"batch/in/{key}", "UploadId": upload["UploadId"]}
    part = storage.upload_part(**where, PartNumber=1, Body=ROWS)
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    storage.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    wait_for(lambda: [line for line in said if line.startswith("Score done")])

    def read(suffix: str) -> bytes:
        body: bytes = storage.get_object(Bucket=cloud.bucket, Key=f"batch/out/{key}{suffix}")["Body"].read()
        return body

    assert [row["id"] for row in csv.DictReader(io.StringIO(read("").decode()))] == ["a", "b"]
    assert [json.loads(line)["row"] for line in read(".errors.jsonl").splitlines()] == [3]
    assert decode_book(read(".book.json")).state == "scored"


def test_a_file_that_cannot_be_scored_comes_again_and_ends_among_the_dead_letters(cloud: Cloud, said: Said) -> None:
    boto3.client("s3").put_object(Bucket=cloud.bucket, Key="batch/in/progression/rows.csv", Body=ROWS)
    wait_for(lambda: [line for line in said if "goes to DeadLetters after 3 tries" in line])
    queue = cloud.queues["DeadLetters"]

    def receive() -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = boto3.client("sqs").receive_message(QueueUrl=queue).get("Messages", [])
        return messages

    (letter,) = wait_for(receive)
    assert json.loads(letter["Body"])["detail"]["object"]["key"] == "batch/in/progression/rows.csv"


def test_what_is_copied_in_is_a_registry_with_its_aliases_and_their_history(cloud: Cloud) -> None:
    registry = Registry(open_store(cloud.store), who="tests")
    assert registry.models() == ["diagnosis"]
    assert registry.alias("diagnosis")[0].routes[0].version == 1
