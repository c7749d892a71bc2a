"""Functions run as Lambda runs them."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from command_line import ONNXLET, Run, environment
from onnxlet.cli.demo.local_server import LocalServer
from onnxlet.store import open_store

pytestmark = pytest.mark.slow

CSV = "radius,texture,id\n1,2,a\n2,2,b\n"


def _function(tmp_path: Path, code: str) -> None:
    folder = tmp_path / "functions" / "echo"
    folder.mkdir(parents=True)
    (folder / "app.py").write_text(code)
    (folder / "beside.py").write_text("answer = 42\n")


def test_invoke_prints_what_a_function_returns(run: Run, tmp_path: Path, directory_url: str) -> None:
    _function(
        tmp_path,
        """
import os
import beside

def handler(event, context):
    assert 0 < context.get_remaining_time_in_millis() <= 30_000
    return {
        "event": event, "beside": beside.answer, "store": os.environ["ONNXLET_STORE"],
        "function": context.function_name, "memory": context.memory_limit_in_mb,
        "arn": context.invoked_function_arn, "log": context.log_group_name,
    }
""",
    )
    done = subprocess.run(
        [*ONNXLET, "--store", directory_url, "invoke", "Echo", "-"],
        input='{"a": 1}',
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert json.loads(done.stdout) == {
        "event": {"a": 1},
        "beside": 42,
        "store": directory_url,
        "function": "echo",
        "memory": "1769",
        "arn": "arn:aws:lambda:us-east-1:123456789012:function:echo",
        "log": "/aws/lambda/echo",
    }
    assert run("invoke", "echo", "-", input="no json").exit_code == 2


def test_invoke_reports_errors_as_lambda_does(tmp_path: Path) -> None:
    _function(tmp_path, "def handler(event, context):\n    raise ValueError('no luck')\n")
    done = subprocess.run(
        [*ONNXLET, "invoke", "echo", "-"],
        input="{}",
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    report = json.loads(done.stdout)
    assert (done.returncode, report["errorType"], report["errorMessage"]) == (1, "ValueError", "no luck")
    assert "raise ValueError" in report["stackTrace"][-1]
    assert report["requestId"]


def test_invoke_runs_the_projects_own_functions(diagnosis: str, directory_url: str, tmp_path: Path) -> None:
    assert diagnosis
    store = open_store(directory_url)
    store.put("batch/in/diagnosis/ward 7/new patients+1.csv", CSV.encode())
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [*ONNXLET, "invoke", "score", "tests/events/score-eventbridge.json"],
        env=environment(directory_url, tmp_path),
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    (report,) = json.loads(done.stdout)["scored"]
    assert report["rows"] == {"read": 2, "scored": 2, "errors": 0}


@contextmanager
def served(store: str, folder: Path, *options: str, **environ: str) -> Iterator[str]:
    """The URL of `onnxlet serve` with some options."""
    log = folder / "serve.log"
    with log.open("wb") as file:
        command = [*ONNXLET, "serve", "--port", "0", *options]
        server = subprocess.Popen(
            command, env=environment(store, folder, **environ), stdout=subprocess.PIPE, stderr=file, text=True
        )
    assert server.stdout is not None
    try:
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.wait(30)
        server.stdout.close()


def status(method: str, url: str, **options: Any) -> int:  # noqa: ANN401 - requests' own
    return requests.request(method, url, timeout=30, **options).status_code


def test_serve_is_told_who_may_ask_by_options(diagnosis: str, directory_url: str, tmp_path: Path) -> None:
    options = ["--token", "secret", "--allowed-host", "one.example", "--allowed-host", "*.two.example"]
    options += ["--allow-origin", "https://console.example", "--read-only"]
    with served(directory_url, tmp_path, *options) as url:
        models, known = url + "/registry/models", {"Authorization": "Bearer secret"}
        assert status("GET", models) == 401
        for host, expected in (("one.example", 200), ("a.two.example", 200), ("three.example", 403)):
            assert status("GET", models, headers=known | {"Host": host}) == expected
        answer = requests.get(models, headers=known | {"Origin": "https://console.example"}, timeout=30)
        assert answer.headers["Access-Control-Allow-Origin"] == "https://console.example"
        assert status("POST", f"{models}/{diagnosis}:rollback", json={}, headers=known) == 403


def test_serve_is_told_who_may_ask_by_the_environment_too(diagnosis: str, directory_url: str, tmp_path: Path) -> None:
    environ = {
        "ONNXLET_TOKEN": "secret",
        "ONNXLET_READ_ONLY": "true",
        "ONNXLET_ALLOWED_HOSTS": "one.example,two.example",
        "ONNXLET_ALLOWED_ORIGINS": "https://console.example",
    }
    with served(directory_url, tmp_path, "--allowed-host", "three.example", **environ) as url:
        models, known = url + "/registry/models", {"Authorization": "Bearer secret"}
        assert status("GET", models) == 401
        for host, expected in (("one.example", 200), ("two.example", 200), ("three.example", 200), ("x.example", 403)):
            assert status("GET", models, headers=known | {"Host": host}) == expected
        answer = requests.get(models, headers=known | {"Origin": "https://console.example"}, timeout=30)
        assert answer.headers["Access-Control-Allow-Origin"] == "https://console.example"
        assert status("POST", f"{models}/{diagnosis}:rollback", json={}, headers=known) == 403


def test_predict_sends_the_token_that_serve_asks_for(
    diagnosis: str, directory_url: str, tmp_path: Path, run: Run
) -> None:
    (tmp_path / "rows.json").write_text('{"instances": [[1, 2, 3]]}')
    with served(directory_url, tmp_path, ONNXLET_TOKEN="secret") as url:  # noqa: S106 - no secret at all
        ask = ("predict", diagnosis, str(tmp_path / "rows.json"), "--url", url)
        refused = run(*ask)
        assert (refused.exit_code, "401" in refused.stderr) == (1, True)
        assert "--token or ONNXLET_TOKEN" in refused.stderr
        assert run(*ask, "--token", "secret").exit_code == 0
        assert run(*ask, env={"ONNXLET_TOKEN": "secret"}).exit_code == 0


def test_serve_refuses_what_it_cannot_be_told(run: Run) -> None:
    for options, told in (
        (("--allowed-host", "http://models.example"), "is no host"),
        (("--allow-origin", "console.example"), "is no origin"),
        (("--token", "two words"), "bearer token"),
    ):
        done = run("serve", "--port", "0", *options)
        assert (done.exit_code, told in done.stderr) == (1, True), done.stderr
        assert "two words" not in done.stderr


def test_serve_says_that_it_asks_for_a_token_and_not_which(directory_url: str, tmp_path: Path) -> None:
    with served(directory_url, tmp_path, ONNXLET_TOKEN="c0ffee"):  # noqa: S106 - no secret at all
        give_up = time.monotonic() + 30
        while "token" not in (said := (tmp_path / "serve.log").read_text()) and time.monotonic() < give_up:
            time.sleep(0.05)
    assert "clients need its token" in said
    assert "c0ffee" not in said


def test_the_demo_asks_its_own_server_whatever_the_environment_says(
    diagnosis: str, directory_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONNXLET_TOKEN", "of-a-deployed-api")
    monkeypatch.setenv("ONNXLET_CACHE_DIR", str(tmp_path / "cache"))
    with LocalServer(directory_url, tmp_path / "demo.log", alias_ttl=0.1) as server:
        _, answer, _ = server.ask(f"/v1/models/{diagnosis}:predict", {"instances": [[1, 2, 3]]})
    assert len(answer["predictions"]) == 1
