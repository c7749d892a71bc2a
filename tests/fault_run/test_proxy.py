"""The proxy of the fault run does to requests what its names say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fault_run.proxy import FAULTS, Weather, failing
from onnxlet.errors import PreconditionFailedError, StoreUnavailableError
from onnxlet.store import Store, open_store

pytestmark = pytest.mark.slow

DATA = bytes(range(200))


@pytest.fixture
def real(s3_store_url: str) -> Store:
    """The store behind the proxy, with one object."""
    store = open_store(s3_store_url)
    store.put("key", DATA)
    return store


@contextmanager
def stormy(real: Store, endpoint: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The same store through a proxy that does one thing to every request."""
    weather = Weather(1, {fault: 1.0} if fault else {})
    with failing(endpoint, weather) as url, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", url)
        yield open_store(real.url)
    assert weather.counted[fault or "requests"] == weather.counted["requests"] > 0


def test_without_faults_everything_passes(real: Store, s3_environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with stormy(real, s3_environment, "", monkeypatch) as store:
        assert store.get("key") == real.get("key")
        assert bytes(store.get_range("key", 10, 20)) == DATA[10:30]
        assert [entry.key for entry in store.list("")] == ["key"]
        assert store.get_if_changed("key", real.get("key").etag) is None
        store.swap("key", b"", store.get("key").etag)
        with pytest.raises(PreconditionFailedError):
            store.create("key", b"")
        store.delete("key")
        assert list(real.list("")) == []


@pytest.mark.parametrize("fault", ["refused", "failed after", "reset before", "reset after", "cut"])
def test_reads_fail(real: Store, s3_environment: str, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    with stormy(real, s3_environment, fault, monkeypatch) as store, pytest.raises(StoreUnavailableError):
        store.get("key")


@pytest.mark.parametrize(
    ("fault", "done"), [("refused", False), ("reset before", False), ("failed after", True), ("reset after", True)]
)
def test_writes_fail_before_or_after_they_are_done(
    real: Store, s3_environment: str, monkeypatch: pytest.MonkeyPatch, fault: str, done: bool
) -> None:
    with stormy(real, s3_environment, fault, monkeypatch) as store, pytest.raises(StoreUnavailableError):
        store.put("key", b"new")
    assert real.get("key").data == (b"new" if done else DATA)


def test_bodies_are_changed_by_one_bit(real: Store, s3_environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with stormy(real, s3_environment, "changed", monkeypatch) as store:
        got = store.get("key").data
    assert sum((one ^ other).bit_count() for one, other in zip(got, DATA, strict=True)) == 1


def test_a_doubled_create_says_that_it_was_there(
    real: Store, s3_environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stormy(real, s3_environment, "doubled", monkeypatch) as store, pytest.raises(PreconditionFailedError):
        store.create("new", b"new")
    assert real.get("new").data == b"new"


def test_the_shares_of_all_faults_leave_most_requests_alone() -> None:
    weather = Weather(3)
    drawn = [weather.draw() for _ in range(5000)]
    assert set(drawn) == {*FAULTS, ""}
    assert drawn.count("") / len(drawn) == pytest.approx(1 - sum(FAULTS.values()), abs=0.03)
    again = Weather(3)
    assert [again.draw() for _ in range(5000)] == drawn
