"""Batch jobs over HTTP and as commands, from asking to results, over S3 as moto plays it."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from click.testing import CliRunner
from fastapi.testclient import TestClient

from deliveries import make_predictor, publish
from laboratory import Laboratory, product
from machines import Machine
from onnxlet.batch.objects import score_object
from onnxlet.cli.root import cli
from onnxlet.controlplane.app import create_app
from onnxlet.jobs import estimates, jobs
from onnxlet.jobs.orders import decode_order, order_landed
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.store import Store, open_store

CONTENT = b'id,radius,texture\n1,2,3\n2,x,"a\nb"\n3,4,5\n4,?,1\n'


@pytest.fixture
def s3_store(s3_store_url: str, tmp_path: Path) -> Store:
    store = open_store(s3_store_url)
    publish(store, tmp_path)
    return store


@pytest.fixture
def machine_arn(s3_environment: str) -> str:
    """A state machine that moto keeps, and does not run."""
    assert s3_environment
    arn: str = boto3.client("stepfunctions").create_state_machine(
        name=f"scoring-{uuid.uuid4().hex}", definition="{}", roleArn="arn:aws:iam::123456789012:role/r"
    )["stateMachineArn"]
    return arn


def _client(store: Store, state_machine: str = "", batch_arns: str = "") -> TestClient:
    settings = Settings(store=store.url, state_machine=state_machine, batch_arns=batch_arns)
    return TestClient(create_app(settings, Registry(store, who="ann")))


def test_a_job_is_uploaded_scored_followed_and_repeated_for_its_bad_rows(s3_store: Store, tmp_path: Path) -> None:
    client = _client(s3_store)
    made = client.post("/batch/jobs", json={"ref": "m", "file": "rows.csv"})
    assert made.status_code == 201
    job = made.json()["id"]
    assert client.get(f"/batch/jobs/{job}").json()["state"] == "awaiting upload"
    assert client.get(f"/batch/jobs/{job}/results").status_code == 409
    requests.put(made.json()["upload"], data=CONTENT, timeout=60).raise_for_status()
    assert client.get(f"/batch/jobs/{job}").json()["state"] == "waiting"
    key = jobs.read(s3_store, job).order.key
    score_object(s3_store, make_predictor(s3_store, tmp_path), key)
    standing = client.get(f"/batch/jobs/{job}").json()
    assert (standing["state"], standing["rows"]) == ("scored", {"read": 4, "scored": 2, "errors": 2})
    files = client.get(f"/batch/jobs/{job}/results").json()["files"]
    (output,) = (url for name, url in files.items() if name.endswith(".csv"))
    assert requests.get(output, timeout=60).text.startswith("id,radius,texture,row")
    again = client.post(f"/batch/jobs/{job}:retry").json()["id"]
    assert s3_store.get(jobs.read(s3_store, again).order.key).data == b'id,radius,texture\n2,x,"a\nb"\n4,?,1\n'
    assert client.post(f"/batch/jobs/{again}:cancel").json()["state"] == "cancelled"
    assert client.get(f"/batch/jobs/{again}").json()["state"] == "cancelled"
    assert client.post(f"/batch/jobs/{job}:cancel").status_code == 409
    assert client.post(f"/batch/jobs/{again}:retry").status_code == 409
    assert [each["id"] for each in client.get("/batch/jobs").json()["jobs"]] == sorted([job, again], reverse=True)
    assert jobs.read(s3_store, job).by == "ann"


def test_a_file_that_lies_in_s3_goes_to_the_state_machine_if_it_is_granted(
    s3_store: Store, machine_arn: str, tmp_path: Path
) -> None:
    bucket = s3_store.url.split("/")[2]
    theirs = open_store(f"s3://{bucket}")
    theirs.put("lake/rows.csv", CONTENT)
    asked = {"ref": "m", "source": f"s3://{bucket}/lake/rows.csv", "output": f"s3://{bucket}/lake/scored.csv"}
    granted = _client(
        s3_store, state_machine=machine_arn, batch_arns=f"arn:aws:s3:::{bucket},arn:aws:s3:::{bucket}/lake/*"
    )
    assert _client(s3_store, state_machine=machine_arn).post("/batch/jobs", json=asked).status_code == 400
    made = granted.post("/batch/jobs", json=asked).json()
    job = jobs.read(s3_store, made["id"])
    (execution,) = boto3.client("stepfunctions").list_executions(stateMachineArn=machine_arn)["executions"]
    assert execution["executionArn"] == job.execution
    given = boto3.client("stepfunctions").describe_execution(executionArn=job.execution)["input"]
    machine = Machine(s3_store, make_predictor(s3_store, tmp_path))
    running: list[str] = []
    machine.after = lambda _event: running.append(granted.get(f"/batch/jobs/{made['id']}").json()["state"])
    machine.run(decode_order(given.encode()))
    assert {"running", "scored"} <= set(running)
    assert theirs.get("lake/scored.csv").data.startswith(b"id,radius,texture,row")
    assert s3_store.list("batch/in/")


def test_a_job_that_runs_is_stopped(s3_store: Store, machine_arn: str) -> None:
    bucket = s3_store.url.split("/")[2]
    client = _client(s3_store, state_machine=machine_arn, batch_arns=f"arn:aws:s3:::{bucket}/*")
    made = client.post("/batch/jobs", json={"ref": "m", "source": f"s3://{bucket}/a.csv"}).json()
    assert client.post(f"/batch/jobs/{made['id']}:cancel").json()["state"] == "cancelled"
    execution = jobs.read(s3_store, made["id"]).execution
    assert boto3.client("stepfunctions").describe_execution(executionArn=execution)["status"] == "ABORTED"


@pytest.mark.parametrize(
    "asked",
    [
        {"ref": "m"},
        {"ref": "m", "file": "a/b.csv"},
        {"ref": "m", "file": "a.csv", "source": "s3://bucket/a.csv"},
        {"ref": "m", "file": "a.csv", "keep": ["id"]},
        {"ref": "m", "source": "https://bucket/a.csv"},
        {"ref": "m", "file": "a.csv", "explain": True},
        {"ref": "m", "source": "s3://bucket/a.csv", "explain": {"method": "gradients"}},
        {"ref": "not a ref", "file": "a.csv"},
    ],
)
def test_what_cannot_be_asked_is_refused(s3_store: Store, asked: dict[str, object]) -> None:
    assert _client(s3_store).post("/batch/jobs", json=asked).status_code in {400, 422}
    assert _client(s3_store).get("/batch/jobs/nothing").status_code == 404


def test_uploads_of_jobs_are_orders_of_jobs() -> None:
    assert order_landed("batch/in/m/20261129T190000-0123abcd/a.csv", "m").job == "20261129T190000-0123abcd"
    assert not order_landed("batch/in/m/ward/a.csv", "m").job


def test_a_terabyte_takes_what_the_page_says() -> None:
    taken = estimates.estimate(10**12, 50)
    assert (taken.sections, taken.section_mib) == (4994, 191)
    assert 900 < taken.seconds < 1300
    assert estimates.estimate(10**10, 50).sections == 150


def test_the_commands_do_the_same(s3_store: Store, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(CONTENT)

    def run(*words: str) -> Any:  # noqa: ANN401 - JSON
        done = CliRunner().invoke(cli, ["--store", s3_store.url, "jobs", *words, "--json"], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    assert run("create", str(file), "--model", "m", "--dry-run")["sections"] == 1
    product(Laboratory(s3_store, tmp_path))
    s3_store.put("lake/rows.csv", CONTENT)
    lake = f"{s3_store.url}/lake/rows.csv"
    assert run("create", lake, "--model", "product", "--explain", "--dry-run")["evaluations_per_row"] == 16 * 12 + 1
    made = run("create", str(file), "--model", "m")
    assert isinstance(made, dict)
    assert made["state"] == "waiting"
    score_object(s3_store, make_predictor(s3_store, tmp_path), jobs.read(s3_store, made["id"]).order.key)
    assert run("show", made["id"], "--wait")["state"] == "scored"
    assert len(run("results", made["id"])) == 3
    assert run("retry", made["id"])["state"] == "waiting"
    assert len(run("list")) == 2
