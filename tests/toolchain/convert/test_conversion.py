"""Converting scikit-learn estimators: the same answers, the right names, and what is said where it cannot be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import trained

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from sklearn.cluster import DBSCAN
from sklearn.ensemble import (
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from drafts import classification_of, tabular_of
from onnxlet.errors import ConversionError, InvalidInputError, MissingExtraError
from onnxlet.serving.engine import load_engine
from onnxlet.serving.golden import check
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.verify import verify
from onnxlet.toolchain.workbench.directory import read_draft
from onnxlet.values.manifest import Draft
from onnxlet.values.signature import TensorSpec

pytestmark = pytest.mark.toolchain


def test_the_draft_names_columns_classes_versions_and_metrics(tmp_path: Path) -> None:
    features, target = trained.blobs(classes=2)

    draft = trained.converted(
        tmp_path, LogisticRegression(), features, target, labels=["benign", "malignant"], training_commit="abc123"
    )

    tabular, classification = tabular_of(draft), classification_of(draft)
    assert tabular is not None
    assert tabular.input == "features"
    assert [column.name for column in tabular.columns] == trained.feature_names()
    assert classification is not None
    assert classification.labels == draft.labels == ("benign", "malignant")
    assert classification.classes == (0, 1)
    assert draft.signature.inputs == (TensorSpec("features", "FP32", (-1, 4)),)
    assert draft.signature.outputs == (
        TensorSpec("label", "BYTES", (-1,)),
        TensorSpec("probability", "FP32", (-1,)),
        TensorSpec("probabilities", "FP32", (-1, 2)),
    )
    assert draft.provenance.framework == "scikit-learn"
    assert {"scikit-learn", "skl2onnx", "onnx", "onnxruntime", "onnxlet"} <= draft.provenance.versions.keys()
    assert draft.provenance.training_commit == "abc123"
    source, onnx = draft.evaluations
    assert (source.stage, source.rows, set(source.metrics)) == ("source", 120, {"accuracy", "f1", "auc"})
    assert onnx.stage == "onnx"
    assert onnx.metrics["accuracy"] == source.metrics["accuracy"]
    assert onnx.metrics["label_agreement"] == 1.0
    assert 0 <= onnx.metrics["largest_distance"] < 1e-4


def test_the_directory_holds_what_the_draft_says(tmp_path: Path) -> None:
    features, target = trained.blobs()
    draft = trained.converted(tmp_path, LogisticRegression(), features, target)

    read, cases = read_draft(tmp_path / "out")

    assert read == draft
    names = {file.name for file in (tmp_path / "out").iterdir()}
    written = {"model.onnx", "draft.json", "golden.json", "baseline.json", "explain.background.json"}
    assert names == written | {"reference.npz", "probing-reference.npz"}
    assert {file.name for file in tmp_path.iterdir()} == {"model.joblib", "data.csv", "out"}
    assert draft.golden is not None
    assert len(cases) == draft.golden.cases == 4
    check(
        load_engine(tmp_path / "out/model.onnx", threads=1, optimized=False, run_deadline=10),
        cases,
        draft.golden.tolerance,
    )


def test_golden_rows_are_synthetic_unless_rows_of_the_data_are_asked_for(tmp_path: Path) -> None:
    features, target = trained.blobs()
    known = {tuple(row) for row in features.astype(np.float32).tolist()}

    synthetic = trained.converted(tmp_path, LogisticRegression(), features, target)
    rows = {tuple(case.inputs["features"][0].tolist()) for case in read_draft(tmp_path / "out")[1]}
    assert not rows & known
    assert synthetic.golden is not None
    assert synthetic.golden.source == "synthetic"

    real = trained.converted(tmp_path, LogisticRegression(), features, target, golden_from="data")
    rows = {tuple(case.inputs["features"][0].tolist()) for case in read_draft(tmp_path / "out")[1]}
    assert rows <= known
    assert real.golden is not None
    assert real.golden.source == "data"


def test_the_target_may_hold_the_labels(tmp_path: Path) -> None:
    features, target = trained.blobs(classes=2)
    path = trained.saved(trained.fitted(LogisticRegression(), features, target), tmp_path)
    data = trained.csv_of(tmp_path / "data.csv", features, np.array(["benign", "malignant"])[target])

    draft = convert(path, tmp_path / "out", data=data, target="target", labels=["benign", "malignant"], trust=True)

    assert draft.evaluations[0].metrics["accuracy"] > 0.8


def test_without_data_random_rows_are_compared(tmp_path: Path) -> None:
    features, target = trained.blobs()
    estimator = trained.fitted(make_pipeline(StandardScaler(), LogisticRegression()), features, target)

    draft = convert(trained.saved(estimator, tmp_path), tmp_path / "out", trust=True)

    assert draft.golden is not None
    assert draft.golden.source == "random"
    assert [column.name for column in tabular_of(draft).columns] == ["x0", "x1", "x2", "x3"]
    (onnx,) = draft.evaluations
    assert onnx.stage == "onnx"
    assert onnx.rows == 256


def test_a_disk_that_fills_leaves_nothing_half_written_and_says_so(tmp_path: Path) -> None:
    features, target = trained.blobs()
    path = trained.saved(trained.fitted(RandomForestClassifier(50, random_state=0), features, target), tmp_path)
    program = f"""
import resource
from pathlib import Path
from onnxlet.toolchain.convert import convert
from onnxlet.errors import UnavailableError

# no file may grow beyond 20 kB, as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    convert(Path({str(path)!r}), Path({str(tmp_path / "out")!r}), trust=True)
except UnavailableError as error:
    print(error.detail)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "nothing was written" in done.stdout
    assert str(tmp_path / "out") in done.stdout
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_failed_conversion_leaves_the_one_before(tmp_path: Path) -> None:
    features, target = trained.blobs()
    trained.converted(tmp_path, LogisticRegression(), features, target)
    before = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}

    with pytest.raises(ConversionError):
        trained.converted(tmp_path, DBSCAN(), features, target)

    assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == before
    assert {file.name for file in tmp_path.iterdir()} == {"model.joblib", "data.csv", "out"}


def test_a_directory_of_other_things_is_not_replaced(tmp_path: Path) -> None:
    features, target = trained.blobs()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("years of work")

    with pytest.raises(InvalidInputError, match="no converted model"):
        trained.converted(tmp_path, LogisticRegression(), features, target)
    assert (tmp_path / "out/thesis.txt").exists()


def problem(folder: Path, data: str, target: str | None = "target", **options: Any) -> str:  # noqa: ANN401
    """What converting a three-class model with this data complains of."""
    features, classes = trained.blobs(features=2)
    path = trained.saved(trained.fitted(LogisticRegression(), features, classes), folder)
    (folder / "data.csv").write_text(data)
    with pytest.raises(InvalidInputError) as raised:
        convert(path, folder / "out", data=folder / "data.csv", target=target, trust=True, **options)
    return raised.value.detail


def test_data_that_do_not_fit_are_named(tmp_path: Path) -> None:
    assert "no column 'target'; it has 2 columns" in problem(tmp_path, "a,b\n1,2\n")
    assert "wants 2; if it holds the target, name it with --target" in problem(
        tmp_path, "a,b,target\n1,2,0\n", target=None
    )
    assert "holds 1 value that no class has, first in row 1; the model knows the classes '0', '1', '2'" in problem(
        tmp_path, "a,b,target\n1,2,7\n"
    )
    unnamed = problem(tmp_path, "a,b,target\n1,2,knee\n3,4,lung\n5,6,well\n")
    assert unnamed.endswith(
        "'0', '1', '2'; if these name them, convert or ship with --labels and the names in this order"
    )
    assert "row 2 of" in problem(tmp_path, "a,b,target\n1,2,0\n1,2\n")
    assert "columns 1 and 2 of" in problem(tmp_path, "a,a,target\n1,2,0\n")
    assert "at least one row" in problem(tmp_path, "a,b,target\n")
    assert "2 labels were given, the model has 3 classes" in problem(
        tmp_path, "a,b,target\n1,2,0\n", labels=["benign", "malignant"]
    )


def test_a_column_to_slice_by_lies_beside_the_features_where_these_have_names(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    features, target = trained.blobs()
    frame = pandas.DataFrame(features, columns=trained.feature_names())
    sites = np.array(["a", "b"])[np.arange(len(features)) % 2]
    data = tmp_path / "data.csv"
    frame.assign(site=sites, target=target).to_csv(data, index=False)

    named = trained.saved(trained.fitted(LogisticRegression(), frame, target), tmp_path)
    convert(named, tmp_path / "out", data=data, target="target", trust=True)
    contract = verify(tmp_path / "out", data=data, target="target", slices=["site"])
    assert {each.value for each in contract.slices} == {"a", "b"}

    nameless = trained.saved(trained.fitted(LogisticRegression(), features, target), tmp_path)
    with pytest.raises(InvalidInputError, match=r"has 5 columns of features, .* wants 4; a model that was fitted with"):
        convert(nameless, tmp_path / "out", data=data, target="target", trust=True)


def test_labels_that_would_swap_the_names_of_classes_are_refused(tmp_path: Path) -> None:
    features, _ = trained.blobs(features=2)
    target = np.where(features[:, 0] > 0, "malignant", "benign")
    path = trained.saved(trained.fitted(LogisticRegression(), features, target), tmp_path)
    with pytest.raises(InvalidInputError, match="in this order: 'benign', 'malignant'"):
        convert(path, tmp_path / "out", labels=["malignant", "benign"], trust=True)


def test_labels_that_name_two_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="'mild' would name several"):
        convert(tmp_path / "model.joblib", tmp_path / "out", labels=["mild", "mild", "severe"])


def test_numbers_that_name_other_classes_than_they_count_are_read_as_names_alone(tmp_path: Path) -> None:
    features, _ = trained.blobs()
    grade = np.digitize(features[:, 0], np.quantile(features[:, 0], [0.3, 0.6]))
    model = trained.fitted(LogisticRegression(), features, grade)

    draft = convert(model, tmp_path / "named", data=features, target=grade + 1, labels=[1, 2, 3])
    assert draft.evaluations[0].metrics["accuracy"] == pytest.approx(model.score(features, grade))
    with pytest.raises(InvalidInputError, match=r"that no class has, first in row .*; the model knows the classes '1'"):
        convert(model, tmp_path / "counted", data=features, target=grade, labels=[1, 2, 3])


def test_options_that_need_data_say_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="need --data"):
        convert(tmp_path / "model.joblib", tmp_path / "out", golden_from="data")
    with pytest.raises(InvalidInputError, match="needs --data"):
        convert(tmp_path / "model.joblib", tmp_path / "out", target="y")


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.joblib").write_bytes(b"")
    code = (
        "import sys; sys.modules['sklearn'] = sys.modules['skl2onnx'] = None\n"
        "from pathlib import Path\nfrom onnxlet.toolchain.convert import convert\n"
        f"convert(Path({str(tmp_path / 'model.joblib')!r}), Path('out'), trust=True)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert MissingExtraError.__name__ in done.stderr
    assert "pip install 'onnxlet[sklearn]'" in done.stderr


def test_importing_the_toolchain_is_light() -> None:
    code = (
        "import sys, onnxlet.toolchain.convert, onnxlet.toolchain.optimize, onnxlet.toolchain.prepare\n"
        "heavy = {'sklearn', 'skl2onnx', 'onnx', 'onnxruntime', 'numpy', 'joblib', 'pandas'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )

    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_draft_is_canonical_json(tmp_path: Path) -> None:
    features, target = trained.blobs()
    draft = trained.converted(tmp_path, LogisticRegression(), features, target)

    text = (tmp_path / "out/draft.json").read_bytes()

    assert msgspec.json.decode(text, type=Draft) == draft
    assert text.endswith(b"\n")
