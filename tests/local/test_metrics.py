"""What /metrics tells of predictions, read by Prometheus' own parser."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from multiprocessing import get_context

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from local.test_workers import wait_until, workers_of
from onnxlet.local.shared_bytes import MOST_BYTES, SIZE, SharedBytes
from onnxlet.local.totals import Totals, text_of
from onnxlet.telemetry.background import INTERVAL
from onnxlet.telemetry.recording import Event, Observation
from servers import PREDICT, ROW, TIMEOUT, Server, running

pytestmark = pytest.mark.slow

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
TWENTY = {"instances": [[1, 2, 3]] * 20}


@pytest.fixture(scope="module", params=[1, 3])
def server(request: pytest.FixtureRequest, served_settings: dict[str, str | float]) -> Iterator[Server]:
    """A server of one worker, and one of several."""
    with running(served_settings, workers=request.param) as server:
        yield server


def parsed(text: str) -> Samples:
    """The samples of a text, which has a type and a help for each of its metrics."""
    families = list(text_string_to_metric_families(text))
    assert all(family.documentation and family.type != "unknown" for family in families)
    assert len({family.name for family in families}) == len(families)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def samples_of(server: Server) -> Samples:
    """What any worker tells of all, once the others have folded what they answered."""
    time.sleep(2 * INTERVAL)
    return parsed(requests.get(server.url + "/metrics", timeout=TIMEOUT).text)


def total(samples: Samples, name: str, **labels: str) -> float:
    """The sum of what has these labels."""
    return sum(
        value for (each, known), value in samples.items() if each == name and labels.items() <= dict(known).items()
    )


def test_requests_of_all_workers_are_counted_by_version_and_alias(server: Server) -> None:
    before = samples_of(server)
    for _ in range(30):
        requests.post(server.url + PREDICT, json=TWENTY, timeout=TIMEOUT)
    requests.post(server.url + PREDICT, json={}, timeout=TIMEOUT)
    requests.post(server.url + "/v1/models/nobody:predict", json=ROW, timeout=TIMEOUT)
    after = samples_of(server)

    def more(name: str, **labels: str) -> float:
        return total(after, name, **labels) - total(before, name, **labels)

    tiny = {"model": "tiny", "version": "1", "alias": "production"}
    assert more("onnxlet_requests_total", **tiny) == 31
    assert more("onnxlet_rows_total", **tiny) == 600
    assert more("onnxlet_errors_total", kind="invalid-input", **tiny) == 1
    assert more("onnxlet_errors_total", kind="model-not-found", model="-") == 1
    assert more("onnxlet_total_seconds_count", **tiny) == 31
    assert more("onnxlet_run_seconds_count", **tiny) == 30
    assert more("onnxlet_run_seconds_bucket", le="+Inf", **tiny) == 30
    assert 0 < more("onnxlet_run_seconds_sum", **tiny) < more("onnxlet_total_seconds_sum", **tiny)
    assert total(after, "onnxlet_load_seconds_count", model="tiny") >= 1


def test_classes_and_scores_of_twenty_rows_are_told(server: Server) -> None:
    before = total(samples_of(server), "onnxlet_predictions_total")
    for _ in range(10):
        answer = requests.post(server.url + PREDICT, json=TWENTY, timeout=TIMEOUT).json()
    told = samples_of(server)
    label = answer["predictions"][0]["label"]
    assert total(told, "onnxlet_predictions_total") - before >= 200
    assert total(told, "onnxlet_predictions_total", **{"class": label}) >= 200
    assert total(told, "onnxlet_score_count", output="label") == total(told, "onnxlet_predictions_total")


def test_a_killed_workers_successor_goes_on_with_its_totals(served_settings: dict[str, str | float]) -> None:
    with running(served_settings, workers=2) as server:
        for _ in range(40):
            requests.post(server.url + PREDICT, json=ROW, timeout=TIMEOUT)
        assert total(samples_of(server), "onnxlet_requests_total", model="tiny") == 40
        before = workers_of(server)
        os.kill(before[0], signal.SIGKILL)
        wait_until(lambda: len(workers_of(server)) == 2 and before[0] not in workers_of(server))
        for _ in range(10):
            requests.post(server.url + PREDICT, json=ROW, timeout=TIMEOUT)
        assert total(samples_of(server), "onnxlet_requests_total", model="tiny") == 50


def test_every_answer_of_the_server_carries_a_request_id(server: Server) -> None:
    for path in ("/v2/health/live", "/registry/models", "/registry/models/nobody", "/metrics", "/docs"):
        first, second = (requests.get(server.url + path, timeout=TIMEOUT).headers for _ in range(2))
        assert first["X-Onnxlet-Request-Id"] != second["X-Onnxlet-Request-Id"]
        sent = {"X-Onnxlet-Request-Id": "visit-42"}
        given_id = requests.get(server.url + path, headers=sent, timeout=TIMEOUT).headers["X-Onnxlet-Request-Id"]
        assert given_id == "visit-42"
    refused = requests.get(server.url + "/registry/models", headers={"Host": "elsewhere.example"}, timeout=TIMEOUT)
    assert (refused.status_code, len(refused.headers["X-Onnxlet-Request-Id"])) == (403, 32)


def test_names_are_escaped_as_prometheus_wants_it() -> None:
    shared = SharedBytes()
    totals = Totals(shared)
    name = 'a"b\\c\nd'
    totals.fold([Event(1.0, name, 1, {"Eviction": 2})])
    totals.flush(final=False)
    assert total(parsed(text_of(shared)), "onnxlet_evictions_total", model=name) == 2


def test_what_is_too_much_to_share_leaves_what_was_there(caplog: pytest.LogCaptureFixture) -> None:
    shared = SharedBytes()
    totals = Totals(shared)
    totals.fold([Event(1.0, "m", 1, {"Eviction": 1})])
    totals.flush(final=False)
    before = text_of(shared)
    assert not shared.write(b"x" * (MOST_BYTES + 1))
    assert text_of(shared) == before
    assert not caplog.records


def test_the_most_series_there_can_be_fit_in_shared_memory() -> None:
    shared = SharedBytes()
    totals = Totals(shared)
    metrics = dict.fromkeys(("FetchTime", "LoadTime", "TotalTime", "RunTime"), 0.1) | {"Eviction": 1}
    totals.fold([Event(1.0, f"{number}-{'x' * 60}", number, metrics) for number in range(150)])
    totals.flush(final=False)
    assert total(parsed(text_of(shared)), "onnxlet_evictions_total") == 150


def test_a_worker_reads_whole_bytes_while_others_write() -> None:
    memory = get_context("spawn").RawArray("B", 2 * SIZE)
    writer, reader = SharedBytes(memory, 0), SharedBytes(memory, 1)
    over = threading.Event()

    def write() -> None:
        number = 0
        while not over.is_set():
            number += 1
            writer.write(bytes([number % 256]) * (1000 + number % 7000))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(3000):
            for data in reader.all():
                assert len(set(data)) == 1
    finally:
        over.set()
        thread.join()


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=8))
def test_what_was_written_last_is_read(written: list[bytes]) -> None:
    shared = SharedBytes()
    for data in written:
        assert shared.write(data)
    assert shared.own() == written[-1]
    assert list(shared.all()) == [written[-1]] * bool(written[-1])


@given(st.lists(st.floats(0, 30), min_size=1, max_size=50))
def test_a_histogram_counts_every_time_once(seconds: list[float]) -> None:
    shared = SharedBytes()
    totals = Totals(shared)
    totals.fold([Observation(1.0, "", "", "", None, None, 404, None, 0, 0, value) for value in seconds])
    totals.flush(final=True)
    samples = parsed(text_of(shared))
    assert total(samples, "onnxlet_total_seconds_count") == len(seconds)
    assert total(samples, "onnxlet_total_seconds_sum") == pytest.approx(sum(seconds), rel=1e-6, abs=1e-9)
    buckets = {
        float(dict(labels)["le"]): value
        for (name, labels), value in samples.items()
        if name == "onnxlet_total_seconds_bucket"
    }
    for bound, count in buckets.items():
        assert count == sum(value <= bound for value in seconds)
