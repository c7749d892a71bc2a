"""Files scored over an S3 of which one call in twenty fails, is slow, or is answered in part: as over a calm one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deliveries import IN, OUT, assert_one_set, make_predictor, publish, rows
from delivery_processes import TRIES
from fault_run.proxy import Weather, failing
from machines import Machine
from onnxlet.batch import reading, scoring
from onnxlet.batch.book import decode_book
from onnxlet.batch.formats import blocks
from onnxlet.batch.objects import score_object
from onnxlet.errors import StoreUnavailableError
from onnxlet.jobs import estimates
from onnxlet.jobs.orders import order_landed
from onnxlet.store import Store, open_store

pytestmark = pytest.mark.slow

FAULTS = {"refused": 0.01, "failed after": 0.01, "reset before": 0.01, "reset after": 0.01, "slow": 0.002, "cut": 0.008}
"""Five in a hundred."""
CONTENT = rows("P", 6_000, bad=30)


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of some kilobytes takes many calls."""
    monkeypatch.setattr(reading, "WINDOW_BYTES", 2048)
    monkeypatch.setattr(blocks, "RANGE_BYTES", 20_000)
    monkeypatch.setattr(estimates, "LEAST_SECTION", 60_000)
    monkeypatch.setattr(scoring, "IN_PARTS", 1)


@pytest.fixture
def calm(s3_store_url: str, tmp_path: Path) -> Store:
    """The store as it is, with a model `m` in production and a file."""
    store = open_store(s3_store_url)
    publish(store, tmp_path)
    store.put(IN, CONTENT)
    return store


@pytest.fixture(params=[1, *(pytest.param(seed, marks=pytest.mark.long) for seed in (2, 3))])
def weather(request: pytest.FixtureRequest) -> Weather:
    return Weather(request.param, FAULTS)


@pytest.fixture
def stormy(calm: Store, s3_endpoint: str, weather: Weather, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The same store, in that weather."""
    with failing(s3_endpoint, weather) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        yield open_store(calm.url)


def _deliver(score: Callable[[], object]) -> None:
    """Score as a queue has it done: so often."""
    for attempt in range(TRIES):
        try:
            score()
        except StoreUnavailableError:
            if attempt == TRIES - 1:
                raise
        else:
            return


def _assert_as_in_calm(calm: Store, folder: Path, weather: Weather) -> None:
    """Output and errors are what one process writes whose store never fails."""
    memory = open_store(f"memory://{folder}")
    publish(memory, folder / "calm")
    memory.put(IN, CONTENT)
    score_object(memory, make_predictor(memory, folder / "calm"), IN)
    for key in (OUT, OUT + scoring.ERRORS):
        assert calm.get(key).data == memory.get(key).data
    faults = weather.counted.total() - weather.counted["requests"]
    assert faults >= 0.02 * weather.counted["requests"] > 0


def test_a_file_is_scored_in_bad_weather_as_in_calm(
    calm: Store, stormy: Store, weather: Weather, tmp_path: Path
) -> None:
    predictor = make_predictor(stormy, tmp_path)
    _deliver(lambda: score_object(stormy, predictor, IN))
    assert_one_set(calm, CONTENT)
    _assert_as_in_calm(calm, tmp_path, weather)


def test_sections_are_scored_and_joined_in_bad_weather_as_in_calm(
    calm: Store, stormy: Store, weather: Weather, tmp_path: Path
) -> None:
    machine = Machine(stormy, make_predictor(stormy, tmp_path), at_once=2)
    _deliver(lambda: machine.run(order_landed(IN, "m")))
    book = decode_book(calm.get(OUT + scoring.BOOK).data)
    assert book.rows is not None
    assert (book.rows.read, book.rows.scored, book.rows.errors) == (6_000, 5_970, 30)
    assert isinstance(book.parts, tuple)
    assert sum(part.rows.read for part in book.parts) == 6_000
    assert {(each.key, each.etag) for each in book.outputs} == {
        (key, calm.head(key).etag) for key in (OUT, OUT + scoring.ERRORS)
    }
    _assert_as_in_calm(calm, tmp_path, weather)
