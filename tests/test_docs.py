"""The documents say what is: commands in them run, links lead somewhere, and the README stays short.

Blocks marked `sh` are run; those marked `text` need an AWS account or show what is seen.
"""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from models import tiny
from onnxlet.batch.objects import score_object
from onnxlet.controlplane.app import create_app
from onnxlet.dataplane.dispatch import DataPlane
from onnxlet.dataplane.messages import Request
from onnxlet.dataplane.protocols import owns_path
from onnxlet.jobs import jobs
from onnxlet.registry.registry import Registry
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import open_store
from scripted import serving

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])


def blocks(page: Path, language: str) -> Iterator[str]:
    for match in re.finditer(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        yield match.group(1)


def commands(page: Path) -> list[str]:
    """The commands of a page's `sh` blocks, without their comments."""
    lines = [line.split("  #")[0].strip() for block in blocks(page, "sh") for line in block.splitlines()]
    return [line.split(" # ")[0].strip() for line in lines if line]


def targets() -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """An environment in which `onnxlet` is this package's, with a store and files of its own."""
    return os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ONNXLET_STORE": f"file://{tmp_path / 'store'}",
        "ONNXLET_CACHE_DIR": str(tmp_path / "cache"),
    }


def run(command: str, directory: Path, environ: dict[str, str]) -> str:
    done = subprocess.run(command, shell=True, cwd=directory, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def train(directory: Path, environ: dict[str, str]) -> None:
    """The files that the README's commands are about: a model, held-out rows, some rows to predict."""
    run(f"onnxlet demo-models {directory}", directory, environ)
    shutil.copy(directory / "diagnosis.joblib", directory / "model.joblib")
    for name in ("held-out.csv", "patients.csv"):
        shutil.copy(directory / "diagnosis-held-out.csv", directory / name)


def serve_until_it_answers(command: str, directory: Path, environ: dict[str, str]) -> None:
    server = subprocess.Popen([*command.split(), "--port", "0"], cwd=directory, env=environ, stderr=subprocess.PIPE)
    try:
        assert server.stderr is not None
        os.set_blocking(server.stderr.fileno(), False)
        said, deadline = "", time.monotonic() + 60
        while (found := re.search(r"http://[^\s/]+", said)) is None:
            assert server.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.05)
            said += (server.stderr.read() or b"").decode()
        with urllib.request.urlopen(f"{found.group(0)}/v2/health/live") as answer:
            assert answer.status == 200
    finally:
        server.terminate()
        server.wait()
        if server.stderr is not None:
            server.stderr.close()


@pytest.mark.slow
@pytest.mark.toolchain
def test_the_shown_the_readme_of_costs_and_of_operations_run_as_they_are_written(
    tmp_path: Path, shell: dict[str, str]
) -> None:
    train(tmp_path, shell)
    pages = ("cost.md", "operations.md", "tensorboard.md")
    after = [command for page in pages for command in commands(ROOT / "docs" / page)]
    readme = [command for command in commands(ROOT / "README.md") if command.startswith("onnxlet ")]
    for command in [*readme, "onnxlet promote diagnosis:2", *after]:
        if command.startswith("onnxlet serve"):
            serve_until_it_answers(command, tmp_path, shell)
        else:
            run(command, tmp_path, shell)


@pytest.mark.slow
@pytest.mark.toolchain
def test_the_python_page_runs_and_prints_what_it_says(tmp_path: Path, shell: dict[str, str]) -> None:
    page = "\n".join(blocks(ROOT / "docs" / "python.md", "python"))
    promised = re.findall(r"^ *print\(.*\)  # (.*)$", page, re.MULTILINE)
    assert len(promised) == page.count("print(") > 20
    readme = "\n".join(blocks(ROOT / "README.md", "python"))
    assert readme.count("\n") <= 5
    with serving(shell["ONNXLET_STORE"], tmp_path / "serving") as server:
        (tmp_path / "page.py").write_text((page + readme).replace("http://127.0.0.1:8080", server.url))
        assert run(f"{sys.executable} page.py", tmp_path, shell).splitlines() == promised


@pytest.mark.long
@pytest.mark.toolchain
def test_the_page_of_texts_runs_and_answers_as_it_says(tmp_path: Path, shell: dict[str, str]) -> None:
    # the half about transformers is run where these are installed
    page = tmp_path / "texts.md"
    page.write_text((ROOT / "docs" / "texts.md").read_text().partition("\n## Transformers\n")[0])
    code = "\n".join(blocks(page, "python"))
    promised = re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)
    (tmp_path / "page.py").write_text(code)
    assert run(f"{sys.executable} page.py", tmp_path, shell).splitlines() == promised
    with serving(shell["ONNXLET_STORE"], tmp_path / "serving") as server:
        asked = [it.replace("http://127.0.0.1:8080", server.url) for it in commands(page) if it.startswith("curl ")]
        told = [run(it.replace("curl ", "curl -fsS "), tmp_path, shell) for it in asked]
    labels = [re.findall(r"urgent|routine", answer) for answer in told]
    assert [each[0] for each in labels] == ["urgent", "routine", "routine", "routine"]
    for command in commands(page)[len(asked) :]:
        run(command, tmp_path, shell)
    with (tmp_path / "scored.csv").open() as scored:
        assert [row["label"] for row in csv.DictReader(scored)] == ["urgent", "routine"]


@pytest.mark.long
@pytest.mark.toolchain
def test_the_page_of_explanations_runs_and_answers_as_it_says(tmp_path: Path, shell: dict[str, str]) -> None:
    page = ROOT / "docs" / "explanations.md"
    code = "\n".join(blocks(page, "python"))
    promised = re.findall(r"^ *print\(.*\)  # (.*)$", code, re.MULTILINE)
    (tmp_path / "page.py").write_text(code)
    assert run(f"{sys.executable} page.py", tmp_path, shell).splitlines() == promised
    with serving(shell["ONNXLET_STORE"], tmp_path / "serving") as server:
        for command in commands(page):
            answer = run(
                command.replace("http://127.0.0.1:8080", server.url).replace("curl ", "curl -fsS "), tmp_path, shell
            )
            assert any(word in answer for word in ("attributions", "background", "probabilities")) or not answer
    assert (tmp_path / "patient.svg").read_text().startswith("<svg")


@pytest.mark.long
@pytest.mark.toolchain
def test_the_page_of_steps_runs_and_answers_as_it_says(tmp_path: Path, shell: dict[str, str]) -> None:
    code = "\n".join(blocks(ROOT / "docs" / "steps.md", "python"))
    promised = re.findall(r"^ *print\(.*\)  # (.*)$", code, re.MULTILINE)
    (tmp_path / "page.py").write_text(code)
    assert run(f"{sys.executable} page.py", tmp_path, shell).splitlines() == promised


@pytest.fixture
def diagnosis(tmp_path: Path, shell: dict[str, str]) -> str:
    """The shell's store, which has a model of two versions, `diagnosis`: production was promoted to the second."""
    store = open_store(shell["ONNXLET_STORE"])
    tiny.publish(store, "diagnosis", tiny.classifier_package(tmp_path / "one"))
    tiny.publish(store, "diagnosis", tiny.classifier_package(tmp_path / "two", bias=3))
    return shell["ONNXLET_STORE"]


def test_the_commands_of_the_security_page_run(diagnosis: str, tmp_path: Path, shell: dict[str, str]) -> None:
    store, served = open_store(diagnosis), 0
    for command in commands(ROOT / "docs" / "security.md"):
        if command.startswith("onnxlet serve"):
            serve_until_it_answers(command, tmp_path, shell)
            served += 1
        else:
            run(command, tmp_path, shell)
    assert served == 2
    left = {entry.key for entry in store.list("models/diagnosis/1/")}
    assert left == {f"models/diagnosis/1/{name}.json" for name in ("claim", "deleted")}


def test_the_registry_page_shows_requests_that_work(diagnosis: str, tmp_path: Path, shell: dict[str, str]) -> None:
    asked = commands(ROOT / "docs" / "registry.md")
    with serving(diagnosis, tmp_path / "serving") as server:
        answers = [
            run(it.replace("curl ", "curl -fsS ").replace("http://127.0.0.1:8080", server.url), tmp_path, shell)
            for it in asked
        ]
    assert json.loads(answers[0]) == {"models": ["diagnosis"]}
    assert json.loads(answers[2])["entry"]["action"] == "rollback"
    assert [json.loads(answer)["routes"][0]["version"] for answer in answers[1:4]] == [2, 1, 1]
    assert answers[4] == ""


def test_the_commands_of_jobs_run_and_end_as_the_page_of_batches_says(
    s3_store_url: str, tmp_path: Path, shell: dict[str, str]
) -> None:
    store, environ = open_store(s3_store_url), shell | {"ONNXLET_STORE": s3_store_url}
    tiny.publish(store, "diagnosis", tiny.classifier_package(tmp_path / "model"))
    predictor = Predictor(store, Settings(store=store.url, cache_dir=str(tmp_path / "cache")))
    (tmp_path / "patients.csv").write_text("patient,radius,texture\nP1,1,2\nP2,?,3\n")
    states = []
    for command in commands(ROOT / "docs" / "batch.md"):
        said = run(command + " --json", tmp_path, environ)
        if "--dry-run" in command or "results" in command:
            continue
        told = json.loads(said)
        states += [it["state"] for it in (told if isinstance(told, list) else [told])]
        if "create" in command:
            environ["JOB"] = told["id"]
            score_object(store, predictor, jobs.read(store, told["id"]).order.key)  # what Score does
        if "retry" in command:
            environ["AGAIN"] = told["id"]
    assert states == ["waiting", "scored", "scored", "waiting", "cancelled"]
    output = store.get(jobs.read(store, environ["JOB"]).order.name).data
    assert output.startswith(b"patient,row,label")


def test_the_registry_page_has_every_operation() -> None:
    page = (ROOT / "docs" / "registry.md").read_text()
    document = create_app(Settings(), Registry(open_store("memory://page"))).openapi()
    own = {path: methods for path, methods in document["paths"].items() if not owns_path(path)}
    assert len(own) >= 10
    for path, methods in own.items():
        for method in methods:
            assert f"\n## {method.upper()} {path}\n" in page
    for name in set(re.findall(r"\]\(#(\w+)\)", page)):
        assert re.search(rf"^### {name}$", page, re.MULTILINE | re.IGNORECASE), name


def test_every_metric_of_the_local_server_is_documented(diagnosis: str, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    with serving(diagnosis, tmp_path / "serving") as server:
        for path in ("/registry/models", "/v1/models/diagnosis"):
            urllib.request.urlopen(server.url + path).close()
        text = urllib.request.urlopen(server.url + "/metrics").read().decode()
    samples = set(re.findall(r"^(\w+)\{(.*)\} ", text, re.MULTILINE))
    assert len(samples) == 4
    for name, labels in samples:
        assert f"`{name}{{{', '.join(re.findall(r'([a-z]+)=', labels))}}}`" in page
        for value in re.findall(r'plane="(\w+)"', labels):
            assert f"`{value}`" in page


def completion_lines() -> dict[str, str]:
    """What the commands' page has a user write into a shell's file, by shell."""
    page = (ROOT / "docs" / "cli.md").read_text()
    return {
        shell: line.replace("\\|", "|")
        for shell, line in re.findall(r"^\| (bash|zsh|fish)\b.*\| `(.*)` \|$", page, re.MULTILINE)
    }


def test_bash_completes_as_the_commands_page_says(shell: dict[str, str], tmp_path: Path) -> None:
    ask = "COMP_WORDS=(onnxlet ro); COMP_CWORD=1; _onnxlet_completion onnxlet; echo ${COMPREPLY[@]}"
    script = tmp_path / "complete.bash"
    script.write_text(f"{completion_lines()['bash']}\n{ask}\n")
    assert run(f"bash {script}", tmp_path, shell).split() == ["rollback"]


@pytest.mark.parametrize(("name", "words", "current"), [("zsh", "onnxlet ro", "1"), ("fish", "onnxlet ro", "ro")])
def test_other_shells_are_told_how_to_complete(
    shell: dict[str, str], tmp_path: Path, name: str, words: str, current: str
) -> None:
    (script,) = re.findall(r"_ONNXLET_COMPLETE=\w+ onnxlet", completion_lines()[name])
    assert "onnxlet" in run(script, tmp_path, shell)
    asked = shell | {"_ONNXLET_COMPLETE": f"{name}_complete", "COMP_WORDS": words, "COMP_CWORD": current}
    assert "rollback" in run("onnxlet", tmp_path, asked)


def test_requests_of_the_protocols_page_are_answered_as_it_says(tmp_path: Path) -> None:
    store = open_store((tmp_path / "store").as_uri())
    tiny.publish(store, "diagnosis", tiny.classifier_package(tmp_path / "package"))
    dataplane = DataPlane(Predictor(store, Settings(cache_dir=str(tmp_path / "cache"))))
    page = ROOT / "docs" / "protocols.md"
    asked, answered = list(blocks(page, "http")), list(blocks(page, "json"))
    assert len(asked) == len(answered) > 2
    for request, answer in zip(asked, answered, strict=True):
        line, _, body = request.partition("\n\n")
        method, path = line.split()
        response = dataplane.answer(Request(method, path, body=body.encode()))
        assert json.loads(response.text() or "") == json.loads(answer)


def test_make_targets_that_documents_name_exist() -> None:
    for page in PAGES:
        shown = "\n".join([*blocks(page, "sh"), *blocks(page, "text")])
        for target in re.findall(r"^make ([a-z0-9-]+)", shown, re.MULTILINE):
            assert target in targets(), f"{page.name}: make {target}"


def test_links_lead_to_files_that_exist() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_the_readme_is_under_150_lines_and_shows_a_command_before_line_30() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) < 150
    assert any(line.startswith("make demo") for line in lines[:30])


def test_every_contributor_command_is_a_make_target() -> None:
    named = set(re.findall(r"^make ([a-z0-9-]+)", "\n".join(blocks(ROOT / "CONTRIBUTING.md", "text")), re.MULTILINE))
    assert named
    assert named <= targets()


def test_each_page_of_the_docs_is_reachable_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert f"docs/{page.name}" in readme


def test_every_parameter_of_the_template_is_documented() -> None:
    parameters = (ROOT / "template.yaml").read_text().split("\nParameters:\n")[1].split("\nRules:")[0]
    page = (ROOT / "docs" / "deploy.md").read_text()
    for name in re.findall(r"^  (\w+):", parameters, re.MULTILINE):
        assert f"`{name}`" in page


def workflow() -> Any:  # noqa: ANN401 - YAML
    """The page's workflow. YAML 1.1 reads the key `on` as true."""
    (text,) = blocks(ROOT / "docs" / "ci.md", "yaml")
    return yaml.safe_load(text)


def test_the_workflow_has_no_key_and_rights_that_are_enough() -> None:
    document = workflow()
    assert set(document) == {"name", True, "permissions", "concurrency", "env", "jobs"}
    assert document["permissions"] == {}
    assert {"push", "workflow_dispatch"} == set(document[True])
    for name, job in document["jobs"].items():
        assert job["permissions"]["id-token"] == "write", name
        assert "write" not in {right for what, right in job["permissions"].items() if what != "id-token"}
        assert job["runs-on"].startswith("ubuntu-")
        assert job["timeout-minutes"] <= 60
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step.get("uses", "a/b@v1"))
            assert "${{" not in step.get("run", ""), "what is pasted into a shell can be a command"
        (credentials,) = (step["with"] for step in job["steps"] if "configure-aws" in step.get("uses", ""))
        assert re.fullmatch(r"arn:aws:iam::\d{12}:role/onnxlet-(ship|promote)", credentials["role-to-assume"])
        assert set(credentials) == {"role-to-assume", "aws-region"}
    assert not re.search(r"secrets\.|access.key", yaml.dump(document), re.IGNORECASE)
    ship, promote = document["jobs"]["ship"], document["jobs"]["promote"]
    assert (promote["needs"], promote["environment"]) == ("ship", "production")
    assert ship["outputs"] == {"version": "${{ steps.ship.outputs.version }}"}
    assert [step["run"] for step in ship["steps"] if step.get("id") == "ship"] == ["python training/ship.py"]
    assert "contents" in ship["permissions"]


def test_the_trust_is_for_one_repository() -> None:
    (text,) = blocks(ROOT / "docs" / "ci.md", "json")
    (statement,) = json.loads(text)["Statement"]
    conditions = statement["Condition"]["StringEquals"]
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert conditions.pop("token.actions.githubusercontent.com:aud") == "sts.amazonaws.com"
    (subject,) = conditions.values()
    assert re.fullmatch(r"repo:[\w-]+/[\w-]+:environment:production", subject)


TRAINING = """
import os
from sklearn.datasets import load_breast_cancer

from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

def train():
    table = load_breast_cancer(as_frame=True).frame.rename(columns={"target": "diagnosis"})
    known, held_out = train_test_split(table, test_size=0.3, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=float(os.environ["REGULARIZATION"])))
    return model.fit(known.drop(columns="diagnosis"), known["diagnosis"]), held_out
"""


@pytest.mark.long
@pytest.mark.toolchain
def test_the_workflow_ships_what_is_better_and_promotes_it(tmp_path: Path, shell: dict[str, str]) -> None:
    (script,) = blocks(ROOT / "docs" / "ci.md", "python")
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "ship.py").write_text(script)
    (tmp_path / "training" / "train.py").write_text(TRAINING)
    outputs = tmp_path / "outputs"
    github = {"GITHUB_SHA": "abc", "GITHUB_OUTPUT": str(outputs), "GITHUB_RUN_ID": "7", "GITHUB_REPOSITORY": "acme/d"}
    jobs = workflow()["jobs"]
    (ship,) = (step["run"] for step in jobs["ship"]["steps"] if step.get("id") == "ship")
    (promote,) = (step["run"] for step in jobs["promote"]["steps"] if step.get("run", "").startswith("onnxlet "))

    run(ship, tmp_path, shell | github | {"REGULARIZATION": "1"})
    version = outputs.read_text().strip().removeprefix("version=")
    run(promote, tmp_path, shell | github | {"VERSION": version})
    worse = subprocess.run(
        ship,
        shell=True,
        cwd=tmp_path,
        env=shell | github | {"REGULARIZATION": "1e-6"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert version == "diagnosis:1"
    assert worse.returncode == 1
    assert "diagnosis:2 is worse than what is live" in worse.stderr
    assert outputs.read_text() == "version=diagnosis:1\n"
    history = json.loads(run("onnxlet history diagnosis --json", tmp_path, shell))
    gates = {"accuracy-contract": "held", "reference": "object"}
    assert [(entry["why"], entry["gates"]) for entry in history] == [("run 7 of acme/d", gates)]
    manifest = json.loads(run("onnxlet show diagnosis:1 --json", tmp_path, shell))
    assert manifest["provenance"]["training_commit"] == "abc"
