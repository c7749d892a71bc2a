"""A version's pipeline is shown as boxes: what is sent, step by step, what is served."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
from click.testing import CliRunner

from models import tiny
from onnxlet.cli import cli
from onnxlet.lifecycle.boxes import WIDTH, Box, Boxes
from onnxlet.registry.registry import Registry
from onnxlet.steps import Steps, decode_steps
from onnxlet.steps.output import Band, Output
from onnxlet.steps.ranges import Range, Ranges
from onnxlet.store import open_store


def test_show_draws_the_pipeline_from_what_is_sent_to_what_is_served(directory_url: str, tmp_path: Path) -> None:
    draft, files = tiny.classifier_package(tmp_path / "model")
    tabular, classification = decode_steps(draft.steps).each
    ranges = Ranges((Range("radius", 0, 30, outside="flag", unit="mm"),), "input")
    output = Output(classes=("benign", "malignant"), abstain=(Band(0.4, 0.6, "borderline"),))
    steps = Steps((tabular, ranges, classification, output))
    draft = msgspec.structs.replace(draft, steps=steps.documents, signature=steps.served(draft.graph))
    tiny.publish(open_store(directory_url), "diagnosis", (draft, files))

    shown = CliRunner().invoke(cli, ["--store", directory_url, "show", "diagnosis"])

    assert shown.exit_code == 0, shown.output
    titles = [line.split()[1] for line in shown.output.splitlines() if line.startswith("┌")]
    assert titles == ["sent", "tabular", "ranges", "graph", "classification", "output", "served"]
    assert "radius from 0 to 30 mm, else flag" in shown.output
    assert "abstain 0.4 to 0.6 (borderline)" in shown.output
    assert len({len(line) for line in shown.output.splitlines() if line[:1] in "┌│└"} - {0}) == 1


def test_as_json_it_is_the_manifest_as_it_was_written(directory_url: str, tmp_path: Path) -> None:
    registry = Registry(open_store(directory_url), who="tests")
    tiny.publish(registry.store, "diagnosis", tiny.classifier_package(tmp_path / "model"))
    shown = CliRunner().invoke(cli, ["--store", directory_url, "show", "diagnosis", "--json"])
    assert json.loads(shown.output) == json.loads(registry.stored_manifest("diagnosis", 1))


def test_lines_are_wrapped_controls_shown_and_html_escaped() -> None:
    boxes = Boxes([Box("sent", ["<b> " + "word " * 40, "\x1b[31m"]), Box("served", [])])
    assert max(map(len, boxes.text().splitlines())) <= WIDTH + 4
    assert "\x1b" not in boxes.text()
    assert "<b>" not in boxes.html()
    assert Boxes([]).text() == Boxes([]).html() == ""
