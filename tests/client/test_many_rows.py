"""Rows that one request cannot carry: several are sent, one version answers them all, and a bar shows how far it is."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import requests

import onnxlet
from doors import COLUMNS, Shop
from models import tiny
from onnxlet.errors import ConflictError, InvalidInputError, TooLargeError, UnavailableError
from onnxlet.registry.registry import Registry
from onnxlet.store import open_store
from scripted import METADATA, PassOn, Received, Reply, Reset, Server, between, says, scripted, serving

pytestmark = pytest.mark.slow

MB = 1_000_000
"""What Lambda and the local server take."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`onnxlet serve` over a store with a classifier of 30 columns in two versions, and small models."""
    folder = tmp_path_factory.mktemp("many")
    store = open_store((folder / "store").as_uri())
    shop = Shop(store, folder / "shop")
    shop.publish_diagnosis()
    shop.publish_diagnosis()
    Registry(store).promote("diagnosis", 1)
    tiny.publish(store, "strings", tiny.package(tiny.strings(), folder / "strings"))
    tiny.publish(store, "sum", tiny.package(tiny.regressor(), folder / "sum"))
    with serving(store.url, folder / "cache") as server:
        yield server


def plainly(_: Received, pass_on: PassOn) -> Reply:
    return pass_on()


@pytest.fixture(scope="module")
def patients() -> pd.DataFrame:
    """Rows of 20 MB as JSON, some cells of the column with a default missing."""
    random = np.random.default_rng(5)
    frame = pd.DataFrame(random.normal(size=(35_000, len(COLUMNS))), columns=list(COLUMNS))
    frame.loc[random.integers(0, len(frame), 20), COLUMNS[-1]] = np.nan
    return frame


def test_a_frame_of_20_mb_is_answered_by_one_version_though_the_alias_moves_meanwhile(
    server: Server, patients: pd.DataFrame
) -> None:
    def moves_on(request: Received, pass_on: PassOn) -> Reply:
        reply = pass_on()
        if request.path == "/v1/models/diagnosis:predict":
            Registry(open_store(server.store)).promote("diagnosis", 2)
        return reply

    with between(server.url, moves_on) as proxy:
        predictions = onnxlet.connect(proxy.url).predict("diagnosis", patients)
        after = onnxlet.connect(proxy.url).predict("diagnosis", patients[:10])
    assert (predictions.version, predictions.alias, after.version) == (1, "production", 2)
    bodies = [request.body for request in proxy.received if request.method == "POST"][:-1]
    assert sum(map(len, bodies)) > 20 * MB
    assert max(len(body) + body.count(b'"') for body in bodies) < 6 * MB
    assert {request.path for request in proxy.received[2:-2]} == {"/v1/models/diagnosis/versions/1:predict"}
    assert predictions["probabilities"].shape == (len(patients), 2)
    some = patients.sample(50, random_state=1)
    alone = onnxlet.connect(server.url).predict("diagnosis:1", some)
    places = patients.index.get_indexer(some.index)
    np.testing.assert_allclose(predictions["probabilities"][places], alone["probabilities"], rtol=1e-5)
    assert predictions.label[places].tolist() == alone.label.tolist()


def test_a_batch_size_bounds_the_rows_of_a_request(server: Server) -> None:
    rows = np.arange(20, dtype=np.float32).reshape(10, 2)
    with between(server.url, plainly) as proxy:
        predictions = onnxlet.connect(proxy.url).predict("sum", rows, batch_size=4)
    assert predictions["prediction"].tolist() == (2 * rows.sum(axis=1)).tolist()
    sizes = [len(json.loads(request.body)["inputs"]) for request in proxy.received if request.method == "POST"]
    assert sizes == [4, 4, 2]


def test_rows_that_grow_are_parted_further(server: Server) -> None:
    texts = ["short"] * 100 + ['a "quoted" text ' * 4000] * 200
    with between(server.url, plainly) as proxy:
        assert onnxlet.connect(proxy.url).predict("strings", texts)["same"].tolist() == texts
    assert all(len(request.body) + request.body.count(b"\\") < 6 * MB for request in proxy.received)


def test_quotes_and_backslashes_count_twice_as_lambda_escapes_them(server: Server) -> None:
    texts = ['"' * 200] * 20_000
    with between(server.url, plainly) as proxy:
        assert len(onnxlet.connect(proxy.url).predict("strings", texts)["same"]) == len(texts)
    bodies = [request.body for request in proxy.received]
    assert max(len(body) + body.count(b'"') + body.count(b"\\") for body in bodies) < 6 * MB


def test_a_row_that_no_request_can_carry_is_told(server: Server) -> None:
    with pytest.raises(TooLargeError, match="6,000,000"):
        onnxlet.connect(server.url).predict("strings", ["a" * 6 * MB, "b"])


def test_answers_that_are_too_large_are_asked_for_in_smaller_parts() -> None:
    def at_most_ten(request: Received) -> Reply:
        if request.method == "GET":
            return METADATA
        values = json.loads(request.body)["inputs"]
        if len(values) > 10:
            return says({"error": "response too large"}, 413)
        return says({"outputs": [2 * value for value in values]}, X_Onnxlet_Model_Version="3")

    rows = np.arange(100.0)
    with scripted(at_most_ten) as server:
        assert onnxlet.connect(server.url).predict("sum", rows)["y"].tolist() == (2 * rows).tolist()


def test_another_version_in_between_is_told() -> None:
    versions = iter("334")

    def changing(request: Received) -> Reply:
        if request.method == "GET":
            return METADATA
        return says({"outputs": json.loads(request.body)["inputs"]}, X_Onnxlet_Model_Version=next(versions))

    with scripted(changing) as server, pytest.raises(ConflictError, match=r"rows up to 4 were answered by sum:3.*4"):
        onnxlet.connect(server.url).predict("sum", np.arange(8.0), batch_size=2)


def test_outputs_that_are_not_one_for_each_row_cannot_be_joined() -> None:
    def summing(request: Received) -> Reply:
        return METADATA if request.method == "GET" else says({"outputs": [1.0]})

    with scripted(summing) as server:
        client = onnxlet.connect(server.url)
        assert client.predict("sum", np.arange(4.0))["y"].tolist() == [1.0]
        with pytest.raises(InvalidInputError, match="'y' does not have one entry per row"):
            client.predict("sum", np.arange(4.0), batch_size=2)


def test_a_server_that_is_killed_in_between_is_told(server: Server, tmp_path: Path) -> None:
    with serving(server.store, tmp_path / "cache") as doomed:
        client = onnxlet.connect(doomed.url, retries=2)
        client.predict("sum", [[1.0, 2.0]])
        killer = threading.Timer(0.5, doomed.process.kill)
        killer.start()
        with pytest.raises(UnavailableError, match=r"no server answers|failed"):
            client.predict("sum", np.ones((200_000, 2)), batch_size=1)
        killer.join()


def test_a_server_that_comes_back_goes_on_where_it_was(server: Server, tmp_path: Path) -> None:
    rows = np.arange(20.0).reshape(10, 2)
    answered: list[float] = []
    with serving(server.store, tmp_path / "one") as first:

        def killed_at_the_fourth(_: Received, pass_on: PassOn) -> Reply | Reset:
            if len(proxy.received) == 4:
                first.process.kill()
                first.process.wait(20)
            try:
                return pass_on()
            except requests.ConnectionError:
                return Reset()

        with between(first.url, killed_at_the_fourth) as proxy:
            client = onnxlet.connect(proxy.url, retries=20)
            asking = threading.Thread(
                target=lambda: answered.extend(client.predict("sum", rows, batch_size=1)["prediction"].tolist())
            )
            asking.start()
            first.process.wait(20)
            with serving(server.store, tmp_path / "two", port=int(first.url.rpartition(":")[2])):
                asking.join(120)
    assert answered == (2 * rows.sum(axis=1)).tolist()


PROGRAM = """
import sys, numpy, onnxlet
onnxlet.connect(sys.argv[1]).predict("sum", numpy.arange(40.0), batch_size=1)
"""


@pytest.mark.parametrize("terminal", [True, pytest.param(False, marks=pytest.mark.long)], ids=["terminal", "log"])
def test_a_terminal_is_shown_how_far_it_is_and_a_log_is_not(terminal: bool) -> None:
    def slowly(request: Received) -> Reply:
        if request.method == "GET":
            return METADATA
        time.sleep(0.05)
        return says({"outputs": json.loads(request.body)["inputs"]})

    with scripted(slowly) as server:
        command = [sys.executable, "-c", PROGRAM, server.url]
        if not terminal:
            assert subprocess.run(command, capture_output=True, check=True).stderr == b""
            return
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
        with subprocess.Popen(command, stderr=theirs) as process:
            os.close(theirs)
            shown = b""
            while chunk := _read(ours):
                shown += chunk
            os.close(ours)
        assert process.returncode == 0
    assert re.search(rb"sum: +\d+%.*/40 ", shown)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # how Linux says that nobody is at the other end
        return b""
