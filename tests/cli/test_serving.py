"""Functions run as Lambda runs them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from command_line import ONNXLET, Run, environment
from onnxlet.store import open_store

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
