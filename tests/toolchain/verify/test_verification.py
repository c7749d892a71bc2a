"""Comparing answers, and verifying converted models: what is known of the evaluation data, and what is written."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx
import pytest

import trained
from onnxlet.errors import InvalidInputError, RejectedModelError
from onnxlet.registry.registry import Registry
from onnxlet.serving.artifact_cache import ArtifactCache
from onnxlet.store import open_store
from onnxlet.toolchain.prepare import prepare
from onnxlet.toolchain.verify import verify
from onnxlet.toolchain.workbench.directory import read_draft
from onnxlet.values.contract import Bounds


@dataclass(frozen=True)
class Converted:
    """A converted model with the data that it was converted with."""

    directory: Path
    data: Path
    features: npt.NDArray[Any]
    target: npt.NDArray[Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """A logistic regression of three classes."""
    pytest.importorskip("sklearn")
    from sklearn.linear_model import LogisticRegression

    from onnxlet.toolchain.convert import convert

    folder = tmp_path_factory.mktemp("made")
    features, target = trained.blobs()
    model = trained.saved(trained.fitted(LogisticRegression(), features, target), folder)
    data = trained.csv_of(folder / "data.csv", features, target)
    convert(model, folder / "out", data=data, target="target", labels=["a", "b", "c"], trust=True)
    return Converted(folder / "out", data, features, target)


@pytest.fixture
def converted(made: Converted, tmp_path: Path) -> Converted:
    """A copy of it, to write to."""
    shutil.copytree(made.directory, tmp_path / "out")
    return replace(made, directory=tmp_path / "out")


@pytest.mark.toolchain
def test_a_conversion_is_verified_and_its_draft_carries_the_contract(converted: Converted, tmp_path: Path) -> None:
    said: list[str] = []

    contract = verify(
        converted.directory,
        data=converted.data,
        target="target",
        slices=["feature 1"],
        report=tmp_path / "copy.html",
        on_progress=said.append,
    )

    assert contract.holds
    assert [stage.stage for stage in contract.stages] == ["source", "onnx"]
    assert contract.worst_slice is not None
    assert len(contract.slices) == 4
    draft, _ = read_draft(converted.directory)
    assert draft.contract == contract
    assert draft.report == "report.html"
    assert (tmp_path / "copy.html").read_text() == (converted.directory / "report.html").read_text()
    assert said[-2:] == ["judging the answers", "explaining some of the answers"]
    assert not list(converted.directory.glob(".*"))


@pytest.mark.toolchain
def test_a_report_that_a_full_disk_does_not_take_leaves_nothing(converted: Converted) -> None:
    before = sorted(converted.directory.iterdir())
    program = f"""
import resource
from pathlib import Path
from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.verify import verify

resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    verify(Path({str(converted.directory)!r}), data=Path({str(converted.data)!r}), target="target")
except InvalidInputError as error:
    print(error.detail)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "report.html': File too large" in done.stdout
    assert sorted(converted.directory.iterdir()) == before


@pytest.mark.toolchain
def test_a_verified_version_publishes_its_report_but_not_its_reference(converted: Converted, tmp_path: Path) -> None:
    verify(converted.directory, data=converted.data, target="target")

    draft, files = prepare(converted.directory, tmp_path / "work")

    assert "report.html" in files
    assert "reference.npz" not in files
    assert draft.contract is not None
    store = open_store((tmp_path / "store").as_uri())
    manifest = Registry(store).publish("m", draft, files)
    folder = Path(ArtifactCache(store, tmp_path / "cache").fetch(manifest, "sha256:00"))
    assert {file.name for file in folder.iterdir()} == {"model.onnx", "golden.json"}


@pytest.mark.toolchain
def test_a_graph_that_was_changed_since_is_not_published(converted: Converted, tmp_path: Path) -> None:
    verify(converted.directory, data=converted.data, target="target")
    graph = onnx.load(converted.directory / "model.onnx")
    graph.doc_string = "another one"
    onnx.save(graph, converted.directory / "model.onnx")

    with pytest.raises(RejectedModelError, match="verify it again"):
        prepare(converted.directory, tmp_path / "work")


@pytest.mark.toolchain
def test_strict_bounds_fail_and_the_failure_is_written_too(converted: Converted) -> None:
    contract = verify(converted.directory, data=converted.data, bounds=Bounds(distance=0.0, mean_distance=0.0))

    assert not contract.holds
    draft, _ = read_draft(converted.directory)
    assert draft.contract == contract
    assert "does not hold" in (converted.directory / "report.html").read_text()


@pytest.mark.toolchain
def test_other_data_than_at_conversion_is_refused(converted: Converted, tmp_path: Path) -> None:
    other = trained.csv_of(tmp_path / "other.csv", converted.features + 1, converted.target)

    with pytest.raises(InvalidInputError, match=r"what the model itself answers to 'other.csv' is not known"):
        verify(converted.directory, data=other, target="target")


@pytest.mark.toolchain
@pytest.mark.parametrize(
    ("names", "row", "said"),
    [
        (["feature 0", "target"], ["1", "a"], "lacks the columns 'feature 1', 'feature 2', 'feature 3'"),
        ([*trained.feature_names(), "target"], ["1", "1", "1", "1", ""], "the target 'target' is empty in 1 of 1 rows"),
        ([*trained.feature_names(), "target"], ["1", "1", "1", "1", "d"], "the model knows the classes"),
        ([*trained.feature_names(), "y"], ["1", "1", "1", "1", "a"], "has no column 'target'"),
        ([*trained.feature_names(), "target"], ["1", "x", "1", "1", "a"], "holds a text, which is no number"),
    ],
)
def test_data_that_does_not_fit_is_refused_by_what_is_wrong(
    converted: Converted, tmp_path: Path, names: list[str], row: list[str], said: str
) -> None:
    data = trained.write_csv(tmp_path / "data.csv", names, [row])

    with pytest.raises(InvalidInputError, match=said):
        verify(converted.directory, data=data, target="target")


@pytest.mark.toolchain
def test_a_slice_by_a_column_that_is_not_there_is_refused(converted: Converted) -> None:
    with pytest.raises(InvalidInputError, match="no column 'sex'"):
        verify(converted.directory, data=converted.data, slices=["sex"])


def test_a_directory_that_was_never_converted_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no converted model"):
        verify(tmp_path, data=tmp_path / "data.csv")
