"""Large files in the twin: the event starts the state machine, and the simulator runs it with the real functions."""

from __future__ import annotations

import json
import random
import re
import subprocess
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

from command_line import ONNXLET, environment
from onnxlet.batch.book import Book, decode_book
from onnxlet.batch.local_files import score_path
from onnxlet.local.twin.cloud import Cloud
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import open_store
from onnxlet.values.refs import parse_ref
from twins import ROOT, Said, Start, clone, wait_for

pytestmark = pytest.mark.slow


def table(size: int = 2**20) -> bytes:
    """CSV of some more bytes, with quoted line feeds, commas and quotes, and bad rows."""
    chance = random.Random(0)  # noqa: S311 - no secret
    notes = ["plain", '"two\nlines"', '"a, b"', '"say ""no"""', ""]
    rows = (
        f"{number},{'x' if chance.random() < 0.01 else f'{chance.random():.4f}'},{chance.random():.3f},"
        f"{chance.choice(notes)}\n"
        for number in range(1000)
    )
    block = "".join(rows).encode()
    return b"id,radius,texture,note\n" + block * (size // len(block) + 1)


@dataclass(frozen=True)
class File:
    """A file of a twin, what is written for it, and the executions that scored it."""

    cloud: Cloud
    key: str = field(default_factory=lambda: f"diagnosis/{uuid.uuid4().hex}/big.csv")

    def upload(self, content: bytes) -> None:
        boto3.client("s3").put_object(Bucket=self.cloud.bucket, Key=f"batch/in/{self.key}", Body=content)

    def deliver_again(self) -> None:
        """As the page says."""
        (body,) = re.findall(r"--message-body '(.*)'", (ROOT / "docs" / "batch.md").read_text())
        body = body.replace("<bucket>", self.cloud.bucket).replace("diagnosis/patients.csv", self.key)
        queues = boto3.client("sqs")
        url = queues.get_queue_url(QueueName="onnxlet-landed-files")["QueueUrl"]
        queues.send_message(QueueUrl=url, MessageBody=body)

    def read(self, suffix: str = "") -> bytes:
        name = f"batch/out/{self.key}{suffix}"
        data: bytes = boto3.client("s3").get_object(Bucket=self.cloud.bucket, Key=name)["Body"].read()
        return data

    def outputs(self) -> tuple[bytes, bytes]:
        return self.read(), self.read(".errors.jsonl")

    def book(self) -> Book:
        return decode_book(self.read(".book.json"))

    def executions(self) -> list[dict[str, Any]]:
        """The newest first."""
        service = boto3.client("stepfunctions")
        (machine,) = self.cloud.machines.values()
        listed = service.list_executions(stateMachineArn=machine)["executions"]
        told = [service.describe_execution(executionArn=each["executionArn"]) for each in listed]
        return [each for each in told if json.loads(each["input"])["key"] == f"batch/in/{self.key}"]


def scored_here(folder: Path, content: bytes) -> tuple[bytes, bytes]:
    """Output and errors that one process writes with the same version."""
    url, source, target = (folder / "store").as_uri(), folder / "here.csv", folder / "here-scored.csv"
    source.write_bytes(content)
    predictor = Predictor(open_store(url), Settings(store=url, cache_dir=str(folder / "cache")))
    score_path(predictor, parse_ref("diagnosis"), source, target)
    return target.read_bytes(), Path(f"{target}.errors.jsonl").read_bytes()


def scored_by_the_command(folder: Path, content: bytes) -> tuple[bytes, bytes]:
    (folder / "big.csv").write_bytes(content)
    command = [*ONNXLET, "score", "big.csv", "--model", "diagnosis", "-o", "scored.csv"]
    told = environment((folder / "store").as_uri(), folder)
    subprocess.run(command, cwd=folder, env=told, check=True, capture_output=True)
    return (folder / "scored.csv").read_bytes(), (folder / "scored.csv.errors.jsonl").read_bytes()


def test_a_large_file_is_scored_in_sections_into_the_bytes_that_the_command_writes(
    start: Start, said: Said, tmp_path: Path
) -> None:
    file, content = File(start(LargeFileMb="1")), table()
    file.upload(content)
    said.wait_for(": succeeded, ")
    assert file.outputs() == scored_by_the_command(tmp_path, content)
    assert (file.book().state, bool(file.book().parts)) == ("scored", True)
    (execution,) = file.executions()
    assert execution["status"] == "SUCCEEDED"
    what = f"batch/in/{file.key}, execution {execution['name'][:8]}: "
    told = [line.removeprefix(what) for line in said if line.startswith(what)]
    states = ["Begin", "Open", "ScanStretches", "Plan", "ScoreSections", "Finish", "Announce", "Closed"]
    assert told[0] == "run by the simulator of Step Functions"
    assert [word for word in told if word in states] == states
    assert {"ScanStretches: 1 of 1", "ScoreSections: 1 of 1"} <= set(told)
    # what is scored already, and delivered again, starts nothing; and a smaller file is scored where its event arrives
    file.deliver_again()
    small = File(file.cloud)
    small.upload(table(1000))
    said.wait_for(f"Score done: batch/in/{small.key}")
    wait_for(lambda: sum(line.startswith(f"Score done: batch/in/{file.key}") for line in said) == 2)
    assert (len(file.executions()), len(small.executions()), small.book().state) == (1, 0, "scored")


def test_an_invocation_whose_time_is_nearly_up_is_followed_by_another_for_the_rest(
    start: Start, said: Said, tmp_path: Path
) -> None:
    log = tmp_path / "begun"
    template = clone(tmp_path / "clone", fault=f"open({str(log)!r}, 'a').write('.')", timeout=20)
    file, content = File(start(template, LargeFileMb="1")), table(2 * 2**20)
    file.upload(content)
    said.wait_for(": succeeded, ")
    # with less time than it keeps in reserve each of them scores one MiB
    assert len(log.read_text()) >= len(content) // 2**20
    assert file.outputs() == scored_here(tmp_path, content)


def test_a_child_that_is_killed_is_tried_again(start: Start, said: Said, tmp_path: Path) -> None:
    mark = str(tmp_path / "killed")
    fault = f"os.path.exists({mark!r}) or (open({mark!r}, 'w').close(), os._exit(1))"
    file, content = File(start(clone(tmp_path / "clone", fault=fault), LargeFileMb="1")), table()
    file.upload(content)
    said.wait_for(": succeeded, ")
    assert any("Score failed" in line and "ended without an answer" in line for line in said)
    assert file.outputs() == scored_here(tmp_path, content)


@pytest.mark.long
def test_children_that_fail_for_good_fail_the_execution_and_the_file_is_scored_when_it_is_delivered_again(
    start: Start, said: Said, tmp_path: Path
) -> None:
    mended = tmp_path / "mended"
    template = clone(tmp_path / "clone", fault=f"open({str(mended)!r}).close()")
    file, content = File(start(template, LargeFileMb="1")), table()
    file.upload(content)
    assert said.wait_for(": failed: ").endswith("on AWS this raises the alarm LargeFilesNotScored")
    (failed,) = file.executions()
    assert (failed["status"], failed["error"]) == ("FAILED", "UnavailableError")
    mended.touch()
    file.deliver_again()
    said.wait_for(": succeeded, ")
    second, first = file.executions()
    assert (second["status"], first["status"]) == ("SUCCEEDED", "FAILED")
    assert second["name"].removesuffix("-2") == first["name"].removesuffix("-1")
    assert file.outputs() == scored_here(tmp_path, content)


def test_a_file_that_cannot_be_scored_has_a_failed_book_and_a_failed_execution(start: Start, said: Said) -> None:
    file = File(start(LargeFileMb="1"))
    file.upload(b"radius\n" + b"1\n" * 2**20)
    assert said.wait_for(": failed: NotScored").endswith("on AWS this raises the alarm LargeFilesNotScored")
    failure = file.book().failure
    assert failure is not None
    assert "texture" in failure.detail
    assert file.executions()[0]["status"] == "FAILED"


@pytest.mark.long
def test_an_execution_that_is_stopped_goes_no_further(start: Start, said: Said, tmp_path: Path) -> None:
    file = File(start(clone(tmp_path / "clone", fault="raise RuntimeError('busy')"), LargeFileMb="1"))
    file.upload(table())
    said.wait_for("RuntimeError: busy")
    (running,) = file.executions()
    boto3.client("stepfunctions").stop_execution(executionArn=running["executionArn"])
    said.wait_for(": stopped")
    assert file.executions()[0]["status"] == "ABORTED"
    assert not any("Finish" in line for line in said)
