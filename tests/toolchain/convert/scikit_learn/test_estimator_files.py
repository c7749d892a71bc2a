"""Files of estimators: trusted, read whole, of this scikit-learn, or refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import trained

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from onnxlet.errors import ConversionError, InvalidInputError, TrustRequiredError
from onnxlet.toolchain.convert import convert

pytestmark = pytest.mark.toolchain


def test_pickles_need_trust_and_are_not_read_without(tmp_path: Path) -> None:
    path = tmp_path / "model.joblib"
    path.write_bytes(b"anything")

    with pytest.raises(TrustRequiredError, match="--trust"):
        convert(path, tmp_path / "out")


def test_skops_files_need_no_trust(tmp_path: Path) -> None:
    skops_io = pytest.importorskip("skops.io")
    features, target = trained.blobs()
    path = tmp_path / "model.skops"
    skops_io.dump(trained.fitted(make_pipeline(StandardScaler(), LogisticRegression()), features, target), path)

    draft = convert(path, tmp_path / "out", data=trained.csv_of(tmp_path / "data.csv", features, None))

    assert draft.evaluations[-1].metrics["label_agreement"] == 1.0


class Unknown(LogisticRegression):  # type: ignore[misc]
    """A type that skops does not know."""


def test_skops_files_with_unknown_types_name_them(tmp_path: Path) -> None:
    skops_io = pytest.importorskip("skops.io")
    features, target = trained.blobs()
    path = tmp_path / "model.skops"
    skops_io.dump(trained.fitted(Unknown(), features, target), path)

    with pytest.raises(TrustRequiredError, match=r"Unknown"):
        convert(path, tmp_path / "out")


@pytest.mark.parametrize(
    ("package", "written"),
    [
        ("xgboost", "save_model('model.ubj')"),
        ("lightgbm", "booster_.save_model('model.txt')"),
        ("catboost", "save_model('model.cbm')"),
    ],
)
def test_wrappers_of_packages_that_are_not_installed_are_to_save_their_own_files(
    tmp_path: Path, package: str, written: str
) -> None:
    path = tmp_path / "model.joblib"
    path.write_bytes(f"c{package}.nowhere\nClassifier\n.".encode())

    with pytest.raises(ConversionError, match=f"estimator of {package}, .* write it with {re.escape(written)}"):
        convert(path, tmp_path / "out", trust=True)


@pytest.mark.parametrize("contents", [b"", b"not a pickle", b"\x80\x04K\x01."])
def test_a_file_without_an_estimator_says_so(tmp_path: Path, contents: bytes) -> None:
    path = tmp_path / "model.joblib"
    path.write_bytes(contents)

    with pytest.raises(ConversionError, match=r"model\.joblib"):
        convert(path, tmp_path / "out", trust=True)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("compress", [0, 3])
def test_a_file_that_was_cut_off_says_so(tmp_path: Path, compress: int, share: float) -> None:
    import joblib

    features, target = trained.blobs()
    path = tmp_path / "model.joblib"
    joblib.dump(trained.fitted(LogisticRegression(), features, target), path, compress=compress)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])

    with pytest.raises(ConversionError, match=r"'model.joblib' ends too early: copy it again"):
        convert(path, tmp_path / "out", trust=True)


def test_what_cannot_be_read_or_found_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x08\x0a")
    with pytest.raises(ConversionError, match="no graph"):
        convert(tmp_path / "model.onnx", tmp_path / "out")
    (tmp_path / "model.doc").write_bytes(b"\x08\x0a")
    with pytest.raises(ConversionError, match=r"\.joblib.*\.skops.*config\.json"):
        convert(tmp_path / "model.doc", tmp_path / "out")
    with pytest.raises(InvalidInputError, match="there is no file"):
        convert(tmp_path / "model.joblib", tmp_path / "out", trust=True)


@pytest.mark.parametrize(("version", "refused"), [("1.2.3", True), ("{minor}.99", False)])
def test_the_scikit_learn_that_saved_it_matters(tmp_path: Path, version: str, refused: bool) -> None:
    import sklearn

    features, target = trained.blobs()
    other = version.format(minor=".".join(sklearn.__version__.split(".")[:2]))
    path = saved_by(other, trained.fitted(LogisticRegression(), features, target), tmp_path)
    said: list[str] = []

    if refused:
        with pytest.raises(ConversionError, match=rf"saved by scikit-learn 1\.2\.3, this is {sklearn.__version__}"):
            convert(path, tmp_path / "out", trust=True)
    else:
        convert(path, tmp_path / "out", trust=True, on_progress=said.append)
        assert any(other in sentence for sentence in said)


def saved_by(version: str, estimator: Any, folder: Path) -> Path:  # noqa: ANN401
    """The estimator in a pickle that says it comes from another scikit-learn."""
    import pickle

    state = estimator.__getstate__()
    original = state["_sklearn_version"]
    data = pickle.dumps(estimator, protocol=0).replace(original.encode(), version.encode())
    path = folder / "model.pkl"
    path.write_bytes(data)
    return path
