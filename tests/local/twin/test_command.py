"""`onnxlet local up` as its page tells it, in processes of their own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

from command_line import ONNXLET, environment
from models import tiny
from onnxlet.store import open_store

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.slow


@contextmanager
def up(store: str, folder: Path, *options: str, cwd: Path = ROOT) -> Iterator[subprocess.Popen[str]]:
    command = [*ONNXLET, "local", "up", "--port", "0", "--http-port", "0", *options]
    twin = subprocess.Popen(
        command,
        cwd=cwd,
        env=environment(store, folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield twin
    finally:
        twin.terminate()  # killed, it would leave its server behind
        twin.communicate(timeout=100)


def client(service: str, variables: dict[str, str]) -> Any:  # noqa: ANN401 - boto3's
    return boto3.client(
        service,
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        region_name=variables["AWS_REGION"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )


def test_the_page_works_as_it_is_written_and_ctrl_c_ends_all_of_it(tmp_path: Path) -> None:
    source = (tmp_path / "store").as_uri()
    tiny.publish(open_store(source), "diagnosis", tiny.classifier_package(tmp_path / "model"))
    (tmp_path / "patients.csv").write_text("radius,texture\n1,2\n3,4\n")
    page = (ROOT / "docs" / "laptop.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    with up(source, tmp_path) as twin:
        assert twin.stdout is not None
        exported = twin.stdout.readline().split()
        assert exported[0] == "export"
        variables = dict(word.split("=", 1) for word in exported[1:])
        assert re.findall(r"([A-Z_]+)=", page) == list(variables)
        (tmp_path / "page.py").write_text(code)
        done = subprocess.run(
            [sys.executable, "page.py"],
            cwd=tmp_path,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("True\n", "")
        listed = subprocess.run(
            [*ONNXLET, "list", "--json"], env={**os.environ, **variables}, capture_output=True, check=True
        )
        assert json.loads(listed.stdout)[0]["model"] == "diagnosis"
        twin.send_signal(signal.SIGINT)
        said = twin.communicate(timeout=100)[1]
        assert twin.returncode == 0
        assert "Score done: batch/in/diagnosis/patients.csv" in said
        assert "Traceback" not in said


def test_a_job_of_a_file_elsewhere_in_s3_is_done_by_the_state_machine(tmp_path: Path) -> None:
    source = (tmp_path / "store").as_uri()
    tiny.publish(open_store(source), "diagnosis", tiny.classifier_package(tmp_path / "model"))
    (tmp_path / "rows.csv").write_text('id,radius,texture\n"a, b",1,2\nc,x,4\n')
    with up(source, tmp_path, "--parameter", "BatchArns", "arn:aws:s3:::lake/*") as twin:
        assert twin.stdout is not None
        variables = dict(word.split("=", 1) for word in twin.stdout.readline().split()[1:])
        assert twin.stderr is not None
        url = next(found[1] for line in twin.stderr if (found := re.search(r"the API at (\S+),", line)))

        def call(*words: str) -> dict[str, Any]:
            done = subprocess.run(
                [*ONNXLET, *words, "--json"],
                env={**os.environ, **variables},
                cwd=tmp_path,
                capture_output=True,
                check=True,
            )
            told: dict[str, Any] = json.loads(done.stdout)
            return told

        storage = client("s3", variables)
        storage.create_bucket(Bucket="lake")
        storage.upload_file(str(tmp_path / "rows.csv"), "lake", "rows.csv")
        lake = ("s3://lake/rows.csv", "--model", "diagnosis", "--to", "s3://lake/scored.csv")
        job = call("jobs", "create", *lake, "--wait")
        assert (job["state"], job["rows"]) == ("scored", {"read": 2, "scored": 1, "errors": 1})
        scored = storage.get_object(Bucket="lake", Key="scored.csv")["Body"].read()
        assert scored.splitlines()[1].startswith(b'"a, b",1,2,1,')
        asked = {"ref": "diagnosis", "source": "s3://lake/rows.csv", "output": "s3://lake/again.csv"}
        made = requests.post(f"{url}/batch/jobs", json=asked, timeout=60).json()
        assert call("jobs", "show", made["id"], "--wait")["state"] == "scored"
        assert storage.get_object(Bucket="lake", Key="again.csv")["Body"].read() == scored
        elsewhere = requests.post(f"{url}/batch/jobs", json={**asked, "source": "s3://sea/rows.csv"}, timeout=60)
        assert (elsewhere.status_code, "BatchArns" in elsewhere.text) == (400, True)


def test_elsewhere_than_in_a_clone_it_says_so(tmp_path: Path) -> None:
    with up((tmp_path / "store").as_uri(), tmp_path, cwd=tmp_path) as twin:
        said = twin.communicate(timeout=100)[1]
    assert twin.returncode == 1
    assert "there is no template.yaml here: the twin runs in a clone of the repository" in said
