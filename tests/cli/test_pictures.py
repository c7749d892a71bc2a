"""Pictures on the command line, here and over HTTP."""

from __future__ import annotations

from pathlib import Path

from command_line import Run, read_json, serving
from doors import Shop
from onnxlet.store import open_store
from pictures import BRIGHT, publish_films


def test_predict_takes_a_picture_and_show_says_what_becomes_of_it(run: Run, directory_url: str, tmp_path: Path) -> None:
    publish_films(Shop(open_store(directory_url), tmp_path / "shop"))
    (tmp_path / "film.jpg").write_bytes(BRIGHT)

    assert read_json(run("predict", "films", "film.jpg", "--json"))["predictions"][0]["label"] == "bright"
    with serving(directory_url, tmp_path) as url:
        answer = read_json(run("predict", "films", "film.jpg", "--json", "--url", url))
    assert answer["predictions"][0]["label"] == "bright"
    shown = " ".join(run("show", "films:1").stdout.replace("│", " ").split())
    assert "pictures in RGB → short side 10 (bilinear) → the centre 8 x 8 → scaled → pixels NCHW" in shown


def test_explain_takes_a_picture_and_draws_its_heatmap(run: Run, directory_url: str, tmp_path: Path) -> None:
    publish_films(Shop(open_store(directory_url), tmp_path / "shop"))
    (tmp_path / "film.jpg").write_bytes(BRIGHT)

    answer = read_json(run("explain", "films", "film.jpg", "--class", "bright", "--plot", "heat.png", "--json"))
    assert answer["explained"]["method"] == "rise"
    assert len(answer["explanations"][0]["attributions"]["bright"]) == 64
    assert (tmp_path / "heat.png").read_bytes().startswith(b"\x89PNG")
    shown = run("explain", "films", "film.jpg")
    assert shown.exit_code == 0, shown.stderr
    refused = run("explain", "films", "film.jpg", "--plot", "heat.svg")
    assert "a heatmap is drawn as .png" in refused.stderr
