"""Predict and score, as commands: here, and over HTTP."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from command_line import Run, read_json, serving
from models import tiny
from onnxlet.registry.registry import Registry
from onnxlet.steps import Column, Steps, Tabular
from scripted import METADATA, Received, Reply, says, scripted

pytestmark = pytest.mark.slow

CSV = "radius,texture,id\n1,2,a\n2,2,b\n"


def test_predict_answers_a_csv_as_a_table(run: Run, diagnosis: str, tmp_path: Path) -> None:
    (tmp_path / "patients.csv").write_text(CSV)
    result = run("predict", diagnosis, "patients.csv")
    assert [line.split()[:2] for line in result.stdout.splitlines()] == [
        *(["ROW", "LABEL"], ["1", "malignant"], ["2", "malignant"]),
    ]
    assert "diagnosis:1 answered in" in result.stderr
    document = read_json(run("predict", "diagnosis:2", "patients.csv", "--json"))
    assert document["model_version"] == "2"
    assert [row["label"] for row in document["predictions"]] == ["malignant"] * 2


def test_predict_takes_bodies_by_rows_and_by_columns(run: Run, diagnosis: str) -> None:
    rows = json.dumps({"instances": [{"radius": 1, "texture": 2}, {"radius": 1, "texture": -2}]})
    assert [row["label"] for row in read_json(run("predict", diagnosis, "-", "--json", input=rows))["predictions"]] == [
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


def test_predict_takes_empty_cells_of_a_single_column(run: Run, registry: Registry, tmp_path: Path) -> None:
    steps = Steps((Tabular((Column("x", "FP32", missing=True),), None),))
    tiny.publish(registry.store, "echo", tiny.package(tiny.identity(shape=("N", 1)), tmp_path / "echo", steps=steps))

    answer = read_json(run("predict", "echo", "-", "--json", input='x\n1.5\n""\n'))

    assert answer["predictions"] == [[1.5], [None]]


def test_score_writes_files_and_prints_where(run: Run, diagnosis: str, tmp_path: Path) -> None:
    (tmp_path / "patients.csv").write_text(CSV + "x,2,c\n")
    result = run("score", "patients.csv", "--model", diagnosis, "-o", "scored.csv")
    assert (result.exit_code, result.stdout) == (0, "scored.csv\n")
    assert "diagnosis:1 scored 2 of 3 rows, 1 set aside in scored.csv.errors.jsonl" in result.stderr
    report = read_json(run("score", "patients.csv", "--model", diagnosis, "-o", "scored.csv", "--json"))
    assert report["rows"] == {"read": 3, "scored": 2, "errors": 1}
    for keep, header in ((("--keep", "radius"), "radius,row,label"), (("--keep", "-"), "row,label")):
        run("score", "patients.csv", "--model", diagnosis, *keep, "-o", "scored.csv")
        assert Path("scored.csv").read_text().startswith(header)
    result = run("score", "patients.csv", "--model", diagnosis, "--max-bad", "0.1", "-o", "scored.csv")
    assert result.exit_code == 1
    assert "1 of the 3 rows of 'patients.csv' could not be scored" in result.stderr
    result = run("score", "patients.csv", "--model", diagnosis, "-o", "elsewhere/scored.csv")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "error: 'elsewhere/scored.csv' cannot be written: there is no folder 'elsewhere'" in result.stderr


def test_score_of_bad_rows_alone_fails(run: Run, diagnosis: str, tmp_path: Path) -> None:
    (tmp_path / "patients.jsonl").write_text('{"Radius": 1, "texture": 2}\n')
    result = run("score", "patients.jsonl", "--model", diagnosis, "-o", "scored.jsonl")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "error: none of the 1 rows of 'patients.jsonl' could be scored: row 1, column 'radius'" in result.stderr
    assert not (tmp_path / "scored.jsonl").exists()
    assert '"state":"failed"' in (tmp_path / "scored.jsonl.book.json").read_text()


def test_serve_answers_predict_over_http_and_ends_with_ctrl_c(
    run: Run, diagnosis: str, directory_url: str, tmp_path: Path
) -> None:
    body = '{"instances": [{"radius": 1, "texture": 2}]}'
    with serving(directory_url, tmp_path) as url:
        (tmp_path / "patients.csv").write_text("radius,texture,area,id\n1,2,1,a\n2,2,,b\n")
        here = read_json(run("predict", diagnosis, "patients.csv", "--json"))
        assert read_json(run("predict", diagnosis, "patients.csv", "--json", "--url", url)) == here
        lacking = run("predict", diagnosis, "-", "--url", url, input="radius,texture,area\n,2,1\n")
        assert lacking.exit_code == 1
        assert "the server answered 400" in lacking.stderr
        assert "radius" in lacking.stderr
        answer = read_json(run("predict", "diagnosis@production", "-", "--json", "--url", url, input=body))
        assert answer["model_version"] == "1"
        refused = run("predict", "nobody", "-", "--url", url, input=body)
        assert refused.exit_code == 1
        assert "the server answered 404" in refused.stderr
    silent = run("predict", diagnosis, "-", "--url", url, input=body)
    assert silent.exit_code == 1
    assert "no server answers" in silent.stderr


def test_a_fallback_is_told_in_the_same_words_here_over_http_and_of_files(
    run: Run, registry: Registry, diagnosis: str, directory_url: str, tmp_path: Path
) -> None:
    tiny.publish(registry.store, diagnosis, tiny.package_with_false_golden_cases(tmp_path / "three"))
    (tmp_path / "patients.csv").write_text("radius,texture,area\n1,2,1\n")
    warning = "warning: diagnosis:1 stands in for the version that is routed to, which was refused\n"

    assert run("predict", diagnosis, "patients.csv").stderr.endswith(warning)
    assert run("score", "patients.csv", "--model", diagnosis, "-o", "scored.csv").stderr.endswith(warning)
    with serving(directory_url, tmp_path) as url:
        assert run("predict", diagnosis, "patients.csv", "--url", url).stderr.endswith(warning)
        by_number = run("predict", "diagnosis:1", "patients.csv", "--url", url)
    assert by_number.exit_code == 0
    assert "warning" not in by_number.stderr


def test_a_stale_answer_of_a_server_is_told(run: Run, diagnosis: str, directory_url: str, tmp_path: Path) -> None:
    body = '{"instances": [{"radius": 1, "texture": 2}]}'
    with serving(directory_url, tmp_path, ONNXLET_ALIAS_TTL="0.1") as url:
        assert "warning" not in run("predict", diagnosis, "-", "--url", url, input=body).stderr
        (tmp_path / "store").rename(tmp_path / "elsewhere")
        (tmp_path / "store").write_text("no directory, which is a store that does not answer")
        time.sleep(0.2)
        answer = run("predict", diagnosis, "-", "--url", url, input=body)
    assert answer.exit_code == 0, answer.stderr
    assert answer.stderr.endswith("warning: the store does not answer: diagnosis:1 is what was last known\n")


def doubling(request: Received) -> Reply:
    """A server of the model `sum`, which doubles."""
    if request.method == "GET":
        return METADATA
    return says({"predictions": [2 * value for value in json.loads(request.body)["instances"]]})


def test_who_asks_a_server_is_told_by_a_token_or_a_signature(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    with scripted(doubling) as server:
        asked = ("predict", "sum", "-", "--json", "--url", server.url)
        assert read_json(run(*asked, "--token", "abc", input="x\n1\n"))["predictions"] == [2.0]
        assert run(*asked, env={"ONNXLET_TOKEN": "def"}, input="x\n1\n").exit_code == 0
        assert run(*asked, "--auth", "iam", env={"ONNXLET_TOKEN": "def"}, input="x\n1\n").exit_code == 0
        assert run(*asked, input="x\n1\n").exit_code == 0
    tokens = [request.headers.get("Authorization", "nobody").partition(" Cred")[0] for request in server.received]
    assert tokens == [name for name in ("Bearer abc", "Bearer def", "AWS4-HMAC-SHA256", "nobody") for _ in range(2)]


def test_who_may_not_ask_a_server_is_told_what_to_do(run: Run) -> None:
    with scripted(lambda _: says({"message": "Unauthorized"}, 401)) as server:
        refused = run("predict", "sum", "-", "--url", server.url, input="x\n1\n")
    assert refused.exit_code == 1
    assert "answered 401: Unauthorized" in refused.stderr
    assert "try: --auth iam" in refused.stderr
    assert run("predict", "sum", "-", "--auth", "iam", input="x\n1\n").exit_code == 2


@pytest.mark.long
def test_a_file_that_one_request_cannot_carry_is_asked_in_several(run: Run) -> None:
    lines = [f"{number}.123456789" for number in range(500_000)]
    with scripted(doubling) as server:
        text = "x\n" + "\n".join(lines) + "\n"
        answer = read_json(run("predict", "sum", "-", "--json", "--url", server.url, input=text))
        empty = run("predict", "sum", "-", "--url", server.url, input="x\n")
    assert len(answer["predictions"]) == len(lines)
    assert answer["predictions"][-1] == pytest.approx(2 * 499_999.123456789)
    assert len(server.received) > 3
    assert max(len(request.body) for request in server.received) < 6_000_000
    assert "there are no rows to predict" in empty.stderr


def test_a_busy_server_is_asked_again(run: Run) -> None:
    with scripted(lambda request: doubling(request) if len(server.received) > 1 else Reply(503)) as server:
        assert read_json(run("predict", "sum", "-", "--json", "--url", server.url, input="x\n1\n"))["predictions"] == [
            2
        ]
