"""Batch jobs over HTTP and as commands, from asking to results, over S3 as moto plays it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from click.testing import CliRunner
from fastapi.testclient import TestClient

from deliveries import make_predictor, publish
from faults import WatchedStore
from laboratory import Laboratory, background_of, product
from machines import Machine
from onnxlet.batch.answering import Scoring
from onnxlet.batch.large import diverting
from onnxlet.batch.objects import score_object
from onnxlet.cli.root import cli
from onnxlet.controlplane.app import create_app
from onnxlet.errors import InvalidInputError
from onnxlet.jobs import estimates, jobs
from onnxlet.jobs.orders import decode_order, order_landed
from onnxlet.local.step_functions import ExecutionFailedError
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


def _upload(client: TestClient, content: bytes, name: str = "rows.csv", **options: object) -> str:
    """A job whose file was uploaded."""
    made = client.post("/batch/jobs", json={"ref": "m", "file": name, **options}).json()
    requests.put(made["upload"], data=content, timeout=60).raise_for_status()
    job: str = made["id"]
    return job


def _score(store: Store, folder: Path, job: str, machine_arn: str = "") -> None:
    """Deliver a job's upload as its bucket does."""
    settings = Settings(store=store.url, state_machine=machine_arn, large_file_mb=1)
    scoring = Scoring(store, make_predictor(store, folder), settings, lambda: None)
    bucket, _, prefix = store.url.removeprefix("s3://").partition("/")
    detail = {"bucket": {"name": bucket}, "object": {"key": f"{prefix}/{jobs.read(store, job).order.key}"}}
    scoring.answer({"source": "aws.s3", "detail-type": "Object Created", "detail": detail}, None)


def test_an_upload_is_scored_with_the_options_that_it_was_asked_for_with(s3_store: Store, tmp_path: Path) -> None:
    client = _client(s3_store)
    kept = _upload(client, CONTENT, keep=["id"])
    _score(s3_store, tmp_path, kept)
    output = jobs.read(s3_store, kept).order.name
    assert s3_store.get(output).data.startswith(b"id,row,")
    strict = _upload(client, CONTENT, max_bad=0.4)
    with pytest.raises(InvalidInputError, match=r"more than the share of 0\.4 that may be bad"):
        _score(s3_store, tmp_path, strict)
    standing = client.get(f"/batch/jobs/{strict}").json()
    assert standing["state"] == "failed"
    again = client.post(f"/batch/jobs/{strict}:retry").json()["id"]
    assert jobs.read(s3_store, again).order.max_bad == 1.0


def test_an_upload_is_explained_where_its_job_asks_for_it(s3_store: Store, tmp_path: Path) -> None:
    background = background_of(12, 2)
    columns = {"radius": background[:, 0], "texture": background[:, 1]}
    product(Laboratory(s3_store, tmp_path), features=2, columns=tuple(columns), background=columns)
    asked = {"ref": "product", "file": "rows.csv", "explain": {"method": "exact"}}
    made = _client(s3_store).post("/batch/jobs", json=asked).json()
    requests.put(made["upload"], data=CONTENT, timeout=60).raise_for_status()
    _score(s3_store, tmp_path, made["id"])
    with io.StringIO(s3_store.get(jobs.read(s3_store, made["id"]).order.name).data.decode()) as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    for row in rows:
        total = float(row["expected"]) + float(row["attribution_radius"]) + float(row["attribution_texture"])
        assert total == pytest.approx(float(row["y"]), rel=1e-5)


def test_a_large_upload_keeps_its_options_and_is_stopped_when_its_job_is_cancelled(
    s3_store: Store, machine_arn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diverting, "MIB", 1)
    client = _client(s3_store, state_machine=machine_arn)
    job = _upload(client, CONTENT, keep=["id"], max_bad=0.5)
    _score(s3_store, tmp_path, job, machine_arn)
    machines = boto3.client("stepfunctions")
    (execution,) = machines.list_executions(stateMachineArn=machine_arn)["executions"]
    order = decode_order(machines.describe_execution(executionArn=execution["executionArn"])["input"].encode())
    assert (order.keep, order.max_bad, order.job) == (("id",), 0.5, job)
    assert client.post(f"/batch/jobs/{job}:cancel").json()["state"] == "cancelled"
    assert machines.describe_execution(executionArn=execution["executionArn"])["status"] == "ABORTED"
    # what is delivered afterwards is no failure, and begins nothing
    _score(s3_store, tmp_path, job, machine_arn)
    assert len(machines.list_executions(stateMachineArn=machine_arn)["executions"]) == 1


def test_an_execution_that_begins_while_its_job_is_cancelled_is_stopped(
    s3_store: Store, machine_arn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diverting, "MIB", 1)
    client = _client(s3_store, state_machine=machine_arn)
    job = _upload(client, CONTENT)

    def cancel(method: str, key: str) -> None:
        if (method, key) == ("put", f"batch/jobs/{job}.execution.json"):
            assert client.post(f"/batch/jobs/{job}:cancel").json()["state"] == "cancelled"

    _score(WatchedStore(s3_store, cancel), tmp_path, job, machine_arn)
    (execution,) = boto3.client("stepfunctions").list_executions(stateMachineArn=machine_arn)["executions"]
    assert execution["status"] == "ABORTED"


@pytest.mark.parametrize(
    ("name", "content", "taken"),
    [
        ("a.csv", b"id,radius,texture\r\n1,2,3\r\n2,x,1\r\n3,4,5\r\n", b"id,radius,texture\r\n2,x,1\r\n"),
        ("a.csv", b'id;radius;texture\n1;2;3\n"2\n;";x;1\n', b'id;radius;texture\n"2\n;";x;1\n'),
        ("a.csv", b'id,radius,texture\n1,2,3\n5",x,1\n6,7,8\n9",1,2\n', b'id,radius,texture\n5",x,1\n'),
        ("a.csv", b'\xef\xbb\xbf"id",radius,texture\n1,2,3\n2,x,1', b'\xef\xbb\xbf"id",radius,texture\n2,x,1\n'),
        ("a.jsonl", b'{"radius":1,"texture":2}\n{"radius":"\\""}\n{"radius":1,"texture":3}\n', b'{"radius":"\\""}\n'),
    ],
)
def test_bad_rows_alone_are_taken_out(s3_store: Store, tmp_path: Path, name: str, content: bytes, taken: bytes) -> None:
    client = _client(s3_store)
    job = _upload(client, content, name)
    _score(s3_store, tmp_path, job)
    again = client.post(f"/batch/jobs/{job}:retry").json()["id"]
    assert s3_store.get(jobs.read(s3_store, again).order.key).data == taken


def test_bad_rows_of_another_file_than_was_scored_are_not_taken(s3_store: Store, tmp_path: Path) -> None:
    client = _client(s3_store)
    packed = _upload(client, gzip.compress(CONTENT), "rows.csv.gz")
    job = _upload(client, CONTENT)
    for each in (job, packed):
        _score(s3_store, tmp_path, each)
    refused = client.post(f"/batch/jobs/{packed}:retry")
    assert (refused.status_code, "upload them by themselves" in refused.text) == (409, True)
    key = jobs.read(s3_store, job).order.key
    s3_store.put(key, CONTENT.replace(b"?", b"!"))
    refused = client.post(f"/batch/jobs/{job}:retry")
    assert (refused.status_code, "is not the file any more that was scored" in refused.text) == (409, True)
    s3_store.delete(key)
    assert client.post(f"/batch/jobs/{job}:retry").status_code == 409
    assert len(client.get("/batch/jobs").json()["jobs"]) == 2


@pytest.mark.parametrize(
    "asked",
    [
        {"ref": "m"},
        {"ref": "m", "file": "a/b.csv"},
        {"ref": "m", "file": "a.csv", "source": "s3://bucket/a.csv"},
        {"ref": "m", "file": "a.csv", "output": "s3://bucket/a.csv"},
        {"ref": "m", "file": "a.csv", "max_bad": 2},
        {"ref": "m", "source": "https://bucket/a.csv"},
        {"ref": "m", "file": "a.csv", "explain": {"method": "gradients"}},
        {"ref": "not a ref", "file": "a.csv"},
        {"ref": "nothing", "file": "a.csv"},
    ],
)
def test_what_cannot_be_asked_is_refused(s3_store: Store, asked: dict[str, object]) -> None:
    assert _client(s3_store).post("/batch/jobs", json=asked).status_code in {400, 404, 422}
    assert list(s3_store.list("batch/jobs/")) == []
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
    made = run("create", str(file), "--model", "m", "--keep", "id", "--max-bad", "0.6")
    assert isinstance(made, dict)
    assert made["state"] == "waiting"
    score_object(s3_store, make_predictor(s3_store, tmp_path), jobs.read(s3_store, made["id"]).order.key)
    assert run("show", made["id"], "--wait")["state"] == "scored"
    output, *others = run("results", made["id"]).values()
    assert (requests.get(output, timeout=60).content[:7], len(others)) == (b"id,row,", 2)
    assert run("retry", made["id"])["state"] == "waiting"
    assert len(run("list")) == 2


def test_urls_are_signed_as_every_region_takes_them(s3_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for region in ("us-east-1", "eu-west-1"):
        monkeypatch.setenv("AWS_DEFAULT_REGION", region)
        assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in jobs.presign(s3_store.url, "batch/in/m/a.csv", "put_object")


def test_an_output_of_another_scoring_is_no_jobs_output(s3_store: Store, machine_arn: str, tmp_path: Path) -> None:
    bucket = s3_store.url.split("/")[2]
    theirs = open_store(f"s3://{bucket}")
    client = _client(s3_store, state_machine=machine_arn, batch_arns=f"arn:aws:s3:::{bucket}/*")
    for key in ("lake/rows.csv", "lake/others.csv"):
        theirs.put(key, CONTENT)
    asked = {"ref": "m", "source": f"s3://{bucket}/lake/rows.csv", "output": f"s3://{bucket}/lake/scored.csv"}
    strict, first = (client.post("/batch/jobs", json={**asked, **it}).json()["id"] for it in ({"max_bad": 0.7}, {}))
    machine = Machine(s3_store, make_predictor(s3_store, tmp_path))
    machine.run(jobs.read(s3_store, first).order)
    book = theirs.get("lake/scored.csv.book.json")
    # one that was asked for before neither takes the place of the first nor is called scored
    with pytest.raises(ExecutionFailedError, match="scored with another options: choose another output"):
        machine.run(jobs.read(s3_store, strict).order)
    assert client.get(f"/batch/jobs/{strict}").json()["state"] != "scored"
    same = client.post("/batch/jobs", json=asked).json()["id"]
    machine.run(jobs.read(s3_store, same).order)
    assert client.get(f"/batch/jobs/{same}").json()["state"] == "scored"
    for other in ({"keep": ["id"]}, {"source": f"s3://{bucket}/lake/others.csv"}):
        refused = client.post("/batch/jobs", json={**asked, **other})
        assert (refused.status_code, "choose another output" in refused.text) == (409, True)
    assert theirs.get("lake/scored.csv.book.json").etag == book.etag


def test_two_jobs_of_one_file_at_once_get_what_each_asked_for(
    s3_store: Store, machine_arn: str, tmp_path: Path
) -> None:
    bucket = s3_store.url.split("/")[2]
    theirs = open_store(f"s3://{bucket}")
    theirs.put("lake/rows.csv", CONTENT)
    client = _client(s3_store, state_machine=machine_arn, batch_arns=f"arn:aws:s3:::{bucket}/*")
    asked = {"ref": "m", "source": f"s3://{bucket}/lake/rows.csv"}
    outputs = {"lake/ids.csv": {"keep": ["id"]}, "lake/all.csv": {}}
    made = [
        client.post("/batch/jobs", json={**asked, "output": f"s3://{bucket}/{output}", **options}).json()["id"]
        for output, options in outputs.items()
    ]
    meeting = threading.Barrier(2)

    def wait_for_the_other(event: dict[str, Any]) -> None:
        if event["step"] == "finish":
            meeting.wait(60)

    def run(job: str) -> None:
        machine = Machine(s3_store, make_predictor(s3_store, tmp_path / job))
        machine.before = wait_for_the_other
        machine.run(jobs.read(s3_store, job).order)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, made))
    assert [client.get(f"/batch/jobs/{job}").json()["state"] for job in made] == ["scored", "scored"]
    assert [theirs.get(output).data.split(b"row")[0] for output in outputs] == [b"id,", b"id,radius,texture,"]


def test_what_a_killed_cancelling_left_is_cancelled_by_the_next(s3_store: Store, machine_arn: str) -> None:
    bucket = s3_store.url.split("/")[2]
    client = _client(s3_store, state_machine=machine_arn, batch_arns=f"arn:aws:s3:::{bucket}/*")
    made = client.post("/batch/jobs", json={"ref": "m", "source": f"s3://{bucket}/a.csv"}).json()
    s3_store.put(f"batch/jobs/{made['id']}.cancelled.json", b"{}")
    assert client.post(f"/batch/jobs/{made['id']}:cancel").json()["state"] == "cancelled"
    execution = jobs.read(s3_store, made["id"]).execution
    assert boto3.client("stepfunctions").describe_execution(executionArn=execution)["status"] == "ABORTED"


def test_the_commands_say_by_their_exit_code_what_became_of_a_job(s3_store: Store, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(CONTENT)
    job = _upload(_client(s3_store), CONTENT, max_bad=0.1)
    with pytest.raises(InvalidInputError):
        _score(s3_store, tmp_path, job)

    def run(*words: str, url: str = s3_store.url) -> tuple[int, str]:
        done = CliRunner().invoke(cli, ["--store", url, "jobs", *words])
        return done.exit_code, f"{done.output} {done.exception}"

    assert run("show", job)[0] == 0
    assert run("show", job, "--wait")[0] == 1
    assert run("create", str(file), "--model", "nothing", "--dry-run")[0] != 0
    assert "1 section of" in run("create", str(file), "--model", "m", "--dry-run")[1]
    code, said = run("create", str(file), "--model", "m", url=(tmp_path / "store").as_uri())
    assert (code != 0, "`onnxlet score`" in said) == (True, True)
