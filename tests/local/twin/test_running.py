"""The twin at work: files land by another's client, the real functions answer, and failures go where AWS sends them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]

from models import tiny
from onnxlet.batch.book import decode_book
from onnxlet.local.twin.cloud import Cloud
from onnxlet.registry.registry import Registry
from onnxlet.store import open_store
from twins import Said, Start, clone, wait_for

ROWS = b"id,radius,texture\na,1,2\nb,-3,4\nc,x,5\n"

pytestmark = pytest.mark.slow


def test_a_file_that_is_uploaded_in_parts_is_scored_by_the_real_function(cloud: Cloud, said: Said) -> None:
    storage = boto3.client("s3")
    key = "diagnosis/new ward/rows+1.csv"
    upload = storage.create_multipart_upload(Bucket=cloud.bucket, Key=f"batch/in/{key}")
    where = {"Bucket": cloud.bucket, "Key": f"batch/in/{key}", "UploadId": upload["UploadId"]}
    part = storage.upload_part(**where, PartNumber=1, Body=ROWS)
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    storage.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    said.wait_for("Score done")

    def read(suffix: str) -> bytes:
        body: bytes = storage.get_object(Bucket=cloud.bucket, Key=f"batch/out/{key}{suffix}")["Body"].read()
        return body

    assert [row["id"] for row in csv.DictReader(io.StringIO(read("").decode()))] == ["a", "b"]
    assert [json.loads(line)["row"] for line in read(".errors.jsonl").splitlines()] == [3]
    assert decode_book(read(".book.json")).state == "scored"


def test_a_message_that_is_worked_on_for_long_is_handed_over_once(start: Start, said: Said, tmp_path: Path) -> None:
    log = tmp_path / "begun"
    delay = f"open({str(log)!r}, 'a').write('.'), time.sleep(3)"
    cloud = start(clone(tmp_path / "clone", delay=delay))  # tried again after 1 second, if it failed
    boto3.client("s3").put_object(Bucket=cloud.bucket, Key="batch/in/diagnosis/rows.csv", Body=ROWS)
    said.wait_for("Score done")
    assert log.read_text() == "."


def test_a_file_that_cannot_be_scored_comes_again_and_ends_among_the_dead_letters(cloud: Cloud, said: Said) -> None:
    boto3.client("s3").put_object(Bucket=cloud.bucket, Key="batch/in/progression/rows.csv", Body=ROWS)
    line = said.wait_for("goes to DeadLetters after 3 tries")
    assert line.endswith("on AWS this raises the alarm DeadLettersWaiting")
    queue = cloud.queues["DeadLetters"]

    def receive() -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = boto3.client("sqs").receive_message(QueueUrl=queue).get("Messages", [])
        return messages

    (letter,) = wait_for(receive)
    assert json.loads(letter["Body"])["detail"]["object"]["key"] == "batch/in/progression/rows.csv"


def test_a_file_without_a_byte_fails_as_others_do_and_a_folders_marker_is_none(cloud: Cloud, said: Said) -> None:
    storage = boto3.client("s3")
    storage.put_object(Bucket=cloud.bucket, Key="batch/in/diagnosis/ward/", Body=b"")
    storage.put_object(Bucket=cloud.bucket, Key="batch/in/diagnosis/ward/rows.csv", Body=b"")
    assert "batch/in/diagnosis/ward/rows.csv" in said.wait_for("goes to DeadLetters")
    assert said.wait_for("Score done").startswith("Score done: batch/in/diagnosis/ward/,")
    found = storage.list_objects_v2(Bucket=cloud.bucket, Prefix="batch/out/")["Contents"]
    assert [each["Key"] for each in found] == ["batch/out/diagnosis/ward/rows.csv.book.json"]
    book = decode_book(storage.get_object(Bucket=cloud.bucket, Key=found[0]["Key"])["Body"].read())
    assert book.failure is not None
    assert "the file is empty" in book.failure.detail


def test_dead_letters_are_scored_once_their_cause_is_mended_and_they_are_redriven(
    cloud: Cloud, said: Said, tmp_path: Path
) -> None:
    queues = boto3.client("sqs")

    def read(queue: str, name: str) -> str:
        attributes = queues.get_queue_attributes(QueueUrl=cloud.queues[queue], AttributeNames=[name])["Attributes"]
        value: str = attributes[name]
        return value

    boto3.client("s3").put_object(Bucket=cloud.bucket, Key="batch/in/progression/rows.csv", Body=ROWS)
    said.wait_for("goes to DeadLetters after 3 tries")
    wait_for(lambda: read("DeadLetters", "ApproximateNumberOfMessages") == "1")
    tiny.publish(open_store(cloud.store), "progression", tiny.classifier_package(tmp_path / "late"))
    moved = queues.start_message_move_task(SourceArn=read("DeadLetters", "QueueArn"))
    assert moved["TaskHandle"]
    said.wait_for("Score done: batch/in/progression/rows.csv")
    assert read("DeadLetters", "ApproximateNumberOfMessages") == "0"


def test_only_dead_letters_are_redriven(cloud: Cloud) -> None:
    queues = boto3.client("sqs")
    told = queues.get_queue_attributes(QueueUrl=cloud.queues["LandedFiles"], AttributeNames=["QueueArn"])
    with pytest.raises(ClientError, match="must be configured as a Dead Letter Queue") as refused:
        queues.start_message_move_task(SourceArn=told["Attributes"]["QueueArn"])
    assert refused.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_what_is_copied_in_is_a_registry_with_its_aliases_and_their_history(cloud: Cloud) -> None:
    registry = Registry(open_store(cloud.store), who="tests")
    assert registry.models() == ["diagnosis"]
    assert registry.alias("diagnosis")[0].routes[0].version == 1
