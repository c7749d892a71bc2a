"""The rows that judge an optimized graph have chosen nothing: neither the graph, nor ranges, nor by their batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nets
from drafts import hold_to_own_answers
from onnxlet.errors import InvalidInputError
from onnxlet.steps import Steps, decode_steps
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.optimize import optimize
from onnxlet.toolchain.optimize.calibration import choose_sample
from onnxlet.toolchain.optimize.candidates import Bench, Judge
from onnxlet.toolchain.optimize.evaluation_rows import EvaluationRows
from onnxlet.toolchain.optimize.families import SourceGraph, make_families
from onnxlet.toolchain.optimize.graph import simplify, survey
from onnxlet.toolchain.optimize.ladder import Ladders
from onnxlet.toolchain.optimize.selection import Selection
from onnxlet.toolchain.optimize.split import RowSplit, cut
from onnxlet.toolchain.verify import verify
from onnxlet.toolchain.workbench.directory import read_draft
from onnxlet.toolchain.workbench.reference import SOURCE, read_reference
from onnxlet.values.contract import Bounds
from onnxlet.values.manifest import decode_draft
from onnxlet.values.optimization import Split
from onnxlet.values.tensors import Tensor

pytest.importorskip("sklearn")
pytestmark = pytest.mark.toolchain

Figures = list[tuple[str, str, float, dict[str, float]]]


@dataclass(frozen=True)
class Scene:
    """A net, rows with the answers that count, and how they are split."""

    graph: Path
    steps: Steps
    rows: EvaluationRows
    split: RowSplit

    def climb(self, rows: EvaluationRows, fold: int, folder: Path) -> tuple[Figures, str | None]:
        """What each candidate gives where this fold judges, and the name of the one that is chosen."""
        folder.mkdir()
        bench = Bench(self.graph, self.steps, rows, self.split.parts, folder)
        model = simplify(self.graph, folder / "simple.onnx")
        source = SourceGraph(folder / "simple.onnx", model, survey(model))
        sample = choose_sample(rows.take(self.split.parts[0]))
        families = [replace(family, variants=family.variants[:1]) for family in make_families(source, sample, "x86-64")]
        selection = Selection("size", self.graph.stat().st_size, timed=False)
        judge = Judge(bench, self.split.folds[fold].choosing)
        candidates, chosen = Ladders(families, selection, folder, search=False, progress=print).climb(judge)
        figures = [
            (each.name, each.broken, each.judgement.distance, each.judgement.metrics)
            for each in candidates
            if each.judgement is not None
        ]
        return figures, None if chosen is None else chosen.name


def scene(folder: Path, count: int, groups: Tensor | None = None) -> Scene:
    """So many rows of a small classifier, split by seed 1; the truth is what it says itself but for some rows."""
    (folder / "net.onnx").write_bytes(nets.directional().SerializeToString())
    inputs = nets.rows(count)
    np.savez(folder / "rows.npz", allow_pickle=False, x=inputs)
    draft = convert(folder / "net.onnx", folder / "net", data=folder / "rows.npz", labels=("no", "yes"))
    kept = read_reference(folder / "net")
    assert kept is not None
    source = kept.stages[SOURCE]
    truth = np.where(np.random.default_rng(0).random(count) < 0.1, 1 - source["label"], source["label"])
    rows = EvaluationRows({"x": inputs}, count, truth, "given", source, groups=groups)
    return Scene(folder / "net/model.onnx", decode_steps(draft.steps), rows, cut(rows, seed=1))


def altered(rows: EvaluationRows, at: Tensor) -> EvaluationRows:
    """The rows with those at `at` made into something else altogether: inputs, answers, truth."""

    def spoil(tensor: Tensor) -> Tensor:
        spoiled = tensor.copy()
        spoiled[at] = 1 - tensor[at] if tensor.dtype.kind == "i" else -1000 * tensor[at]
        return spoiled

    assert rows.source is not None
    assert rows.truth is not None
    return replace(
        rows,
        inputs={name: spoil(tensor) for name, tensor in rows.inputs.items()},
        source={name: spoil(tensor) for name, tensor in rows.source.items()},
        truth=spoil(rows.truth),
    )


@pytest.mark.long
@pytest.mark.parametrize("count", [420, 120])
def test_rows_that_judge_change_nothing_of_what_is_chosen(tmp_path: Path, count: int) -> None:
    made = scene(tmp_path, count)
    assert len(made.split.folds) == (1 if count >= 400 else 5)

    for number, fold in list(enumerate(made.split.folds))[::3]:
        before = made.climb(made.rows, number, tmp_path / f"before {number}")
        after = made.climb(altered(made.rows, fold.judging), number, tmp_path / f"after {number}")
        assert before == after
        assert before[1] is not None

    # and the witness can see: a row that chooses does change what is found
    other = made.split.parts[made.split.folds[0].choosing[-1]][:1]
    assert made.climb(altered(made.rows, other), 0, tmp_path / "other") != made.climb(made.rows, 0, tmp_path / "same")


def test_of_few_rows_each_judges_once_but_those_that_ranges_are_calibrated_on(tmp_path: Path) -> None:
    split = scene(tmp_path, 120).split

    calibrating, *folds = split.parts
    assert len(calibrating) >= 32
    assert sorted(np.concatenate([calibrating, *folds]).tolist()) == list(range(120))
    for part, fold in enumerate(split.folds, start=1):
        assert np.array_equal(fold.judging, split.parts[part])
        assert part not in fold.choosing
        assert 0 in fold.choosing
        assert not {*fold.judging.tolist()} & {row for each in fold.choosing for row in split.parts[each].tolist()}


@pytest.mark.parametrize("count", [420, 120])
def test_a_patients_rows_never_choose_and_judge(tmp_path: Path, count: int) -> None:
    patients = np.random.default_rng(2).integers(0, 40, count)
    split = scene(tmp_path, count, patients).split

    for fold in split.folds:
        choosing = np.concatenate([split.parts[part] for part in fold.choosing])
        assert not set(patients[choosing]) & set(patients[fold.judging])
        assert len(fold.judging)


def shipped_net(folder: Path, count: int, **more: Any) -> tuple[Path, Path]:  # noqa: ANN401
    """A converted net that is worth quantizing, and its data with whose rows they are."""
    (folder / "net.onnx").write_bytes(nets.dense().SerializeToString())
    patient = np.array([f"p{row % 50}" for row in range(count)])
    np.savez(folder / "rows.npz", allow_pickle=False, x=nets.rows(count), patient=patient)
    convert(folder / "net.onnx", folder / "out", data=folder / "rows.npz", **more)
    hold_to_own_answers(folder / "out")
    return folder / "out", folder / "rows.npz"


def split_of(directory: Path) -> Split:
    """How the rows were split, as the draft says it."""
    done = read_draft(directory)[0].optimization
    assert done is not None
    assert done.split is not None, done.reason
    return done.split


def judging(directory: Path) -> list[int]:
    """The positions of the rows that judge."""
    with np.load(directory / "judging.npz") as file:
        rows: list[int] = file["rows"].tolist()
    return rows


QUICK: dict[str, Any] = {"method": "fp16-weights", "objective": "size"}


def test_half_of_many_rows_judge_the_graph_that_the_others_chose(tmp_path: Path) -> None:
    directory, data = shipped_net(tmp_path, 420)

    draft = optimize(directory, data=data, seed=5, group="patient", **QUICK)
    contract = verify(directory, data=data)

    split = split_of(directory)
    assert (split.seed, split.group, split.splits) == (5, "patient", 1)
    assert split.choosing + split.judging == 420
    assert contract.rows == split.judging == len(judging(directory))
    assert contract.notes[0] == f"the graph was chosen on {split.choosing} other rows of the data (seed 5)"
    others = set(range(420)) - set(judging(directory))
    assert not {row % 50 for row in others} & {row % 50 for row in judging(directory)}
    assert {each.rows for each in draft.evaluations if each.stage == "optimized"} == {split.judging}
    page = (directory / "report.html").read_text()
    assert "Choosing and judging rows" in page
    assert f'<td class="n">{split.choosing}</td><td class="n">{split.judging}</td>' in page
    assert "drawn with seed 5" in page
    assert "a value of patient are on one side" in page


def test_few_rows_judge_in_turn(tmp_path: Path) -> None:
    directory, data = shipped_net(tmp_path, 100)

    optimize(directory, data=data, **QUICK)
    contract = verify(directory, data=data)

    split = split_of(directory)
    assert (split.splits, split.agreeing, split.seed) == (5, 5, 0)
    assert contract.rows == split.judging == len(judging(directory)) <= 100 - 32
    assert "each row judges what the others chose: 5 of 5 splits" in contract.notes[0]
    assert "5 of 5 splits chose it" in (directory / "report.html").read_text()


def test_where_nothing_is_chosen_all_rows_judge(tmp_path: Path) -> None:
    directory, data = shipped_net(tmp_path, 100)

    draft = optimize(directory, data=data, method="dynamic-int8", bounds=Bounds(distance=0.0))

    assert draft.optimization is not None
    assert draft.optimization.method == "none"
    assert draft.optimization.split is None
    assert verify(directory, data=data).rows == 100
    assert not (directory / "judging.npz").exists()


def test_rows_of_ones_own_judge_and_then_all_of_the_data_choose(tmp_path: Path) -> None:
    own = nets.rows(60, seed=77)
    np.savez(tmp_path / "own.npz", allow_pickle=False, x=own, patient=np.array(["new"] * 60))
    directory, data = shipped_net(tmp_path, 100, judge=tmp_path / "own.npz")

    optimize(directory, data=data, judge=tmp_path / "own.npz", group="patient", **QUICK)
    contract = verify(directory, judge=tmp_path / "own.npz")

    split = split_of(directory)
    assert (split.choosing, split.splits) == (100, 1)
    assert split.judge_digest == contract.data_digest
    assert contract.rows == 60
    assert contract.notes[0] == "the graph was chosen on 100 other rows, all of the data"
    assert "rows of another file judge it" in (directory / "report.html").read_text()
    with pytest.raises(InvalidInputError, match=r"all rows of 'rows.npz' chose the graph: judge it on .* --judge"):
        verify(directory, data=data)


def test_rows_of_ones_own_judge_with_their_target_beside_them(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(nets.directional().SerializeToString())
    data, own = nets.rows(100), nets.rows(60, seed=77)
    target, beside = (np.arange(len(rows)) % 2 for rows in (data, own))
    directory = tmp_path / "net"
    convert(tmp_path / "net.onnx", directory, data=data, target=target, judge=(own, beside), labels=("no", "yes"))
    hold_to_own_answers(directory)

    optimize(directory, data=data, target=target, judge=(own, beside), **QUICK)

    assert verify(directory, judge=(own, beside)).rows == 60
    assert split_of(directory).choosing == 100


def test_rows_that_cannot_judge_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", allow_pickle=False, x=nets.rows(6, seed=7), patient=np.array(["p1"] * 6))
    np.savez(tmp_path / "else.npz", allow_pickle=False, x=nets.rows(6, seed=8), patient=np.array(["new"] * 6))
    directory, data = shipped_net(tmp_path, 100, judge=tmp_path / "own.npz")

    with pytest.raises(InvalidInputError, match="1 value of 'patient' stand in --data and in --judge"):
        optimize(directory, data=data, judge=tmp_path / "own.npz", group="patient", **QUICK)
    with pytest.raises(InvalidInputError, match="the same rows"):
        optimize(directory, data=data, judge=data, **QUICK)
    with pytest.raises(InvalidInputError, match=r"'else.npz' is not known: convert it with this --judge"):
        optimize(directory, data=data, judge=tmp_path / "else.npz", **QUICK)
    with pytest.raises(InvalidInputError, match="need --data, rows that choose"):
        optimize(directory, judge=tmp_path / "own.npz", **QUICK)
    with pytest.raises(InvalidInputError, match="the same rows"):
        convert(tmp_path / "net.onnx", tmp_path / "again", data=data, judge=data)
    with pytest.raises(InvalidInputError, match="need --data, rows that choose"):
        convert(tmp_path / "net.onnx", tmp_path / "again", judge=data)
    with pytest.raises(InvalidInputError, match="what is expected of --judge is not known"):
        convert(tmp_path / "net.onnx", tmp_path / "again", data=data, judge=tmp_path / "own.npz", expected=data)


def test_too_few_rows_or_groups_to_split_are_refused(tmp_path: Path) -> None:
    directory, data = shipped_net(tmp_path, 100)
    np.savez(tmp_path / "few.npz", allow_pickle=False, x=nets.rows(8))

    with pytest.raises(InvalidInputError, match="8 rows cannot both choose a graph and judge it, 10 are needed"):
        optimize(directory, data=tmp_path / "few.npz", **QUICK)
    with pytest.raises(InvalidInputError, match="3 groups of rows cannot both choose a graph and judge it, 6"):
        optimize(directory, data=data, group=np.arange(100) % 3, **QUICK)
    with pytest.raises(InvalidInputError, match=r"the shape \[7\], one for each of 100 rows"):
        optimize(directory, data=data, group=np.arange(7), **QUICK)
    with pytest.raises(InvalidInputError, match="a group is a column of --data: give that too"):
        optimize(directory, group="patient", **QUICK)


def test_which_rows_chose_must_be_known(tmp_path: Path) -> None:
    directory, data = shipped_net(tmp_path, 100)
    optimize(directory, data=data, **QUICK)

    (directory / "judging.npz").write_bytes(b"nonsense")
    with pytest.raises(InvalidInputError, match="which rows chose the graph is not known"):
        verify(directory, data=data)
    np.savez(directory / "judging.npz", allow_pickle=False, data_digest=np.array("sha256:0"), rows=np.arange(3))
    with pytest.raises(InvalidInputError, match="it belongs to other data"):
        verify(directory, data=data)
    (directory / "judging.npz").unlink()
    with pytest.raises(InvalidInputError, match="missing or damaged"):
        verify(directory, data=data)


def test_a_draft_that_was_optimized_before_rows_were_split_is_read_and_judged_on_all(tmp_path: Path) -> None:
    import msgspec

    directory, data = shipped_net(tmp_path, 100)
    optimize(directory, data=data, **QUICK)
    document = msgspec.json.decode((directory / "draft.json").read_bytes())
    del document["optimization"]["split"]
    (directory / "draft.json").write_bytes(msgspec.json.encode(document))

    read = decode_draft((directory / "draft.json").read_bytes()).optimization
    assert read is not None
    assert read.split is None
    assert verify(directory, data=data).rows == 100
