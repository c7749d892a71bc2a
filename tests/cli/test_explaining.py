"""Explanations as a command and from Python: tables, JSON, waterfalls."""

from __future__ import annotations

import csv
import json
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

import onnxlet
from command_line import Run, read_json
from laboratory import Laboratory, background_of, perceptron, product
from onnxlet.errors import InvalidInputError
from onnxlet.explain.waterfall import Bar, Waterfall, draw_waterfall
from onnxlet.store import open_store

NAMES = ("age", "dose", "weight", "<height>")
CSV = "age,dose,weight,<height>\n0.5,-1,2,0.25\n3,3,3,3\n"


@pytest.fixture
def named(directory_url: str, tmp_path: Path) -> str:
    """`product` of four named columns, one of which is spelled like a tag."""
    rows = background_of(12, 4)
    background = {name: rows[:, place] for place, name in enumerate(NAMES)}
    product(Laboratory(open_store(directory_url), tmp_path), columns=NAMES, background=background)
    return "product"


def test_explain_prints_the_largest_attributions_first(run: Run, named: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(CSV)
    result = run("explain", named, "rows.csv")
    assert result.exit_code == 0, result.output
    assert "y in value, exact" in result.stdout
    assert "12 rows, synthetic" in result.stdout
    table = [line.split() for line in result.stdout.split("\n\n")[1].splitlines()]
    assert table[0] == ["ROW", "COLUMN", "VALUE", "Y"]
    sizes = [abs(float(line[3])) for line in table[5:]]
    assert sizes == sorted(sizes, reverse=True)
    assert {line[1] for line in table[1:5]} == set(NAMES)


def test_explain_takes_bodies_and_gives_what_http_gives(run: Run, named: str) -> None:
    body = json.dumps({"instances": [[0.5, -1, 2, 0.25], [3, 3, 3, 3]]})
    document = read_json(run("explain", named, "-", "--above", "100", "--json", input=body))
    assert document["explanations"][0] is None
    row, expected = document["explanations"][1], document["explained"]["expected"]["y"]
    assert expected + sum(row["attributions"]["y"].values()) == pytest.approx(256, abs=1e-3)
    assert document["model_version"] == "1"


def test_explain_says_what_is_wrong(run: Run, named: str) -> None:
    result = run("explain", named, "-", "--method", "gradients", input=CSV)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "gradients are not computed" in result.stderr
    result = run("explain", named, "-", "--above", "1000", input=CSV)
    assert result.stdout == "no row is above 1000\n"


def test_a_waterfall_is_drawn_with_everything_escaped(run: Run, named: str, tmp_path: Path) -> None:
    result = run("explain", named, "-", "--plot", "row.svg", input=CSV)
    assert "drawn into row.svg" in result.stderr
    root = ET.parse(tmp_path / "row.svg").getroot()  # noqa: S314 - our own
    texts = [element.text or "" for element in root.iter() if element.tag.endswith("text")]
    assert "<height> = 0.25" in texts
    assert any(text.startswith("answer 0 ") for text in texts)
    result = run("explain", named, "-", "--plot", "row.gif", input=CSV)
    assert result.exit_code == 1
    assert ".svg or .png" in result.stderr


def test_png_is_drawn_by_matplotlib_or_said_to_need_it(run: Run, named: str, tmp_path: Path) -> None:
    result = run("explain", named, "-", "--plot", "row.png", input=CSV)
    if find_spec("matplotlib") is None:
        assert result.exit_code == 1
        assert "pip install matplotlib, or draw .svg" in result.stderr
    else:
        assert (tmp_path / "row.png").read_bytes().startswith(b"\x89PNG")


def test_many_columns_share_the_last_bar(tmp_path: Path) -> None:
    bars = [Bar(f"column {place}", "", float(place)) for place in range(40)]
    drawn = draw_waterfall(Waterfall("many", "value", bars, 0.0, 780.0))
    assert "29 other columns" in drawn
    assert drawn.count("<rect") == 13
    flat = draw_waterfall(Waterfall("none", "value", [Bar("x", "1", 0.0)], 5.0, 5.0))
    ET.fromstring(flat)  # noqa: S314 - our own
    assert tmp_path


def test_a_loaded_version_explains_frames_and_draws_itself_in_notebooks(
    directory_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONNXLET_CACHE_DIR", str(tmp_path / "loaded"))
    perceptron(Laboratory(open_store(directory_url), tmp_path))
    rows = background_of(7, 30, seed=3)
    explained = onnxlet.load("perceptron", store=directory_url).explain(rows, classes=1, seed=2)
    assert explained.attributions.shape == (7, 30, 1)
    assert repr(explained) == "<7 explained rows of perceptron:1: sampled, p in value>"
    page = explained._repr_html_()
    assert page.count("<svg") == 5
    assert "100 pairs, seed 2" in page
    frame = explained.to_frame()
    assert list(frame.columns) == ["row", "column", "value", "p[1]", "±"]
    assert len(frame) == 210
    np.testing.assert_allclose(explained.attributions.sum(axis=1) + explained.expected, explained.predictions)
    with pytest.raises(InvalidInputError, match="no explained row 7"):
        explained.waterfall(7)
    with pytest.raises(InvalidInputError, match="'p' is not explained"):
        explained.waterfall(0, "p")
    with pytest.raises(InvalidInputError, match="interactions are not computed"):
        explained = onnxlet.load("perceptron", store=directory_url).explain(rows, interactions=True)


def test_scored_files_are_explained_where_an_option_says_so(run: Run, named: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(CSV)
    result = run("score", "rows.csv", "--model", named, "--explain", "-o", "scored.csv")
    assert (result.exit_code, result.stdout) == (0, "scored.csv\n")
    assert "explained: y in value, exact, 193 evaluations a row" in result.stderr
    with (tmp_path / "scored.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    answers = read_json(run("explain", named, "rows.csv", "--json"))["explanations"]
    for row, answer in zip(rows, answers, strict=True):
        for name, value in answer["attributions"]["y"].items():
            assert float(row[f"attribution_{name}"]) == pytest.approx(value, abs=1e-9)
    few = ("--explain-method", "sampled", "--explain-max-evaluations", "12")
    result = run("score", "rows.csv", "--model", named, *few, "-o", "scored.csv")
    assert "sampled, 13 evaluations a row, which are too few: unreliable" in result.stderr
    assert "interval_age" in (tmp_path / "scored.csv").read_text()
    result = run("score", "rows.csv", "--model", named, "--explain-class", "benign", "-o", "scored.csv")
    assert "there is no class 'benign'" in result.stderr


def test_a_summary_ranks_columns_by_the_mean_size_of_their_attributions(run: Run, named: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(CSV + "x,1,1,1\n")
    result = run("explain", named, "rows.csv", "--summary")
    assert result.exit_code == 0, result.output
    assert "2 of 3, 1 bad" in result.stdout
    lines = [line.split() for line in result.stdout.split("\n\n")[1].splitlines()]
    answers = read_json(run("explain", named, "-", "--json", input=CSV))["explanations"]
    sizes = {
        name: sum(abs(each["attributions"]["y"][name]) for each in answers) / 2
        for name in answers[0]["attributions"]["y"]
    }
    assert [name for name, _ in lines[1:]] == sorted(sizes, key=lambda name: -sizes[name])
    assert {name: float(mean) for name, mean in lines[1:]} == pytest.approx(sizes, rel=1e-3)
    found = read_json(run("explain", named, "rows.csv", "--summary", "--json"))
    assert found["importance"]["y"] == pytest.approx(sizes)
    assert (found["rows"]["errors"], found["averaged"], found["unreliable"]) == (1, 2, 0.0)
    streamed = run("explain", named, "-", "--summary", input=CSV)
    assert (streamed.exit_code, "--summary is of a file" in streamed.stderr) == (2, True)
    drawn = run("explain", named, "rows.csv", "--summary", "--plot", "summary.svg")
    assert (drawn.exit_code, "leave out --plot" in drawn.stderr) == (2, True)


def test_dependence_prints_the_mean_answer_value_by_value(run: Run, named: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(CSV)
    result = run("dependence", named, "rows.csv", "--column", "dose", "--column", "age")
    assert result.exit_code == 0, result.output
    facts, *tables = result.stdout.split("\n\n")
    assert "y in value" in facts
    assert [table.split()[0] for table in tables] == ["DOSE", "AGE"]
    # the product of one more than each column, of two rows
    lines = {float(value): float(mean) for value, mean in (line.split() for line in tables[0].splitlines()[1:])}
    assert lines == pytest.approx({-1.0: 0.0, 3.0: (1.5 * 4 * 3 * 1.25 + 4**4) / 2}, rel=1e-3)
    found = read_json(run("dependence", named, "rows.csv", "--grid", "2", "--json"))
    assert len(found["curves"]) == 3
    assert all(len(curve["grid"]) == len(curve["means"]["y"]) == 2 for curve in found["curves"])
    wrong = run("dependence", named, "rows.csv", "--column", "dosis")
    assert (wrong.exit_code, wrong.stdout) == (1, "")
    assert "no column 'dosis'" in wrong.stderr
