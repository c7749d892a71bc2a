"""Which file is read by which framework, and what is said where that is not installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from onnxlet.errors import ConversionError, InvalidInputError, MissingExtraError
from onnxlet.toolchain.convert import convert

OPENINGS = {
    # what a file begins with: which package reads it, from which extra
    "XGBoost's UBJSON": (b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner{L", "xgboost", "boosting"),
    "XGBoost's JSON": (b'{"learner":{"attributes":{}', "xgboost", "boosting"),
    "an older XGBoost's JSON": (b'{\n  "version": [1, 7, 6],', "xgboost", "boosting"),
    "LightGBM's text": (b"tree\nversion=v4\nnum_class=1\n", "lightgbm", "boosting"),
    "LightGBM's text with Windows' line ends": (b"tree\r\nversion=v4\r\n", "lightgbm", "boosting"),
    "CatBoost's own": (b"CBM1\x08\x22\x00\x00", "catboost", "boosting"),
    "CatBoost's JSON": (b'{\n"features_info":\n  {', "catboost", "boosting"),
    "LIBSVM's text": (b"svm_type c_svc\nkernel_type rbf\n", "libsvm", "libsvm"),
}


@pytest.mark.parametrize("name", ["model.bin", "model", "model.txt", "model.json", "model.model"])
@pytest.mark.parametrize(("opening", "package", "extra"), OPENINGS.values(), ids=OPENINGS)
def test_a_file_is_known_by_what_it_begins_with_and_its_extra_is_named(
    opening: bytes, package: str, extra: str, name: str, tmp_path: Path
) -> None:
    if find_spec(package) is not None:
        pytest.skip(f"{package} is installed")
    source = tmp_path / name
    source.write_bytes(opening)
    with pytest.raises(MissingExtraError) as caught:
        convert(source, tmp_path / "out")
    assert caught.value.detail == f"this needs {package}: pip install 'onnxlet[{extra}]'"
    assert not (tmp_path / "out").exists()


def test_what_is_known_by_neither_content_nor_name_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "notes.md"
    source.write_text("a tree and a learner")
    with pytest.raises(ConversionError, match="is of no kind that can be converted: files end in"):
        convert(source, tmp_path / "out")


def test_a_file_that_is_not_there_is_missed(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="there is no file"):
        convert(tmp_path / "model.ubj", tmp_path / "out")
