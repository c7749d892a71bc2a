"""The command line over real stores and tiny models: what scripts rely on, and what people read."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from click.testing import CliRunner, Result

from models import tiny
from onnxlet.cli import cli
from onnxlet.registry.reading.requirements import Requirements
from onnxlet.registry.registry import Registry
from onnxlet.store import open_store
from onnxlet.values.manifest import Column, Steps, Tabular
from onnxlet.version import __version__

Run = Callable[..., Result]
ONNXLET = [sys.executable, "-c", "from onnxlet.cli import main; main()"]
CSV = "radius,texture,id\n1,2,a\n2,2,b\n"


@pytest.fixture
def run(directory_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command on a fresh directory store, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ONNXLET_CACHE_DIR", str(tmp_path / "cache"))
    for variable in ("ONNXLET_STORE", "ONNXLET_ALIAS_TTL"):
        monkeypatch.delenv(variable, raising=False)
    return lambda *words, **options: CliRunner().invoke(cli, ["--store", directory_url, *words], **options)


@pytest.fixture
def registry(directory_url: str) -> Registry:
    """The registry of the same store."""
    return Registry(open_store(directory_url), who="tests")


@pytest.fixture
def diagnosis(registry: Registry, tmp_path: Path) -> str:
    """A model with two versions, the first of them in production."""
    tiny.publish(registry.store, "diagnosis", tiny.classifier_package(tmp_path / "one"))
    tiny.publish(registry.store, "diagnosis", tiny.classifier_package(tmp_path / "two", bias=50), alias=None)
    return "diagnosis"


def _json(result: Result) -> Any:  # noqa: ANN401 - any JSON
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_promote_rollback_and_history_tell_one_story(run: Run, diagnosis: str) -> None:
    assert run("promote", "diagnosis:2", "--why", "better").stdout == "diagnosis@production: 1 -> 2\n"
    assert _json(run("rollback", diagnosis, "--why", "worse after all", "--json"))["routes"][0]["version"] == 1
    result = run("history", diagnosis, "--verify")
    assert result.exit_code == 0
    assert result.stderr == "verified: the chain of 3 entries holds\n"
    head, *lines = result.stdout.splitlines()
    assert head.split() == ["SEQUENCE", "WHEN", "WHO", "ACTION", "FROM", "TO", "WHY"]
    assert [re.split(r"\s{2,}", line.strip())[3:] for line in lines] == [
        ["promote", "-", "1"],
        ["promote", "1", "2", "better"],
        ["rollback", "2", "1", "worse after all"],
    ]
    who = _json(run("history", diagnosis, "--json"))[-1]["who"]
    assert re.fullmatch(r"\S+@\S+", who)


def test_history_tells_what_was_forced(run: Run, registry: Registry, diagnosis: str) -> None:
    registry.require(Requirements(require_contract=True))
    assert run("promote", "diagnosis:2").exit_code == 1
    assert run("promote", "diagnosis:2", "--force", "--reason", "a trial").exit_code == 0
    assert "a trial; forced: it has no accuracy contract" in run("history", diagnosis).stdout


def test_what_the_system_refuses_is_one_line(run: Run) -> None:
    @cli.command("fill", hidden=True)
    def fill() -> None:
        Path("/dev/full").write_bytes(b"x" * 100_000)

    try:
        result = run("fill")
    finally:
        del cli.commands["fill"]
    assert result.exit_code == 1
    assert result.stderr.startswith("error: the system refused: no space left on device")


def test_a_broken_history_fails_verification(run: Run, registry: Registry, diagnosis: str) -> None:
    run("promote", "diagnosis:2")
    (entry,) = registry.store.list("history/")
    registry.store.put(entry.key, registry.store.get(entry.key).data.replace(b"tests", b"saint"))
    result = run("history", diagnosis, "--verify")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")


def test_list_shows_models_and_versions(run: Run, diagnosis: str) -> None:
    run("promote", "diagnosis:2", "--to", "candidate")
    assert [line.split() for line in run("list").stdout.splitlines()] == [
        ["MODEL", "VERSIONS", "LATEST", "PRODUCTION", "OTHER", "ALIASES"],
        ["diagnosis", "2", "2", "1", "candidate", "2"],
    ]
    assert _json(run("list", "--json")) == [
        {"model": "diagnosis", "versions": [1, 2], "aliases": {"candidate": "2", "production": "1"}}
    ]
    versions = _json(run("list", diagnosis, "--json"))
    assert [(v["number"], v["state"], v["aliases"]) for v in versions] == [
        *((1, "published", ["production"]), (2, "published", ["candidate"])),
    ]
    assert "candidate" in run("list", diagnosis).stdout


def test_an_empty_store_lists_nothing_and_says_so(run: Run) -> None:
    result = run("list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no models" in result.stderr
    assert _json(run("list", "--json")) == []


def test_show_tells_a_version_and_its_manifest(run: Run, registry: Registry, diagnosis: str) -> None:
    text = run("show", diagnosis).stdout
    for part in ("diagnosis:1", "radius, texture, area", "benign, malignant", "model.onnx", "golden.json"):
        assert part in text
    manifest = _json(run("show", "diagnosis:2", "--json"))
    assert manifest == json.loads(registry.store.get("models/diagnosis/2/manifest.json").data)


def test_publish_prints_the_version_alone_on_stdout(run: Run, tmp_path: Path) -> None:
    model = tmp_path / "tiny.onnx"
    model.write_bytes(tiny.regressor().SerializeToString())
    result = run("publish", str(model), "sum")
    assert (result.exit_code, result.stdout) == (0, "sum:1\n")
    assert _json(run("publish", str(model), "sum", "--json"))["version"] == 2
    assert run("promote", "sum:1").exit_code == 0
    answer = _json(run("predict", "sum", "-", "--json", input='{"instances": [[1, 2]]}'))
    assert answer == {"predictions": [6.0], "model_version": "1"}


def test_publish_refuses_a_file_that_is_no_model(run: Run, tmp_path: Path) -> None:
    (tmp_path / "no.onnx").write_bytes(b"nothing of the kind")
    result = run("publish", "no.onnx", "m")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr
    assert run("publish", "missing.onnx", "m").exit_code == 2
    assert run("publish", "no.onnx", "no name").exit_code == 2


def test_delete_spares_what_is_in_use_unless_forced(run: Run, diagnosis: str) -> None:
    refused = run("delete", "diagnosis:1")
    assert refused.exit_code == 1
    assert "in use" in refused.stderr
    assert run("delete", "diagnosis:2").exit_code == 0
    assert _json(run("delete", "diagnosis:1", "--force", "--json")) == {"deleted": "diagnosis:1"}
    assert run("show", diagnosis).exit_code == 1
    assert run("delete", diagnosis).exit_code == 2


def test_gc_removes_what_an_unfinished_publish_left(run: Run, registry: Registry) -> None:
    registry.store.put("models/m/1/claim.json", b"{}")
    registry.store.put("models/m/1/model.onnx", b"half")
    assert _json(run("gc", "--json"))["removed"] == []
    dry = run("gc", "--older-than", "0s", "--dry-run")
    assert dry.stdout == "models/m/1/model.onnx\n"
    assert "would remove 1" in dry.stderr
    assert _json(run("gc", "--older-than", "0s", "--json")) == {"removed": ["models/m/1/model.onnx"], "dry_run": False}
    assert run("gc", "--older-than", "yesterday").exit_code == 2


def test_predict_answers_a_csv_as_a_table(run: Run, diagnosis: str, tmp_path: Path) -> None:
    (tmp_path / "patients.csv").write_text(CSV)
    result = run("predict", diagnosis, "patients.csv")
    assert [line.split()[:2] for line in result.stdout.splitlines()] == [
        *(["ROW", "LABEL"], ["1", "malignant"], ["2", "malignant"]),
    ]
    assert "diagnosis:1 answered in" in result.stderr
    document = _json(run("predict", "diagnosis:2", "patients.csv", "--json"))
    assert document["model_version"] == "2"
    assert [row["label"] for row in document["predictions"]] == ["malignant"] * 2


def test_predict_takes_bodies_by_rows_and_by_columns(run: Run, diagnosis: str) -> None:
    rows = json.dumps({"instances": [{"radius": 1, "texture": 2}, {"radius": 1, "texture": -2}]})
    assert [row["label"] for row in _json(run("predict", diagnosis, "-", "--json", input=rows))["predictions"]] == [
        *("malignant", "benign"),
    ]
    result = run("predict", diagnosis, "-", input='{"inputs": [[1, 2, 3]]}')
    assert json.loads(result.stdout)["outputs"]["label"] == ["benign"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("radius,texture\n1,2\n,2\n", "row 2, column 'radius': missing value"),
        ("radius\n1\n", "no column 'texture'"),
        ('{"instances": []}', "'instances' is empty"),
        ('[{"radius": 1, "texture": 2}]', 'a JSON body is an object: write {"instances": …} around these rows'),
    ],
)
def test_predict_says_what_is_wrong_with_its_input(run: Run, diagnosis: str, text: str, message: str) -> None:
    result = run("predict", diagnosis, "-", input=text)
    assert (result.exit_code, result.stdout) == (1, "")
    assert message in result.stderr


def test_score_writes_files_and_prints_where(run: Run, diagnosis: str, tmp_path: Path) -> None:
    (tmp_path / "patients.csv").write_text(CSV + "x,2,c\n")
    result = run("score", "patients.csv", "--model", diagnosis, "-o", "scored.csv")
    assert (result.exit_code, result.stdout) == (0, "scored.csv\n")
    assert "diagnosis:1 scored 2 of 3 rows, 1 set aside in scored.csv.errors.jsonl" in result.stderr
    report = _json(run("score", "patients.csv", "--model", diagnosis, "-o", "scored.csv", "--json"))
    assert report["rows"] == {"read": 3, "scored": 2, "errors": 1}
    result = run("score", "patients.csv", "--model", diagnosis, "-o", "elsewhere/scored.csv")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "error: 'elsewhere/scored.csv' cannot be written: there is no folder 'elsewhere'" in result.stderr


def test_errors_are_one_line_with_a_hint(run: Run) -> None:
    result = run("show", "nobody")
    assert (result.exit_code, result.stdout) == (1, "")
    error, hint = result.stderr.splitlines()
    assert error == "error: no model named 'nobody'"
    assert "onnxlet list" in hint


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["promte"], "Did you mean 'promote'"),
        (["promote", "diagnosis"], "names no version"),
        (["promote", "diagnosis:zero"], "is not a version"),
        (["promote", "diagnosis:1", "--to", "no alias"], "cannot be an alias"),
        (["show", "../etc"], "cannot be a model name"),
        (["serve", "--port", "70000"], "--port"),
        (["invoke", "nothing", "-"], "does not exist"),
    ],
)
def test_usage_errors_exit_with_two(run: Run, words: list[str], message: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_store_of_no_known_kind_is_our_error() -> None:
    result = CliRunner().invoke(cli, ["--store", "ftp://somewhere", "list"])
    assert result.exit_code == 1
    assert "is no store" in result.stderr


def test_a_plain_path_is_a_store_and_the_environment_names_the_default(
    run: Run, directory_url: str, diagnosis: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("list").exit_code == 0
    assert diagnosis in CliRunner().invoke(cli, ["--store", "store", "list"]).stdout
    monkeypatch.setenv("ONNXLET_STORE", directory_url)
    assert diagnosis in CliRunner().invoke(cli, ["list"]).stdout
    monkeypatch.delenv("ONNXLET_STORE")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "a folder"))
    model = tmp_path / "tiny.onnx"
    onnx.save(tiny.regressor(), model)
    assert CliRunner().invoke(cli, ["publish", str(model), "sum"]).stdout == "sum:1\n"
    assert (tmp_path / "a folder" / "onnxlet" / "store" / "models" / "sum" / "1" / "manifest.json").is_file()


def test_every_command_has_help_with_an_example_and_json() -> None:
    for name, command in cli.commands.items():
        if command.hidden:
            continue
        result = CliRunner().invoke(cli, [name, "--help"])
        assert result.exit_code == 0
        assert re.search(rf"Example:\n.*onnxlet {name}", result.stdout, re.DOTALL), name
        assert "--json" in result.stdout


def test_help_and_version_load_nothing_heavy() -> None:
    code = """
import sys
from onnxlet.cli import cli
for words in (["--help"], ["--version"], ["predict", "--help"], ["convert", "--help"], ["serve", "--help"]):
    cli(words, standalone_mode=False)
heavy = {"numpy", "onnxruntime", "onnx", "fastapi", "pydantic", "uvicorn", "sklearn", "tqdm", "obstore", "msgspec"}
print("loaded:", sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "loaded: []"
    assert f"onnxlet, version {__version__}" in done.stdout


def _environment(directory_url: str, tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "ONNXLET_STORE": directory_url, "ONNXLET_CACHE_DIR": str(tmp_path / "cache")}


def test_a_closed_pipe_ends_a_command_without_a_traceback(diagnosis: str, directory_url: str, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*ONNXLET, "show", diagnosis],
        env=_environment(directory_url, tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as stderr:
        assert b"Traceback" not in stderr.read()
    process.wait(60)


def test_predict_takes_empty_cells_of_a_single_column(run: Run, registry: Registry, tmp_path: Path) -> None:
    steps = Steps(tabular=Tabular((Column("x", "FP32", missing=True),), None))
    tiny.publish(registry.store, "echo", tiny.package(tiny.identity(shape=("N", 1)), tmp_path / "echo", steps=steps))

    answer = _json(run("predict", "echo", "-", "--json", input='x\n1.5\n""\n'))

    assert answer["predictions"] == [[1.5], [None]]


def test_serve_answers_predict_over_http_and_ends_with_ctrl_c(
    run: Run, diagnosis: str, directory_url: str, tmp_path: Path
) -> None:
    log = tmp_path / "server.log"
    with log.open("wb") as file:
        server = subprocess.Popen(
            [*ONNXLET, "serve", "--port", "0"], env=_environment(directory_url, tmp_path), stdout=file, stderr=file
        )
    try:
        url = None
        give_up = time.monotonic() + 30
        while url is None and time.monotonic() < give_up and server.poll() is None:
            url = re.search(r"http://\S+:\d+", log.read_text())
            time.sleep(0.05)
        assert url is not None, log.read_text()
        (tmp_path / "patients.csv").write_text("radius,texture,area,id\n1,2,1,a\n2,2,,b\n")
        here = _json(run("predict", diagnosis, "patients.csv", "--json"))
        assert _json(run("predict", diagnosis, "patients.csv", "--json", "--url", url[0])) == here
        lacking = run("predict", diagnosis, "-", "--url", url[0], input="radius,texture,area\n,2,1\n")
        assert lacking.exit_code == 1
        assert "the server answered 400" in lacking.stderr
        assert "radius" in lacking.stderr
        body = '{"instances": [{"radius": 1, "texture": 2}]}'
        assert (
            _json(run("predict", "diagnosis@production", "-", "--json", "--url", url[0], input=body))["model_version"]
            == "1"
        )
        refused = run("predict", "nobody", "-", "--url", url[0], input=body)
        assert refused.exit_code == 1
        assert "the server answered 404" in refused.stderr
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0
    assert "Traceback" not in log.read_text()
    silent = run("predict", diagnosis, "-", "--url", url[0], input=body)
    assert silent.exit_code == 1
    assert "no server answers" in silent.stderr


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
        env=_environment(directory_url, tmp_path),
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    (report,) = json.loads(done.stdout)["scored"]
    assert report["rows"] == {"read": 2, "scored": 2, "errors": 0}
