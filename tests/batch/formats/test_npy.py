"""NumPy's arrays: what is written is read by NumPy itself, and says what ONNX Runtime says of the same rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from models import tiny
from onnxlet.batch.book import Book
from onnxlet.batch.formats import blocks
from onnxlet.batch.local_files import score_path
from onnxlet.batch.scoring import Options
from onnxlet.errors import InvalidInputError
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import Store
from onnxlet.values.refs import parse_ref

Array = np.ndarray[Any, Any]
Score = Callable[..., tuple[Book, Array]]


@pytest.fixture
def score(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Score:
    monkeypatch.setattr(blocks, "RANGE_BYTES", 1000)
    predictor = Predictor(store, Settings(store=store.url, cache_dir=str(tmp_path / "cache")))

    def run(array: Array | bytes, contents: tiny.Package, options: Options | None = None) -> tuple[Book, Array]:
        tiny.publish(store, "m", contents)
        source, target = tmp_path / "in.npy", tmp_path / "out.npy"
        if isinstance(array, bytes):
            source.write_bytes(array)
        else:
            np.save(source, array)
        book = score_path(predictor, parse_ref("m"), source, target, options=options or Options(), workers=2)
        return book, np.load(target)

    return run


@pytest.mark.parametrize("dtype", ["<f4", "<f8", ">f4", "<i4", "<f2"])
def test_an_array_is_scored_as_the_runtime_does(score: Score, tmp_path: Path, dtype: str) -> None:
    rows = (np.random.default_rng(0).normal(0, 9, (1000, 2))).astype(dtype)
    contents = tiny.package(tiny.regressor(), tmp_path / "model")
    book, records = score(rows, contents)
    session = onnxruntime.InferenceSession(str(contents[1]["model.onnx"]), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"input": rows.astype(np.float32)})
    assert book.rows is not None
    assert (book.rows.read, book.rows.scored) == (1000, 1000)
    assert records["prediction"].dtype == np.float32
    assert np.array_equal(records["prediction"], expected)
    assert records["row"].tolist() == list(range(1, 1001))
    assert np.array_equal(records["input"], rows)
    assert set(records["model_version"].tolist()) == {1}


def test_rows_of_named_columns_are_taken_in_their_order_and_bad_ones_set_aside(score: Score, tmp_path: Path) -> None:
    rows = np.ones((500, 3)) * [3.0, 2.0, 1.0]
    rows[7, 0], rows[100, 1], rows[101, 2] = np.nan, np.inf, 1e39
    book, records = score(rows, tiny.classifier_package(tmp_path / "model"), Options(keep=()))
    assert book.rows is not None
    assert (book.rows.scored, book.rows.errors) == (497, 3)
    assert "input" not in (records.dtype.names or ())
    assert set(records["label"].tolist()) == {"malignant"}
    malignant = 1 / (1 + np.exp(-(3.0 + 2.0 - 1.0)))  # what tiny.classifier says it computes
    assert records["probabilities"][:, 1] == pytest.approx(malignant, abs=1e-6)
    errors = (tmp_path / "out.npy.errors.jsonl").read_text()
    assert errors.splitlines() == [
        '{"row":8,"error":"missing value","column":"radius"}',
        '{"row":101,"error":"not a finite number","column":"texture"}',
        '{"row":102,"error":"out of range for FP32","column":"area"}',
    ]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (b"", "no array in NumPy's format"),
        (b"radius,texture\n1,2\n", "no array in NumPy's format"),
        (np.ones((5, 2)), r"a row has shape \[2\] where the model has 3 columns: 'radius', 'texture', 'area'"),
        (np.ones(5), r"a row has shape \[\] where"),
        (np.float32(1), "a single number"),
        (np.asfortranarray(np.ones((5, 3))), "lies column by column"),
        (np.full((5, 3), "1"), "no numbers but 'str"),
        (np.array([[None] * 3]), "no numbers but 'object'"),
    ],
)
def test_what_is_no_array_of_the_models_rows_is_refused(
    score: Score, tmp_path: Path, array: Array | bytes, message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        score(array, tiny.classifier_package(tmp_path / "model"))


def test_an_array_that_breaks_off_is_refused(score: Score, tmp_path: Path) -> None:
    np.save(tmp_path / "whole.npy", np.ones((5, 3)))
    data = (tmp_path / "whole.npy").read_bytes()
    with pytest.raises(InvalidInputError, match="the file is shorter than its header says"):
        score(data[:-1], tiny.classifier_package(tmp_path / "model"))


def test_no_rows_are_an_array_of_no_records(score: Score, tmp_path: Path) -> None:
    book, records = score(np.ones((0, 3), np.float32), tiny.classifier_package(tmp_path / "model"))
    assert book.rows is not None
    assert (book.rows.read, records.shape) == (0, (0,))
