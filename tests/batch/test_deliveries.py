"""Deliveries that are late, twice, together or killed, of files that are overwritten: one set is left, the newest's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from deliveries import BROKEN, IN, OUT, KilledError, assert_one_set, deliver, make_predictor, publish, rows, version_of
from faults import WatchedStore
from interleaver import Interleaver
from onnxlet.batch.book import decode_book
from onnxlet.batch.objects import score_object
from onnxlet.errors import InvalidInputError, ObjectNotFoundError, StoreUnavailableError
from onnxlet.store import Store, open_store

pytestmark = pytest.mark.slow

OLD, NEW = rows("old", 9, bad=2), rows("new", 4, bad=0)


def _count_calls(store: Store, folder: Path) -> int:
    calls: list[str] = []
    watched = WatchedStore(store, lambda method, key: calls.append(f"{method} {key}"))
    deliver(watched, make_predictor(store, folder))
    return len(calls)


def _clear(store: Store) -> None:
    for entry in list(store.list("batch/")):
        store.delete(entry.key)


@pytest.mark.parametrize(
    "replacement",
    [
        pytest.param(NEW, id="scored"),
        pytest.param(rows("bad", 3, bad=3), id="all bad", marks=pytest.mark.long),
        pytest.param(BROKEN, id="broken", marks=pytest.mark.long),
    ],
)
def test_a_file_overwritten_before_any_call_ends_as_the_new_one(
    any_store: Store, tmp_path: Path, replacement: bytes
) -> None:
    any_store.put(IN, OLD)
    for moment in range(_count_calls(any_store, tmp_path)):
        _clear(any_store)
        any_store.put(IN, OLD)
        left = iter(range(moment))

        def overwrite(_method: str, _key: str, left: object = left) -> None:
            if next(left, None) is None and any_store.get(IN).data == OLD:  # type: ignore[call-overload]
                any_store.put(IN, replacement)

        deliver(WatchedStore(any_store, overwrite), make_predictor(any_store, tmp_path))
        deliver(any_store, make_predictor(any_store, tmp_path))
        assert_one_set(any_store, replacement)


def test_a_delivery_killed_before_any_call_leaves_no_book_that_lies(store: Store, tmp_path: Path) -> None:
    publish(store, tmp_path)
    store.put(IN, OLD)
    deliver(store, make_predictor(store, tmp_path))
    store.put(IN, NEW)
    for moment in range(_count_calls(store, tmp_path)):
        _clear(store)
        store.put(IN, OLD)
        deliver(store, make_predictor(store, tmp_path))
        store.put(IN, NEW)
        calls = iter(range(moment))

        def kill(_method: str, _key: str, calls: object = calls) -> None:
            if next(calls, None) is None:  # type: ignore[call-overload]
                raise KilledError

        with pytest.raises(KilledError):
            deliver(WatchedStore(store, kill), make_predictor(store, tmp_path))
        if any(entry.key.endswith(".book.json") for entry in store.list(OUT)):
            book = decode_book(store.get(OUT + ".book.json").data)
            assert book.source is not None
            assert_one_set(store, OLD if book.source.size == len(OLD) else NEW)
        deliver(store, make_predictor(store, tmp_path))
        assert_one_set(store, NEW)


@pytest.mark.parametrize("kind", ["memory", "directory"])
@pytest.mark.parametrize("seed", range(60))
def test_any_interleaving_of_deliveries_uploads_and_kills_ends_in_the_newest_set(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, seed: int
) -> None:
    store = _store_of(request, kind)
    publish(store, tmp_path)
    predictor = make_predictor(store, tmp_path)
    if seed % 2:
        deliver(_uploaded(store, OLD), predictor)
    interleaver = Interleaver(seed)
    pick = interleaver.random
    contents = [rows("a", 3), rows("b", 6, bad=0), rows("c", 3, bad=3), BROKEN, OLD, rows("d", 2, bad=0)]
    uploads = pick.choices(contents, k=pick.randint(1, 4))
    killed: list[int] = []
    uploaded: list[bytes] = []

    def upload_and_deliver(content: bytes, delivery: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            watched.put(IN, content)
            uploaded.append(content)
            delivery()

        return run

    def deliver_or_die(number: int) -> Callable[[], None]:
        lives = pick.randint(1, 25) if pick.random() < 0.5 else 10_000

        def before(method: str, key: str) -> None:
            nonlocal lives
            interleaver.wait(method, key)
            lives -= 1
            if lives == 0:
                raise KilledError

        def run() -> None:
            try:
                deliver(WatchedStore(store, before), predictor)
            except KilledError:
                killed.append(number)
            except StoreUnavailableError:  # it lost as often as it may, and comes again
                killed.append(number)

        return run

    watched = WatchedStore(store, interleaver.wait)
    deliveries = [upload_and_deliver(content, deliver_or_die(number)) for number, content in enumerate(uploads)]
    duplicates = [deliver_or_die(10 + number) for number in range(pick.randint(0, 2) if seed % 2 else 0)]
    interleaver.run(deliveries + duplicates)
    # nobody comes again but who was killed: what the others ended on must stand
    interleaver.run([lambda: deliver(watched, predictor) for _ in killed])
    assert_one_set(store, uploaded[-1])


def _store_of(request: pytest.FixtureRequest, kind: str) -> Store:
    store: Store = request.getfixturevalue("store")
    return open_store(request.getfixturevalue("directory_url")) if kind == "directory" else store


def _uploaded(store: Store, content: bytes) -> Store:
    store.put(IN, content)
    return store


def test_three_refs_of_one_model_have_outputs_of_their_own(any_store: Store, tmp_path: Path) -> None:
    files = {ref: rows(ref.replace(":", "-"), count) for count, ref in enumerate(("m", "m@production", "m:1"), start=2)}
    for ref, content in files.items():
        any_store.put(f"batch/in/{ref}/dup.csv", content)
    for ref in files:
        deliver(any_store, make_predictor(any_store, tmp_path), f"batch/in/{ref}/dup.csv")
    for ref, content in files.items():
        assert_one_set(any_store, content, f"batch/out/{ref}/dup.csv")


def test_a_redelivery_after_a_promotion_uses_the_version_that_was_claimed(any_store: Store, tmp_path: Path) -> None:
    any_store.put(IN, OLD)

    def die_at_the_output(method: str, key: str) -> None:
        if (method, key) == ("create", OUT):
            raise KilledError

    with pytest.raises(KilledError):
        deliver(WatchedStore(any_store, die_at_the_output), make_predictor(any_store, tmp_path))
    publish(any_store, tmp_path, bias=100.0)
    deliver(any_store, make_predictor(any_store, tmp_path))
    assert (version_of(any_store), len(list(any_store.list("batch/claims/")))) == (1, 1)
    deliver(_uploaded(any_store, NEW), make_predictor(any_store, tmp_path))
    assert (version_of(any_store), len(list(any_store.list("batch/claims/")))) == (2, 2)
    assert_one_set(any_store, NEW)


def test_the_same_bytes_uploaded_again_are_a_new_source_where_the_bucket_keeps_versions(
    s3_store_url: str, s3_environment: str, tmp_path: Path
) -> None:
    bucket = s3_store_url.removeprefix("s3://").partition("/")[0]
    on = '<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Enabled</Status></VersioningConfiguration>'
    requests.put(f"{s3_environment}/{bucket}?versioning", data=on, timeout=60).raise_for_status()
    store = open_store(s3_store_url)
    publish(store, tmp_path)
    deliver(_uploaded(store, OLD), make_predictor(store, tmp_path))
    first = decode_book(store.get(OUT + ".book.json").data)
    publish(store, tmp_path, bias=100.0)
    deliver(store, make_predictor(store, tmp_path))
    assert decode_book(store.get(OUT + ".book.json").data) == first
    deliver(_uploaded(store, OLD), make_predictor(store, tmp_path))
    again = decode_book(store.get(OUT + ".book.json").data)
    assert first.source is not None
    assert again.source is not None
    assert first.source.etag == again.source.etag
    assert first.source.version != again.source.version
    assert version_of(store) == 2


def test_the_verdict_before_never_stays_beside_a_newer_one(any_store: Store, tmp_path: Path) -> None:
    for content in (OLD, BROKEN, NEW, rows("bad", 3, bad=3), OLD):
        deliver(_uploaded(any_store, content), make_predictor(any_store, tmp_path))
        assert_one_set(any_store, content)


def test_a_late_delivery_of_a_file_that_was_scored_and_removed_changes_nothing(store: Store, tmp_path: Path) -> None:
    publish(store, tmp_path)
    deliver(_uploaded(store, OLD), make_predictor(store, tmp_path))
    store.delete(IN)
    deliver(store, make_predictor(store, tmp_path))
    assert_one_set(store, OLD)
    _clear(store)
    with pytest.raises(ObjectNotFoundError):
        deliver(store, make_predictor(store, tmp_path))
    assert list(store.list("batch/")) == []


def test_a_file_that_is_rewritten_without_end_is_left_to_come_again(store: Store, tmp_path: Path) -> None:
    publish(store, tmp_path)
    _uploaded(store, OLD)
    numbers = iter(range(10_000))

    def rewrite(method: str, key: str) -> None:
        if (method, key) == ("head", IN):
            store.put(IN, rows(f"again-{next(numbers)}"))

    with pytest.raises(StoreUnavailableError, match=r"'batch/in/m/ward/rows\.csv' is being written .* again"):
        deliver(WatchedStore(store, rewrite), make_predictor(store, tmp_path))
    assert not any(entry.key.endswith(".book.json") for entry in store.list(OUT))


def test_a_book_that_nobody_can_read_is_replaced(store: Store, tmp_path: Path) -> None:
    publish(store, tmp_path)
    store.put(OUT + ".book.json", b"no book")
    deliver(_uploaded(store, OLD), make_predictor(store, tmp_path))
    assert_one_set(store, OLD)


@pytest.mark.parametrize(
    "key",
    [
        "batch/in/m/../../x.csv",
        "batch/in/no model/x.csv",
        "batch/in/m/x.csv.book.json",
        f"batch/in/m/{'x' * 250}.csv",
        "batch/in/m/" + "long/" * 200 + "x.csv",
    ],
)
def test_a_refusal_names_the_sources_key(store: Store, tmp_path: Path, key: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        score_object(store, make_predictor(store, tmp_path), key)
    assert repr(key) in refusal.value.detail
    assert "batch/out" not in refusal.value.detail
    assert list(store.list("batch/")) == []
