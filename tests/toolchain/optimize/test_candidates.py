"""The ladder judges as verify will: by the same slices, and by what the model itself answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nets
from drafts import hold_to_own_answers
from onnxlet.errors import InvalidInputError
from onnxlet.serving.engine import load_engine
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.optimize import optimize
from onnxlet.toolchain.verify import verify
from onnxlet.toolchain.workbench.directory import source_digest
from onnxlet.toolchain.workbench.evaluation import PREDICTION
from onnxlet.toolchain.workbench.reference import ONNX, SOURCE, Reference, write_reference
from onnxlet.values.contract import Bounds
from onnxlet.values.manifest import Draft
from onnxlet.values.optimization import Optimization

pytest.importorskip("sklearn")
pytestmark = pytest.mark.toolchain

FAINT = 12
"""Rows of the smaller group."""
WIDE = Bounds(distance=1.0, metric_loss=0.02, label_change=0.02)
"""For distances and labels of a few rows are what the slices are to find."""


def done(draft: Draft) -> Optimization:
    """What was done, which there must be."""
    assert draft.optimization is not None
    return draft.optimization


@pytest.fixture(scope="module")
def faint(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A converted classifier, and 1500 rows that it is sure of, twelve of which are a thousand times smaller."""
    folder = tmp_path_factory.mktemp("faint")
    (folder / "net.onnx").write_bytes(nets.directional().SerializeToString())
    engine = load_engine(folder / "net.onnx", threads=1, optimized=False, run_deadline=60)
    drawn = nets.rows(6000)
    scores = engine.run({"x": drawn})["y"]
    ranked = np.argsort(scores[:, 1] - scores[:, 0])
    sure = np.sort(np.concatenate([ranked[:750], ranked[-750:]]))
    inputs, truth = drawn[sure], np.argmax(scores[sure], axis=1)
    small = np.flatnonzero(truth == 1)[:FAINT]
    inputs[small] /= 1000
    site = np.where(np.isin(np.arange(len(inputs)), small), "faint", "loud")
    data = folder / "rows.npz"
    np.savez(data, allow_pickle=False, x=inputs, truth=truth, site=site)
    convert(folder / "net.onnx", folder / "net", data=data, target="truth", labels=("no", "yes"))
    hold_to_own_answers(folder / "net")
    return folder / "net", data


@pytest.mark.long
def test_a_rung_that_loses_a_slice_alone_is_refused_where_that_slice_is_looked_at(
    faint: tuple[Path, Path], tmp_path: Path
) -> None:
    directory, data = faint
    given: dict[str, Any] = {"data": data, "target": "truth", "bounds": WIDE}

    blind = optimize(directory, tmp_path / "blind", method="dynamic-int8", objective="size", **given)
    assert done(blind).method == "dynamic-int8", done(blind).reason
    assert "site = faint" in verify(tmp_path / "blind", slices=["site"], **given).breaches

    seeing = optimize(directory, tmp_path / "seeing", objective="size", slices=["site"], **given)
    assert done(seeing).method == "weight-only", done(seeing).reason
    refused = {rung.method for rung in done(seeing).rungs if "slice loss of site = faint" in rung.reason}
    assert refused == {"dynamic-int8", "static-int8"}
    assert verify(tmp_path / "seeing", slices=["site"], **given).holds


def test_rungs_are_judged_by_what_the_model_itself_answered(tmp_path: Path) -> None:
    directory, data = nets.converted(tmp_path, nets.dense(), x=nets.rows())
    given: dict[str, Any] = {
        "data": data,
        "method": "weight-only",
        "objective": "size",
        "bounds": Bounds(distance=0.01),
    }
    near = done(optimize(directory, tmp_path / "near", **given))
    assert near.method == "weight-only"
    assert "answers stay within bounds of the float graph's on " in near.reason
    hold_to_own_answers(directory)
    engine = load_engine(directory / "model.onnx", threads=1, optimized=False, run_deadline=60)
    graph = {PREDICTION: engine.run({"x": nets.rows()})["y"]}
    model = {PREDICTION: graph[PREDICTION] + 0.2 * nets.rows(64, 32, seed=1)}
    write_reference(directory, Reference(source_digest(data) or "", {SOURCE: model, ONNX: graph}))

    draft = optimize(directory, tmp_path / "far", **given)

    assert done(draft).method == "none"
    plain, *others = done(draft).rungs
    assert plain.outcome == "chosen"
    assert "nor does it itself: distance" in plain.reason
    assert {rung.outcome for rung in others} == {"refused"}
    assert all(rung.distance and rung.distance > 0.01 for rung in done(draft).rungs)


def test_a_slice_needs_data(tmp_path: Path) -> None:
    directory, data = nets.converted(tmp_path, nets.dense(), x=nets.rows())

    with pytest.raises(InvalidInputError, match="give that too"):
        optimize(directory, slices=["site"])
    with pytest.raises(InvalidInputError, match="no array 'site'"):
        optimize(directory, data=data, slices=["site"])
