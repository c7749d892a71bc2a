"""Publish, delete and gc, as commands."""

from __future__ import annotations

from pathlib import Path

from command_line import Run, read_json
from models import tiny
from onnxlet.registry.registry import Registry


def test_publish_prints_the_version_alone_on_stdout(run: Run, tmp_path: Path) -> None:
    model = tmp_path / "tiny.onnx"
    model.write_bytes(tiny.regressor().SerializeToString())
    result = run("publish", str(model), "sum")
    assert (result.exit_code, result.stdout) == (0, "sum:1\n")
    assert read_json(run("publish", str(model), "sum", "--json"))["version"] == 2
    assert run("promote", "sum:1").exit_code == 0
    answer = read_json(run("predict", "sum", "-", "--json", input='{"instances": [[1, 2]]}'))
    assert answer == {"predictions": [6.0], "model_version": "1"}


def test_a_graph_that_takes_single_numbers_is_published_and_served(run: Run, tmp_path: Path) -> None:
    (tmp_path / "clip.onnx").write_bytes(tiny.clip().SerializeToString())
    assert run("publish", "clip.onnx", "clip").exit_code == 0
    assert run("promote", "clip:1").exit_code == 0

    answer = read_json(
        run("predict", "clip", "-", "--json", input='{"inputs": {"x": [[1, 5], [-3, 0.5]], "low": -1, "high": 2}}')
    )

    assert answer["outputs"] == [[1.0, 2.0], [-1.0, 0.5]]
    assert read_json(run("show", "clip", "--json"))["golden"]["cases"] == 4


def test_what_to_mind_of_a_version_is_said_when_it_is_published_and_shown(run: Run, tmp_path: Path) -> None:
    model = tiny.embedder(vocabulary=0)
    (tmp_path / "ids.onnx").write_bytes(model.SerializeToString())

    refused = run("publish", "ids.onnx", "ids")
    forced = run("publish", "ids.onnx", "ids", "--force")

    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "error: 'ids.onnx' runs on none of the inputs that were tried" in refused.stderr
    assert (forced.exit_code, forced.stdout) == (0, "ids:1\n")
    warning = "it has no golden cases, so that nothing checks it where it is loaded: the model fails on random inputs"
    assert f"warning: {warning}" in forced.stderr
    document = read_json(run("publish", "ids.onnx", "ids", "--force", "--json"))
    assert document["notes"][0].startswith(warning)
    assert document["golden"] is None
    assert read_json(run("show", "ids:1", "--json"))["notes"] == document["notes"]
    shown = run("show", "ids:1").stdout
    assert "golden cases  none\n" in shown
    assert f"note          {warning}" in shown


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
    assert read_json(run("delete", "diagnosis:1", "--force", "--json")) == {"deleted": "diagnosis:1"}
    assert run("show", diagnosis).exit_code == 1
    assert run("delete", diagnosis).exit_code == 2


def test_gc_removes_what_an_unfinished_publish_left(run: Run, registry: Registry) -> None:
    registry.store.put("models/m/1/claim.json", b"{}")
    registry.store.put("models/m/1/model.onnx", b"half")
    assert read_json(run("gc", "--json"))["removed"] == []
    dry = run("gc", "--older-than", "0s", "--dry-run")
    assert dry.stdout == "models/m/1/model.onnx\n"
    assert "would remove 1" in dry.stderr
    assert read_json(run("gc", "--older-than", "0s", "--json")) == {
        "removed": ["models/m/1/model.onnx"],
        "dry_run": False,
    }
    assert run("gc", "--older-than", "yesterday").exit_code == 2
