"""Several worker processes behind one address: started, counted, replaced and ended together."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from models import tiny
from onnxlet.errors import InvalidInputError, UnavailableError
from onnxlet.local import serve
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.store import open_store
from servers import PREDICT, ROW, TIMEOUT, Server, running, starting

pytestmark = pytest.mark.slow

WORKERS = 3
SLOW = {"instances": [1500]}


@pytest.fixture(scope="module")
def server(served_settings: dict[str, str | float]) -> Iterator[Server]:
    """A server of several workers."""
    with running(served_settings, workers=WORKERS) as server:
        yield server


def children(process: int) -> list[int]:
    """The processes that `process` started, and those that they started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            name, _, fields = path.read_text().rpartition(")")
            if int(fields.split()[1]) == process:
                found += [int(name.split()[0]), *children(int(name.split()[0]))]
    return found


def workers_of(server: Server) -> list[int]:
    """The processes that listen at a server's address and are not itself."""
    port = server.address[1]
    inodes = {
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()
        if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
    }
    return [process for process in children(server.process.pid) if inodes & set(sockets(process))]


def sockets(process: int) -> list[str]:
    """The inodes of the sockets that a process has open."""
    links = []
    for path in Path(f"/proc/{process}/fd").iterdir():
        with suppress(OSError):
            links.append(str(path.readlink()))
    return [link[8:-1] for link in links if link.startswith("socket:[")]


def private_memory(process: int) -> int:
    """The bytes of a process that no other shares."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def gone(process: int) -> bool:
    """Whether a process ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def count(server: Server, plane: str = "data", status: int = 200) -> int:
    """What /metrics counts, asked on a connection of its own."""
    text = requests.get(server.url + "/metrics", timeout=TIMEOUT).text
    found = re.search(rf'_count{{plane="{plane}",status="{status}"}} (\d+)', text)
    return int(found[1]) if found else 0


def test_every_worker_answers_before_the_address_is_told(server: Server) -> None:
    assert len(workers_of(server)) == WORKERS
    before = {worker: len(sockets(worker)) for worker in workers_of(server)}
    connections = [socket.create_connection(server.address, TIMEOUT) for _ in range(64)]
    for connection in connections:
        connection.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    for connection in connections:
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    more = [len(sockets(worker)) - before[worker] for worker in before]
    assert sum(more) == len(connections)
    assert min(more) > 0
    for connection in connections:
        connection.close()


def test_any_worker_tells_the_metrics_of_all(server: Server) -> None:
    before = count(server)
    for _ in range(40):
        assert requests.post(server.url + PREDICT, json=ROW, timeout=TIMEOUT).status_code == 200
    assert [count(server) for _ in range(10)] == [before + 40] * 10


def test_workers_share_the_memory_of_what_they_import(server: Server) -> None:
    for _ in range(40):
        assert requests.post(server.url + PREDICT, json=ROW, timeout=TIMEOUT).status_code == 200
        assert requests.get(server.url + "/registry/models", timeout=TIMEOUT).status_code == 200
    assert max(map(private_memory, workers_of(server))) < 35_000_000  # 50 if they did not


def test_prometheus_reads_the_metrics(server: Server) -> None:
    requests.get(server.url + "/nothing", timeout=TIMEOUT)
    text = requests.get(server.url + "/metrics", timeout=TIMEOUT).text
    (family, *_) = text_string_to_metric_families(text)
    assert (family.name, family.type) == ("onnxlet_request_duration_seconds", "summary")
    samples = {
        (sample.name, sample.labels["plane"], sample.labels["status"]): sample.value for sample in family.samples
    }
    assert samples["onnxlet_request_duration_seconds_count", "control", "404"] >= 1
    assert samples["onnxlet_request_duration_seconds_sum", "control", "404"] > 0


def test_every_worker_signs_what_it_moves(served_settings: dict[str, str | float], tmp_path: Path) -> None:
    store = open_store((tmp_path / "store").as_uri())
    tiny.publish(store, "tiny", tiny.classifier_package(tmp_path / "one"))
    tiny.publish(store, "tiny", tiny.classifier_package(tmp_path / "two", bias=3), alias=None)
    moves = 24
    with running(served_settings | {"store": store.url}, workers=2) as server:
        alias = server.url + "/registry/models/tiny/aliases/production"
        for number in range(moves):  # a new connection each, which may reach either worker
            etag = requests.get(alias, timeout=TIMEOUT).headers["ETag"]
            version = 2 - number % 2
            moved = requests.put(alias, json={"version": version}, headers={"If-Match": etag}, timeout=TIMEOUT)
            assert moved.json()["entry"]["who"] == "ana", moved.text
    entries = list(Registry(store).history("tiny", "production"))
    assert [entry.who for entry in entries].count("ana") == moves


def test_a_worker_that_dies_is_replaced_and_nothing_is_counted_anew(served_settings: dict[str, str | float]) -> None:
    with running(served_settings, workers=2) as server:
        for _ in range(20):
            requests.post(server.url + PREDICT, json=ROW, timeout=TIMEOUT)
        before = workers_of(server)
        os.kill(before[0], signal.SIGKILL)
        assert server.process.stderr
        said = server.process.stderr.readline()
        assert re.search(rf"worker \d \(process {before[0]}\) ended with exit code -9, another takes its place", said)
        wait_until(lambda: len(workers_of(server)) == 2)
        assert before[1] in workers_of(server)
        for _ in range(20):
            assert requests.post(server.url + PREDICT, json=ROW, timeout=TIMEOUT).status_code == 200
        assert count(server) == 40


def test_a_server_whose_workers_do_not_start_ends_and_says_so(
    served_settings: dict[str, str | float], tmp_path: Path
) -> None:
    # what everybody forgets once: workers import the program that started them, which starts workers
    program = tmp_path / "unguarded.py"
    program.write_text(
        "from onnxlet.local import serve\nfrom onnxlet.settings import Settings\n"
        f"serve(Settings(store={served_settings['store']!r}), port=0, workers=2)\n"
    )
    ended = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "__name__ == '__main__'" in ended.stderr
    assert re.search(
        r"UnavailableError: worker \d \(process \d+\) ended with exit code 1 before it answered", ended.stderr
    )
    assert "onnxlet answers at" not in ended.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 0)])
@pytest.mark.parametrize("workers", [1, 2])
def test_requests_under_way_are_answered_before_the_server_ends(
    served_settings: dict[str, str | float], workers: int, number: signal.Signals, code: int
) -> None:
    with running(served_settings, workers=workers) as server:
        url = server.url + "/v1/models/slow:predict"
        assert requests.post(url, json={"instances": [1]}, timeout=TIMEOUT).status_code == 200
        everybody = children(server.process.pid)
        listening = [server.process.pid, *workers_of(server)]
        before = sum(len(sockets(process)) for process in listening)
        with ThreadPoolExecutor(3) as pool:
            under_way = [pool.submit(requests.post, url, json=SLOW, timeout=60) for _ in range(3)]
            wait_until(lambda: sum(len(sockets(process)) for process in listening) > before + 1)
            time.sleep(0.2)
            os.killpg(server.process.pid, number)  # as a terminal does, whose signals reach every process
            assert [answer.result().status_code for answer in under_way] == [200] * 3
        assert server.process.wait(TIMEOUT) == code
        assert server.process.stderr
        assert server.process.stderr.read() == ""
        wait_until(lambda: all(map(gone, everybody)))


def test_a_signal_before_the_workers_answer_ends_it_too(served_settings: dict[str, str | float]) -> None:
    with starting(served_settings, workers=2) as process:
        wait_until(lambda: len(children(process.pid)) > 0)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(TIMEOUT) == 0
        assert process.stderr
        assert process.stderr.read() == ""


@pytest.mark.long
def test_a_worker_that_does_not_end_is_killed(served_settings: dict[str, str | float]) -> None:
    with running(served_settings, workers=2) as server:
        everybody = children(server.process.pid)
        os.kill(workers_of(server)[0], signal.SIGSTOP)
        server.process.terminate()
        assert server.process.wait(2 * TIMEOUT) == -signal.SIGTERM
        wait_until(lambda: all(map(gone, everybody)))


def test_a_second_signal_ends_it_at_once(served_settings: dict[str, str | float]) -> None:
    with running(served_settings, workers=2) as server:
        hanging = threading.Thread(target=_ask_for_much, args=(server,))
        hanging.start()
        time.sleep(1)
        everybody = children(server.process.pid)
        server.process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        asked = time.monotonic()
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(TIMEOUT) == 0
        assert time.monotonic() - asked < 5
        hanging.join()
        wait_until(lambda: all(map(gone, everybody)))


def _ask_for_much(server: Server) -> None:
    with suppress(requests.ConnectionError):
        requests.post(server.url + "/v1/models/slow:predict", json={"instances": [100_000]}, timeout=60)


def test_no_worker_outlives_a_supervisor_that_is_killed(served_settings: dict[str, str | float]) -> None:
    with running(served_settings, workers=2) as server:
        everybody = children(server.process.pid)
        assert len(everybody) >= 2
        server.process.kill()
        wait_until(lambda: all(map(gone, everybody)))
        with pytest.raises(requests.ConnectionError):
            requests.get(server.url + "/v2/health/live", timeout=TIMEOUT)


def test_a_port_that_is_taken_is_told_to_several_workers_too(server: Server) -> None:
    with pytest.raises(UnavailableError, match=f"port {server.address[1]} .*choose another"):
        serve(Settings(store="file:///nowhere"), *server.address, workers=2)


def test_a_store_in_memory_cannot_be_shared() -> None:
    with pytest.raises(InvalidInputError, match="one process's own"):
        serve(Settings(store="memory://shop"), port=0, workers=2)


def test_none_is_no_number_of_workers() -> None:
    with pytest.raises(InvalidInputError, match="at least one"):
        serve(Settings(store="memory://shop"), port=0, workers=0)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "localhost"])  # noqa: S104 - hosts that mean more than one address
def test_several_workers_answer_at_any_host_of_this_machine(served_settings: dict[str, str | float], host: str) -> None:
    if host == "::" and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with running(served_settings, host, workers=2) as server:
        assert json.loads(requests.get(server.url + "/v2/health/live", timeout=TIMEOUT).content) == {"live": True}
