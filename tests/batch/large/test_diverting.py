"""Files that land: small ones are scored where their event arrives, large ones handed to the state machine, once."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import boto3
import pytest

from deliveries import IN, OUT, make_predictor, publish
from machines import Machine
from onnxlet.batch.answering import Scoring
from onnxlet.batch.book import decode_book
from onnxlet.batch.large import diverting
from onnxlet.errors import StoreUnavailableError
from onnxlet.jobs.orders import decode_order
from onnxlet.settings import Settings
from onnxlet.store import Store, open_store

EVENT = json.loads((Path(__file__).parents[2] / "events" / "score-sqs.json").read_text())
LARGE = b"id,radius,texture\n" + b"1,2,3\n" * 1000


@pytest.fixture
def s3_store(s3_store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(diverting, "MIB", 1024)
    store = open_store(s3_store_url)
    publish(store, tmp_path)
    return store


@pytest.fixture
def machine_arn(s3_environment: str) -> str:
    """A state machine that moto keeps, and does not run."""
    assert s3_environment
    machines = boto3.client("stepfunctions")
    role = "arn:aws:iam::123456789012:role/r"
    arn: str = machines.create_state_machine(name=f"scoring-{uuid.uuid4().hex}", definition="{}", roleArn=role)[
        "stateMachineArn"
    ]
    return arn


def _scoring(store: Store, folder: Path, arn: str) -> Scoring:
    settings = Settings(store=store.url, state_machine=arn, large_file_mb=4)
    return Scoring(store, make_predictor(store, folder), settings, lambda: None)


def _landed(store: Store, key: str) -> dict[str, Any]:
    bucket, _, prefix = store.url.removeprefix("s3://").partition("/")
    (record,) = EVENT["Records"]
    body = json.loads(record["body"])
    body["detail"]["bucket"]["name"] = bucket
    body["detail"]["object"]["key"] = f"{prefix}/{key}"
    return {"Records": [{**record, "body": json.dumps(body)}]}


def _executions(arn: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = boto3.client("stepfunctions").list_executions(stateMachineArn=arn)["executions"]
    return found


def test_a_large_file_starts_one_execution_however_often_it_is_delivered(
    s3_store: Store, machine_arn: str, tmp_path: Path
) -> None:
    scoring = _scoring(s3_store, tmp_path, machine_arn)
    s3_store.put(IN, LARGE)
    for _ in range(3):
        assert scoring.answer(_landed(s3_store, IN), None) == {"batchItemFailures": []}
    (execution,) = _executions(machine_arn)
    assert not list(s3_store.list(OUT))
    given = boto3.client("stepfunctions").describe_execution(executionArn=execution["executionArn"])["input"]
    Machine(s3_store, make_predictor(s3_store, tmp_path)).run(decode_order(given.encode()))
    assert decode_book(s3_store.get(f"{OUT}.book.json").data).state == "scored"
    boto3.client("stepfunctions").stop_execution(executionArn=execution["executionArn"])
    scoring.answer(_landed(s3_store, IN), None)
    assert len(_executions(machine_arn)) == 1
    # an execution that ended without a book is repeated under another name, and so is another upload
    s3_store.delete(f"{OUT}.book.json")
    scoring.answer(_landed(s3_store, IN), None)
    assert len(_executions(machine_arn)) == 2
    s3_store.put(IN, LARGE + b"4,5,6\n")
    scoring.answer(_landed(s3_store, IN), None)
    assert len(_executions(machine_arn)) == 3


@pytest.mark.parametrize(
    ("name", "content"),
    [("small.csv", LARGE[:3000]), ("wrong.txt", LARGE), ("header.csv", b"radius\n" + b"1\n" * 3)],
)
def test_other_files_are_scored_where_they_arrive(
    s3_store: Store, machine_arn: str, tmp_path: Path, name: str, content: bytes
) -> None:
    key = f"batch/in/m/{name}"
    s3_store.put(key, content)
    _scoring(s3_store, tmp_path, machine_arn).answer(_landed(s3_store, key), None)
    assert _executions(machine_arn) == []
    assert decode_book(s3_store.get(f"batch/out/m/{name}.book.json").data)


def test_a_machine_that_does_not_start_leaves_the_message_for_later(s3_store: Store, tmp_path: Path) -> None:
    arn = "arn:aws:states:us-east-1:123456789012:stateMachine:nobody"
    s3_store.put(IN, LARGE)
    scoring = _scoring(s3_store, tmp_path, arn)
    answer = scoring.answer(_landed(s3_store, IN), None)
    assert len(answer["batchItemFailures"]) == 1
    with pytest.raises(StoreUnavailableError, match="Step Functions does not answer"):
        diverting.Diversion(s3_store, Settings(state_machine=arn, large_file_mb=4)).take(IN)
