"""S3 events in every shape they come in, against a real S3 server."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models import tiny
from onnxlet.batch.book import decode_book
from onnxlet.batch.events import handle, keys_to_score
from onnxlet.errors import InvalidInputError, ModelNotFoundError, ObjectNotFoundError, StoreUnavailableError
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import Store, open_store

EVENTS = Path(__file__).parents[1] / "events"
PATH = "ward 7/new patients+1.csv"
GOOD = b"radius,texture\n1,2\n,2\n2,2\n"

Handle = Callable[[dict[str, Any]], dict[str, Any]]


def _event(case: str, url: str = "") -> dict[str, Any]:
    """An event of tests/events, about the bucket and below the prefix of the store at `url`."""
    text = (EVENTS / f"score-{case}.json").read_text()
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    if prefix:
        text = text.replace("onnxlet-models", bucket).replace("batch/", f"{prefix}/batch/")
    event: dict[str, Any] = json.loads(text)
    return event


@pytest.fixture
def s3_store(s3_store_url: str, tmp_path: Path) -> Store:
    """A store in S3 with a model `diagnosis` in production."""
    store = open_store(s3_store_url)
    tiny.publish(store, "diagnosis", tiny.classifier_package(tmp_path / "model"))
    return store


@pytest.fixture
def answer(s3_store: Store, tmp_path: Path) -> Handle:
    """The function over that store."""
    predictor = Predictor(s3_store, Settings(store=s3_store.url, cache_dir=str(tmp_path / "cache")))
    return lambda event: handle(s3_store, predictor, event)


def test_eventbridge_events_have_raw_keys(answer: Handle, s3_store: Store) -> None:
    s3_store.put(f"batch/in/diagnosis/{PATH}", GOOD)
    (report,) = answer(_event("eventbridge", s3_store.url))["scored"]
    assert report["rows"] == {"read": 3, "scored": 2, "errors": 1}
    assert report["source"]["etag"] == s3_store.get(f"batch/in/diagnosis/{PATH}").etag
    scored = s3_store.get(f"batch/out/diagnosis/{PATH}").data.decode().splitlines()
    added = "row,label,probability,probability_benign,probability_malignant,model_version"
    assert scored[0] == f"radius,texture,{added}"
    assert [line.split(",")[2:4] for line in scored[1:]] == [["1", "malignant"], ["3", "malignant"]]
    errors = s3_store.get(f"batch/out/diagnosis/{PATH}.errors.jsonl").data
    assert json.loads(errors) == {"row": 2, "error": "missing value", "column": "radius", "byte": GOOD.index(b",2\n2")}
    manifest = decode_book(s3_store.get(f"batch/out/diagnosis/{PATH}.book.json").data)
    assert manifest.state == "scored"
    assert [written.key for written in manifest.outputs] == [
        f"batch/out/diagnosis/{PATH}",
        f"batch/out/diagnosis/{PATH}.errors.jsonl",
    ]


@pytest.mark.parametrize(
    ("case", "ref"),
    [("s3-notification", "diagnosis"), ("sqs", "diagnosis"), ("sqs-s3-notification", "diagnosis@production")],
)
def test_s3_and_sqs_spell_the_same_file_in_their_own_ways(answer: Handle, s3_store: Store, case: str, ref: str) -> None:
    s3_store.put(f"batch/in/{ref}/{PATH}", GOOD)
    result = answer(_event(case, s3_store.url))
    if case.startswith("sqs"):
        assert result == {"batchItemFailures": []}
    manifest = decode_book(s3_store.get(f"batch/out/{ref}/{PATH}.book.json").data)
    assert manifest.ref == ref
    assert manifest.scorer is not None
    assert manifest.scorer.alias == "production"


def test_only_messages_that_failed_come_again(answer: Handle, s3_store: Store) -> None:
    s3_store.put("batch/in/diagnosis/good.csv", GOOD)
    s3_store.put("batch/in/diagnosis/missing-columns.csv", b"radius\n1\n")
    s3_store.put("batch/in/nobody/good.csv", GOOD)
    s3_store.put("batch/in/diagnosis:1/good.jsonl", b'{"radius": 1, "texture": 2}\n')
    event = _event("sqs-several", s3_store.url)
    failed = [failure["itemIdentifier"] for failure in answer(event)["batchItemFailures"]]
    assert failed == [record["messageId"] for record in event["Records"][1:3]]
    written = [entry.key for entry in s3_store.list("batch/out/")]
    assert written == [
        "batch/out/diagnosis/good.csv",
        "batch/out/diagnosis/good.csv.book.json",
        "batch/out/diagnosis/good.csv.errors.jsonl",
        "batch/out/diagnosis/missing-columns.csv.book.json",
        "batch/out/diagnosis:1/good.jsonl",
        "batch/out/diagnosis:1/good.jsonl.book.json",
        "batch/out/nobody/good.csv.book.json",
    ]
    why = decode_book(s3_store.get(written[3]).data)
    assert why.failure is not None
    assert (why.state, why.failure.detail) == ("failed", "the file has no column 'texture' that the model needs")
    why = decode_book(s3_store.get(written[6]).data)
    assert why.failure is not None
    assert why.failure.type == "ModelNotFoundError"
    assert why.source is not None


def test_a_clean_upload_takes_away_the_errors_of_the_one_before(answer: Handle, s3_store: Store) -> None:
    s3_store.put(f"batch/in/diagnosis/{PATH}", GOOD + b"x,y,z\n")
    answer(_event("eventbridge", s3_store.url))
    written = {entry.key for entry in s3_store.list("batch/out/")}
    assert f"batch/out/diagnosis/{PATH}.errors.jsonl" in written

    s3_store.put(f"batch/in/diagnosis/{PATH}", b"radius,texture\n1,2\n")
    (book,) = answer(_event("eventbridge", s3_store.url))["scored"]

    written -= {f"batch/out/diagnosis/{PATH}.errors.jsonl"}
    assert {entry.key for entry in s3_store.list("batch/out/")} == written
    assert [output["key"] for output in book["outputs"]] == [f"batch/out/diagnosis/{PATH}"]


def test_a_delivery_twice_leaves_one_book(answer: Handle, s3_store: Store) -> None:
    s3_store.put(f"batch/in/diagnosis/{PATH}", GOOD)
    event = _event("eventbridge", s3_store.url)
    assert answer(event)["scored"][0]["outputs"] == answer(event)["scored"][0]["outputs"]


def test_a_direct_event_that_fails_raises(answer: Handle, s3_store: Store) -> None:
    event = _event("eventbridge", s3_store.url)
    with pytest.raises(ObjectNotFoundError):
        answer(event)
    event["detail"]["object"]["key"] = event["detail"]["object"]["key"].replace("diagnosis", "nobody")
    s3_store.put(f"batch/in/nobody/{PATH}", GOOD)
    with pytest.raises(ModelNotFoundError):
        answer(event)


def test_a_store_that_is_down_fails_the_message_and_leaves_no_verdict(tmp_path: Path, s3_endpoint: str) -> None:
    assert s3_endpoint
    (tmp_path / "store").write_text("a file where the store's directory should be")
    store = open_store((tmp_path / "store").as_uri())
    predictor = Predictor(store, Settings(store=store.url))
    event = _event("sqs")
    with pytest.raises(StoreUnavailableError):
        store.get("batch/in/diagnosis/x.csv")
    assert handle(store, predictor, event) == {
        "batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]
    }


@pytest.mark.parametrize(
    "key",
    [
        "somewhere/else.csv",
        "batch/in/",
        "batch/in/diagnosis/",
        "batch/in/diagnosis/ward/",
        "batch/out/diagnosis/x.csv",
        "batch/in/diagnosis/x.csv.errors.jsonl",
        "batch/in/diagnosis/x.csv.book.json",
    ],
)
def test_other_objects_are_nobodys_business(key: str) -> None:
    event = _event("eventbridge")
    event["detail"]["object"]["key"] = key
    assert keys_to_score(event, "file:///store") == []


def test_keys_outside_the_stores_prefix_are_ignored_and_other_buckets_are_errors() -> None:
    event = _event("eventbridge")
    assert keys_to_score(event, "s3://onnxlet-models") == [f"batch/in/diagnosis/{PATH}"]
    assert keys_to_score(event, "s3://onnxlet-models/prefix") == []
    with pytest.raises(InvalidInputError, match="this function scores 'another'"):
        keys_to_score(event, "s3://another")


def test_deletions_and_test_events_are_ignored() -> None:
    event = _event("eventbridge") | {"detail-type": "Object Deleted"}
    assert keys_to_score(event, "file:///store") == []
    notification = _event("s3-notification")
    notification["Records"][0]["eventName"] = "ObjectRemoved:Delete"
    assert keys_to_score(notification, "file:///store") == []


@pytest.mark.parametrize("event", [{}, {"source": "aws.s3"}, {"Records": [{}]}, {"Records": [{"eventName": 1}]}])
def test_an_event_of_another_kind_is_an_error(event: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="no event of an object"):
        keys_to_score(event, "file:///store")


@pytest.mark.parametrize("body", ["no JSON", "[]", "{}"])
def test_a_message_that_is_no_event_goes_to_the_dead_letter_queue(answer: Handle, s3_store: Store, body: str) -> None:
    event = copy.deepcopy(_event("sqs", s3_store.url))
    event["Records"][0]["body"] = body
    assert len(answer(event)["batchItemFailures"]) == 1


@pytest.mark.parametrize("key", ["batch/in/no model/x.csv", "batch/in/diagnosis/../../x.csv", "batch/in/x.csv"])
def test_keys_that_name_no_file_of_a_model_fail(answer: Handle, s3_store: Store, key: str) -> None:
    event = _event("eventbridge", s3_store.url)
    event["detail"]["object"]["key"] = s3_store.url.split("/", 3)[3] + "/" + key
    with pytest.raises(InvalidInputError):
        answer(event)


def test_a_file_of_bad_rows_alone_fails_its_message(answer: Handle, s3_store: Store) -> None:
    s3_store.put(f"batch/in/diagnosis/{PATH}", b"radius,texture\nx,2\n")
    event = _event("sqs", s3_store.url)
    assert [it["itemIdentifier"] for it in answer(event)["batchItemFailures"]] == [event["Records"][0]["messageId"]]
    assert decode_book(s3_store.get(f"batch/out/diagnosis/{PATH}.book.json").data).state == "failed"


def test_a_file_that_fails_takes_no_other_of_its_event_with_it(answer: Handle, s3_store: Store) -> None:
    event = _event("s3-notification", s3_store.url)
    other = copy.deepcopy(event["Records"][0])
    other["s3"]["object"]["key"] = other["s3"]["object"]["key"].replace("diagnosis", "diagnosis:1")
    event["Records"].append(other)
    s3_store.put(f"batch/in/diagnosis/{PATH}", b"radius\n1\n")
    s3_store.put(f"batch/in/diagnosis:1/{PATH}", GOOD)
    with pytest.raises(InvalidInputError, match="no column 'texture'"):
        answer(event)
    assert decode_book(s3_store.get(f"batch/out/diagnosis:1/{PATH}.book.json").data).state == "scored"
