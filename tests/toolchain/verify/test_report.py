"""The report: one page that needs nothing else, escapes what it is given and holds no row."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import numpy as np
import pytest

from onnxlet.toolchain.verify.contract import judge
from onnxlet.toolchain.verify.plots import decades, make_plots
from onnxlet.toolchain.verify.report import Subject, render_report
from onnxlet.toolchain.workbench.slices import make_slicing
from onnxlet.toolchain.workbench.task import ClassificationTarget, Task
from onnxlet.values.contract import Bounds
from onnxlet.values.manifest import Golden, Provenance
from onnxlet.values.optimization import Calibration, Optimization, Rung
from onnxlet.values.tensors import Tensors
from registries import DRAFT

EVIL = "<script>alert('x')</script>&\"'"
OPEN = {"meta", "br", "hr"}
SUBJECT = Subject(f"diagnosis {EVIL}", "2026-11-29T03:04:05.000Z", (f"stage {EVIL}", "grade"))


class Balanced(HTMLParser):
    """Whether every element that begins ends, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:  # noqa: ANN401, ARG002
        self.seen.append(tag)
        if tag not in OPEN:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:  # noqa: ANN401, ARG002
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag


def answers(seed: int, noise: float) -> Tensors:
    """A binary classifier's answers."""
    random = np.random.default_rng(0)
    second = np.clip(random.random(120) + noise * np.random.default_rng(seed).normal(size=120), 0, 1)
    labels = np.array(["benign", EVIL], dtype=object)
    return {"label": labels[(second > 0.5).astype(int)], "probabilities": np.stack([1 - second, second], axis=1)}


@pytest.fixture(scope="module")
def page() -> str:
    """The report of a classifier with texts that would like to be code."""
    reference, onnx, candidate = answers(0, 0), answers(1, 1e-6), answers(2, 0.01)
    truth = reference["label"]
    task = Task("classification", (ClassificationTarget(("benign", EVIL), ("benign", EVIL)),))
    slicings = [make_slicing(f"sex {EVIL}", [EVIL, "M"] * 60, None)]
    contract = judge(
        reference, candidate, truth, task, Bounds(mean_distance=0.0), between={"onnx": onnx}, slicings=slicings
    )
    draft = msgspec.structs.replace(
        DRAFT,
        provenance=Provenance(f"framework {EVIL}", {"ai.onnx": 21}, {"package": EVIL}),
        optimization=Optimization(
            "dynamic-int8",
            EVIL,
            100_000,
            50_000,
            calibration=Calibration("min-max", 64, "sha256:11"),
            kept=(f"node {EVIL}",),
            rungs=(
                Rung("float", "none", "passed", "another is better", 100_000, 2e-3, 3e-2, {"accuracy": 0.5}, 0.0),
                Rung(f"small {EVIL}", "dynamic-int8", "chosen", EVIL, 50_000, 1e-3, 2e-2, {"accuracy": 0.25}, 0.125),
                Rung("static-int8", "static-int8", "skipped", "too few rows"),
            ),
        ),
        golden=Golden("golden.json", "synthetic", 4),
    )
    stages = {"source": reference, "onnx": onnx, "optimized": candidate}
    return render_report(SUBJECT, draft, contract, make_plots(task, stages, truth))


def test_it_is_whole_html_with_a_language_and_a_heading(page: str) -> None:
    parser = Balanced()
    parser.feed(page)

    assert parser.stack == []
    assert page.startswith('<!doctype html><html lang="en">')
    assert parser.seen.count("h1") == 1
    assert {"svg", "table", "figure"} <= set(parser.seen)


def test_its_head_says_of_what_it_is_when_it_was_judged_and_on_what(page: str) -> None:
    head = page.partition("<h2>")[0]

    assert "<h1>Accuracy report: diagnosis &lt;script&gt;" in head
    assert "2026-11-29T03:04:05.000Z" in head
    assert re.search(r"target.*stage .*, grade", head)
    assert re.search(r"evaluation data.*120 rows", head)


def test_it_escapes_all_that_it_is_given(page: str) -> None:
    assert "<script" not in page
    assert "alert(" in page


def test_it_needs_nothing_and_may_load_nothing(page: str) -> None:
    assert "default-src 'none'" in page
    assert not re.search(r"\b(src|href)=|url\(|@import", page)
    assert len(page) < 60_000


def test_its_charts_are_named_for_those_who_cannot_see_them(page: str) -> None:
    charts = re.findall(r"<svg.*?</svg>", page, re.DOTALL)

    assert len(charts) == 6
    for chart in charts:
        root = ET.fromstring(chart)  # noqa: S314 - our own page
        assert root.get("role") == "img"
        assert [child.tag for child in root][:2] == ["title", "desc"]
        assert root[1].text


def test_it_says_the_verdict_in_words_and_in_light_and_dark(page: str) -> None:
    assert "does not hold" in page
    assert "prefers-color-scheme:dark" in page
    assert "Worst slice" in page


def test_it_shows_what_each_slice_lost(page: str) -> None:
    (section,) = re.findall(r"<h2>Slices</h2>.*?</table>", page, re.DOTALL)

    assert ": accuracy 1 on 60 rows, 1 before, loss 0</strong>" in section
    assert section.count("<tr>") == 3
    assert "loss</th>" in section


def test_it_shows_what_each_rung_gave_and_why(page: str) -> None:
    (section,) = re.findall(r"<h2>Optimization</h2>.*?</table>", page, re.DOTALL)
    _, float_, small, skipped = re.findall(r"<tr>(.*?)</tr>", section)

    assert re.findall(r">([^<>]+)</td>", float_) == ["float", "100.0", "2.000", "30.000", "0.5", "0"]
    assert "passed<br><small>another is better</small>" in float_
    assert ">50.0<" in small
    assert "<strong>chosen</strong>" in small
    assert re.findall(r">([^<>]+)<", skipped) == ["static-int8", "skipped", "too few rows"]
    assert "min-max on 64 rows" in page
    assert "4, synthetic; answers may be 0.0001 + 0.001 of their size apart" in page


def test_it_holds_no_row(page: str) -> None:
    values = np.random.default_rng(0).random(120)
    assert not [value for value in values if f"{value:.6f}"[:8] in page]


def test_distances_are_counted_by_decade() -> None:
    reference = {"prediction": np.arange(10.0)}
    moved = {"prediction": np.arange(10.0) + np.std(np.arange(10.0)) * 0.005}

    plots = make_plots(Task("regression"), {"source": reference, "onnx": moved}, None)

    assert dict(zip(decades(), plots.distances["onnx"], strict=True))["≤ 1e-2"] == 10
    assert plots.calibration == {}


def test_a_report_without_a_truth_has_no_metrics() -> None:
    predictions = {"prediction": np.arange(30.0)}
    task = Task("regression")
    contract = judge(predictions, predictions, None, task)

    page = render_report(SUBJECT, DRAFT, contract, make_plots(task, {"source": predictions, "onnx": predictions}, None))

    assert "<h2>Estimates</h2>" not in page
    assert "<h2>Optimization</h2>" not in page
    assert "no target was given" in page
    assert "holds" in page
