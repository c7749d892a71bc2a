"""Claims whose version was deleted: a failed book says so, and the next delivery lets the ref decide anew."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from deliveries import IN, OUT, KilledError, assert_one_set, deliver, make_predictor, publish, rows, version_of
from delivery_processes import PATIENCE, S3_TIMEOUTS, deliver_until_scored
from faults import WatchedStore
from interleaver import Interleaver
from onnxlet.batch.claims import Claim, decode_claim
from onnxlet.batch.events import handle
from onnxlet.batch.objects import score_object
from onnxlet.errors import IntegrityError, StoreUnavailableError, VersionNotFoundError
from onnxlet.registry.registry import Registry
from onnxlet.store import Store, open_store, s3

pytestmark = pytest.mark.slow

OLD = rows("old", 9, bad=2)
DELETED = r"version 1 of model 'm' was deleted before it scored '.*rows\.csv', .* deliver or upload the file again"
# Children come from a small server process: they start in milliseconds and inherit no lock or thread of this one.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["onnxlet.batch.objects", "onnxlet.store.s3"])


def claim_and_die(store: Store, folder: Path, key: str = IN) -> None:
    """A first delivery that claims version 1 and is killed before it writes anything else."""

    def die(method: str, written: str) -> None:
        if method == "create" and written.startswith("batch/out/"):
            raise KilledError

    with pytest.raises(KilledError):
        deliver(WatchedStore(store, die), make_predictor(store, folder), key)


def replace_version(store: Store, folder: Path) -> None:
    """Promote version 2 and delete version 1."""
    publish(store, folder, bias=100.0)
    Registry(store, who="operator").delete("m", 1, force=True)


def orphan_a_claim(store: Store, folder: Path, content: bytes = OLD) -> None:
    """Upload a file, and leave a claim on it whose version was deleted."""
    store.put(IN, content)
    claim_and_die(store, folder)
    replace_version(store, folder)


def claims(store: Store) -> list[Claim]:
    return [decode_claim(store.get(entry.key).data) for entry in list(store.list("batch/claims/"))]


def read_book(store: Store) -> dict[str, object]:
    book: dict[str, object] = json.loads(store.get(OUT + ".book.json").data)
    return book


def test_a_claim_of_a_deleted_version_ends_in_a_failed_book_and_the_next_delivery_claims_anew(
    any_store: Store, tmp_path: Path
) -> None:
    orphan_a_claim(any_store, tmp_path)
    with pytest.raises(VersionNotFoundError, match=DELETED) as refusal:
        deliver(any_store, make_predictor(any_store, tmp_path))
    book = read_book(any_store)
    assert (book["state"], book["failure"]) == (
        "failed",
        {"type": "VersionNotFoundError", "detail": refusal.value.detail},
    )
    assert [entry.key for entry in any_store.list(OUT)] == [OUT + ".book.json"]
    assert claims(any_store) == []
    deliver(any_store, make_predictor(any_store, tmp_path))
    assert (version_of(any_store), [claim.scorer.version for claim in claims(any_store)]) == (2, [2])
    assert_one_set(any_store, OLD)


def test_the_same_bytes_uploaded_again_are_scored_where_the_bucket_keeps_no_versions(
    s3_store_url: str, tmp_path: Path
) -> None:
    store = open_store(s3_store_url)
    publish(store, tmp_path)
    orphan_a_claim(store, tmp_path)
    with pytest.raises(VersionNotFoundError):
        deliver(store, make_predictor(store, tmp_path))
    publish(store, tmp_path, bias=-100.0)
    store.put(IN, OLD)
    deliver(store, make_predictor(store, tmp_path))
    assert version_of(store) == 3
    assert_one_set(store, OLD)


def test_a_message_fails_once_and_is_scored_when_the_queue_delivers_it_again(s3_store_url: str, tmp_path: Path) -> None:
    store = open_store(s3_store_url)
    publish(store, tmp_path)
    orphan_a_claim(store, tmp_path)
    bucket, _, prefix = s3_store_url.removeprefix("s3://").partition("/")
    detail = {"bucket": {"name": bucket}, "object": {"key": f"{prefix}/{IN}"}}
    body = json.dumps({"source": "aws.s3", "detail-type": "Object Created", "detail": detail})
    event = {"Records": [{"messageId": "a", "eventSource": "aws:sqs", "body": body}]}
    predictor = make_predictor(store, tmp_path)
    assert handle(store, predictor, event) == {"batchItemFailures": [{"itemIdentifier": "a"}]}
    assert read_book(store)["state"] == "failed"
    assert handle(store, predictor, event) == {"batchItemFailures": []}
    assert_one_set(store, OLD)


def test_a_ref_that_names_the_deleted_version_asks_for_another_ref(store: Store, tmp_path: Path) -> None:
    publish(store, tmp_path)
    key = "batch/in/m:1/rows.csv"
    store.put(key, OLD)
    claim_and_die(store, tmp_path, key)
    replace_version(store, tmp_path)
    with pytest.raises(VersionNotFoundError, match="upload the file under a ref that has a version"):
        score_object(store, make_predictor(store, tmp_path), key)
    with pytest.raises(VersionNotFoundError, match=r"version 1 of model 'm' was deleted$"):
        score_object(store, make_predictor(store, tmp_path), key)
    assert claims(store) == []
    assert json.loads(store.get("batch/out/m:1/rows.csv.book.json").data)["state"] == "failed"


def test_a_model_without_any_version_left_fails_until_it_has_one(store: Store, tmp_path: Path) -> None:
    publish(store, tmp_path)
    store.put(IN, OLD)
    claim_and_die(store, tmp_path)
    Registry(store, who="operator").delete("m", 1, force=True)
    with pytest.raises(VersionNotFoundError, match=DELETED):
        deliver(store, make_predictor(store, tmp_path))
    publish(store, tmp_path, bias=100.0)
    deliver(store, make_predictor(store, tmp_path))
    assert version_of(store) == 2
    assert_one_set(store, OLD)


def test_a_claim_that_was_made_anew_meanwhile_stays(any_store: Store, tmp_path: Path) -> None:
    orphan_a_claim(any_store, tmp_path)
    predictor = make_predictor(any_store, tmp_path)
    renewed: list[Claim] = []

    def renew(method: str, key: str) -> None:
        if method == "delete" and key.startswith("batch/claims/"):
            with pytest.raises(VersionNotFoundError):
                deliver(any_store, predictor)
            deliver(any_store, predictor)
            renewed.extend(claims(any_store))

    # it fails, and finds the file scored by the others
    deliver(WatchedStore(any_store, renew), make_predictor(any_store, tmp_path))
    assert [claim.scorer.version for claim in renewed] == [2]
    assert claims(any_store) == renewed
    assert_one_set(any_store, OLD)


def test_a_delivery_that_lost_its_claim_to_one_that_was_given_up_claims_for_itself(
    store: Store, tmp_path: Path
) -> None:
    publish(store, tmp_path)
    orphan_a_claim(store, tmp_path)
    (key,) = (entry.key for entry in list(store.list("batch/claims/")))
    given_up = store.get(key).data
    store.delete(key)
    touched: list[str] = []

    def interfere(method: str, of: str) -> None:
        if of == key and (method == "create" or touched):
            touched.append(method)
            if touched == ["create"]:
                store.put(key, given_up)
            elif touched == ["create", "get"]:
                store.delete(key)

    deliver(WatchedStore(store, interfere), make_predictor(store, tmp_path))
    assert touched == ["create", "get", "create"]
    assert [claim.scorer.version for claim in claims(store)] == [2]
    assert_one_set(store, OLD)


def test_a_claim_that_is_none_fails_the_file_and_says_what_to_do(store: Store, tmp_path: Path) -> None:
    publish(store, tmp_path)
    store.put(IN, OLD)
    claim_and_die(store, tmp_path)
    (key,) = (entry.key for entry in list(store.list("batch/claims/")))
    store.put(key, b"no claim")
    with pytest.raises(IntegrityError, match=r"'batch/claims/.*' is no claim: remove it, and deliver the file again"):
        deliver(store, make_predictor(store, tmp_path))
    assert read_book(store)["state"] == "failed"
    store.delete(key)
    deliver(store, make_predictor(store, tmp_path))
    assert_one_set(store, OLD)


@pytest.mark.parametrize("kind", ["memory", "directory"])
@pytest.mark.parametrize("seed", range(40))
def test_any_interleaving_of_deliveries_and_kills_over_such_a_claim_ends_in_one_set(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, seed: int
) -> None:
    store = open_store(request.getfixturevalue("directory_url")) if kind == "directory" else None
    store = store or request.getfixturevalue("store")
    publish(store, tmp_path)
    orphan_a_claim(store, tmp_path)
    interleaver = Interleaver(seed)
    pick = interleaver.random
    undone: list[int] = []

    def deliver_or_die(number: int) -> Callable[[], None]:
        lives = pick.randint(1, 25) if pick.random() < 0.5 else 10_000
        predictor = make_predictor(store, tmp_path / str(number))

        def before(method: str, key: str) -> None:
            nonlocal lives
            interleaver.wait(method, key)
            lives -= 1
            if lives == 0:
                raise KilledError

        def run() -> None:
            try:
                deliver(WatchedStore(store, before), predictor)
            except (KilledError, StoreUnavailableError, VersionNotFoundError):
                undone.append(number)

        return run

    interleaver.run([deliver_or_die(number) for number in range(pick.randint(2, 4))])
    for _ in range(2):  # the queue delivers again what failed: once more to fail, if no one lived to give the claim up
        if undone:
            undone.clear()
            interleaver.run([deliver_again(store, tmp_path, interleaver, undone)])
    assert undone == []
    assert version_of(store) == 2
    assert [claim.scorer.version for claim in claims(store)] == [2]
    assert_one_set(store, OLD)


def deliver_again(store: Store, folder: Path, interleaver: Interleaver, undone: list[int]) -> Callable[[], None]:
    def run() -> None:
        try:
            deliver(WatchedStore(store, interleaver.wait), make_predictor(store, folder / "again"))
        except VersionNotFoundError:
            undone.append(-1)

    return run


def test_processes_that_deliver_together_over_such_a_claim_leave_one_set(
    s3_store_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in S3_TIMEOUTS:
        monkeypatch.setattr(s3, name, PATIENCE)
    environment = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    store = open_store(s3_store_url)
    publish(store, tmp_path)
    orphan_a_claim(store, tmp_path, rows("many", 2000, bad=1))
    ours, theirs = _PROCESSES.Pipe(duplex=False)
    start = _PROCESSES.Event()
    processes = [
        _PROCESSES.Process(
            target=deliver_until_scored, args=(s3_store_url, environment, tmp_path / str(worker), theirs, start)
        )
        for worker in range(4)
    ]
    for process in processes:
        process.start()
    for _ in processes:
        assert ours.poll(60)
        ours.recv()
    start.set()
    failures = [_receive(ours) for _ in processes]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert sum(failures) >= 1
    assert version_of(store) == 2
    assert [claim.scorer.version for claim in claims(store)] == [2]
    assert_one_set(store, rows("many", 2000, bad=1))


def _receive(connection: Connection) -> int:
    assert connection.poll(60)
    received: int = connection.recv()
    return received
