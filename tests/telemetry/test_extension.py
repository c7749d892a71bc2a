"""The extension, against a stand-in for Lambda's API: what is written after the answer, and what a death loses."""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from doors import Shop
from onnxlet.store import open_store
from runtime_api import Function, RuntimeApiStandIn, running

TESTS = Path(__file__).parents[1]
FOLDER = TESTS.parent / "functions" / "predict"
EVENT: dict[str, Any] = json.loads((TESTS / "events" / "predict-http-api.json").read_text())
OTHER = """
import importlib.util, time
spec = importlib.util.spec_from_file_location("predict", "{folder}/app.py")
predict = importlib.util.module_from_spec(spec)
spec.loader.exec_module(predict)
handler = predict.handler
"""
SLOW = (
    OTHER
    + """
class Slow:
    def fold(self, records): time.sleep(1)
    def flush(self, *, final): pass
predict.telemetry.watch_with(Slow)
"""
)
FAILING = (
    OTHER
    + """
class Failing:
    def fold(self, records): raise ValueError("could not read 'Mrs. Jones'")
    def flush(self, *, final): pass
predict.telemetry.watch_with(Failing)
"""
)
REFUSED = {"model": "nobody", "instances": [[1]]}


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where the classifier lies that the events ask."""
    folder = tmp_path_factory.mktemp("extension")
    url = (folder / "store").as_uri()
    Shop(open_store(url), folder / "shop").publish_diagnosis()
    return {"ONNXLET_STORE": url, "ONNXLET_CACHE_DIR": str(folder / "cache")}


@contextmanager
def started(
    environ: dict[str, str], *, rows: int, seconds: float = 600, refuses: bool = False, folder: Path = FOLDER
) -> Iterator[tuple[RuntimeApiStandIn, Function]]:
    """The predict function, which writes after so many rows or seconds."""
    limits = {"ONNXLET_TELEMETRY_ROWS": str(rows), "ONNXLET_TELEMETRY_SECONDS": str(seconds)}
    with RuntimeApiStandIn(refuses=refuses) as api, running(api, folder, environ | limits) as function:
        yield api, function


def test_it_registers_for_invocations_alone_while_the_function_is_imported(environ: dict[str, str]) -> None:
    with started(environ, rows=1) as (api, _):
        assert api.initialized.wait(30)
        assert api.registered == [["INVOKE"]]


def test_an_answer_does_not_wait_for_a_watcher_that_takes_a_second(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(SLOW.format(folder=str(FOLDER)))
    with started(environ, rows=1, folder=tmp_path) as (api, function):
        first = api.invoke(EVENT, awaited=False)
        assert first.answer["statusCode"] == 200
        assert first.done.wait(10)
        assert first.done_at - first.answered_at > 0.9
        assert all(at > first.answered_at for at, line in function.lines if '"Requests"' in line)
        assert api.invoke(EVENT).answer["statusCode"] == 200


def test_a_watcher_that_fails_harms_nobody_and_quotes_nothing(
    environ: dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "app.py").write_text(FAILING.format(folder=str(FOLDER)))
    with started(environ, rows=1, folder=tmp_path) as (api, function):
        assert all(api.invoke(EVENT).answer["statusCode"] == 200 for _ in range(3))
        time.sleep(0.1)
        assert function.total("Requests") == 3
    said = capfd.readouterr().err
    assert said == "telemetry: Failing failed with ValueError\n"


def test_an_invocation_after_which_nothing_is_due_is_over_at_once(environ: dict[str, str]) -> None:
    with started(environ, rows=1000) as (api, function):
        for _ in range(20):
            last = api.invoke(EVENT)
        assert function.lines == []
    assert last.done_at - last.answered_at < 0.5


def test_rows_are_counted_not_requests(environ: dict[str, str]) -> None:
    several = EVENT | {"body": json.dumps({"instances": [[0.5] * 30] * 8})}
    with started(environ, rows=16) as (api, function):
        api.invoke(several)
        assert function.total("Requests") == 0
        api.invoke(several)
        time.sleep(0.1)
        assert (function.total("Requests"), function.total("Rows")) == (2, 16)


def test_what_waited_long_enough_is_written_with_the_next_invocation(environ: dict[str, str]) -> None:
    with started(environ, rows=1000, seconds=0.3) as (api, function):
        api.invoke(EVENT)
        assert function.total("Requests") == 0
        time.sleep(0.4)
        api.invoke(EVENT)
        time.sleep(0.1)
        assert function.total("Requests") == 2


def test_an_error_of_ours_is_written_at_once(environ: dict[str, str], tmp_path: Path) -> None:
    broken = environ | {"ONNXLET_STORE": (tmp_path / "store").as_uri(), "ONNXLET_CACHE_DIR": str(tmp_path / "cache")}
    shop = Shop(open_store(broken["ONNXLET_STORE"]), tmp_path / "shop")
    shop.publish_diagnosis()
    (tmp_path / "store" / "models" / "diagnosis" / "1" / "model.onnx").write_bytes(b"another")
    with started(broken, rows=1000) as (api, function):
        assert api.invoke(EVENT).answer["statusCode"] == 500
        time.sleep(0.1)
        assert (function.total("Errors"), function.total("LoadFailure")) == (1, 1)
        assert [each["kind"] for each in function.documents() if "kind" in each] == ["digest-mismatch"]


def test_a_handler_that_raises_ends_its_invocation_too(environ: dict[str, str]) -> None:
    with started(environ, rows=1000) as (api, function):
        assert api.invoke(REFUSED).answer == {"errorType": "ModelNotFoundError"}
        assert api.invoke({"junk": 1}).answer == {"errorType": "InvalidInputError"}
        assert api.invoke(EVENT).answer["statusCode"] == 200
        function.process.send_signal(signal.SIGTERM)
        assert function.wait() == 0
        assert function.total("Requests") == 2  # junk is no request of a model's
        assert function.total("Errors") == 1


def _processor_seconds() -> float:
    """What processes that have ended had of a processor."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _seconds_of(pid: int) -> float:
    """What a process had of a processor so far."""
    numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")


def test_sigterm_writes_what_is_left(environ: dict[str, str]) -> None:
    with started(environ, rows=1000) as (api, function):
        for _ in range(7):
            api.invoke(EVENT)
        ended, used = _processor_seconds(), _seconds_of(function.process.pid)
        function.process.send_signal(signal.SIGTERM)
        assert function.wait() == 0
        assert _processor_seconds() - ended - used < 0.5  # Lambda leaves it half a second; others may be busy here
        assert function.total("Requests") == 7


def test_a_frozen_function_goes_on_where_it_was(environ: dict[str, str]) -> None:
    with started(environ, rows=1000, seconds=0.5) as (api, function):
        api.invoke(EVENT)
        function.process.send_signal(signal.SIGSTOP)
        time.sleep(1)
        assert function.lines == []
        function.process.send_signal(signal.SIGCONT)
        before = time.time()
        api.invoke(EVENT)
        time.sleep(0.1)
        assert function.total("Requests") == 2
        (at,) = {each["_aws"]["Timestamp"] for each in function.documents() if each.get("alias") == "production"}
        assert at / 1000 >= before - 0.01


def test_a_function_ended_while_frozen_writes_what_it_had(environ: dict[str, str]) -> None:
    with started(environ, rows=1000) as (api, function):
        api.invoke(EVENT)
        function.process.send_signal(signal.SIGSTOP)
        function.process.send_signal(signal.SIGTERM)
        function.process.send_signal(signal.SIGCONT)  # as Lambda thaws what it ends
        assert function.wait() == 0
        assert function.total("Requests") == 1


def test_a_killed_function_loses_fewer_rows_than_a_flush_takes(environ: dict[str, str]) -> None:
    with started(environ, rows=8) as (api, function):
        for _ in range(30):
            api.invoke(EVENT)
        function.process.kill()
        assert function.wait() == -signal.SIGKILL
        assert 30 - 8 < function.total("Requests") <= 30


def test_without_an_extension_the_handler_itself_writes(
    environ: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    with started(environ, rows=1, refuses=True) as (api, function):
        for _ in range(4):
            api.invoke(EVENT)
        time.sleep(0.1)
        assert function.total("Requests") == 4
    assert "403" in capfd.readouterr().err
