"""Answers that the user computed: taken for the reference, or refused with what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trained

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import MultiOutputClassifier

from onnxlet.errors import ConversionError, InvalidInputError, MissingExtraError
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.optimize import optimize
from onnxlet.toolchain.verify import verify
from onnxlet.toolchain.workbench.reference import read_reference
from onnxlet.values.manifest import ReferenceOrigin, describe_reference

pytestmark = pytest.mark.toolchain

NAMES = ["benign", "malignant", "other"]


@pytest.fixture
def model() -> Any:  # noqa: ANN401
    """A classifier of three classes."""
    features, target = trained.blobs()
    return trained.fitted(LogisticRegression(), features, np.array(NAMES)[target])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Rows that it never saw, with what is true of them."""
    features, target = trained.blobs(rows=150)
    return trained.csv_of(tmp_path / "data.csv", features[30:], np.array(NAMES)[target[30:]])


def answers_of(model: Any) -> tuple[list[str], list[list[Any]]]:  # noqa: ANN401
    """A header and rows of label and probabilities."""
    features = trained.blobs(rows=150)[0][30:]
    rows = [[label, *row] for label, row in zip(model.predict(features), model.predict_proba(features), strict=True)]
    return ["label", *NAMES], rows


def test_columns_named_by_numbers_are_those_of_the_labels(tmp_path: Path) -> None:
    features, target = trained.blobs()
    model = trained.fitted(LogisticRegression(), features, target)
    probabilities = dict(zip("123", model.predict_proba(features).T, strict=True))
    answers = {"label": model.predict(features) + 1, **probabilities}

    draft = convert(model, tmp_path / "out", data=features, expected=answers, labels=["1", "2", "3"])

    assert draft.reference == ReferenceOrigin("expected", "scikit-learn")
    del answers["label"]
    with pytest.raises(InvalidInputError, match="'expected' has no array 'label'"):
        convert(model, tmp_path / "again", data=features, expected=answers, labels=["1", "2", "3"])


def test_labels_and_probabilities_of_a_csv_file_are_the_reference(tmp_path: Path, model: Any, data: Path) -> None:  # noqa: ANN401
    header, rows = answers_of(model)
    expected = trained.write_csv(tmp_path / "expected.csv", header, rows)

    draft = convert(model, tmp_path / "out", data=data, target="target", expected=expected)
    optimize(tmp_path / "out", data=data, target="target")
    contract = verify(tmp_path / "out", data=data, target="target")

    assert draft.reference == ReferenceOrigin("expected", "scikit-learn")
    assert describe_reference(draft.reference) == "expected, answers that the user computed (scikit-learn)"
    assert contract.holds
    kept = read_reference(tmp_path / "out")
    assert kept is not None
    np.testing.assert_array_equal(kept.stages["source"]["probabilities"], [row[1:] for row in rows])


def test_labels_alone_will_do(tmp_path: Path, model: Any, data: Path) -> None:  # noqa: ANN401
    _, rows = answers_of(model)
    expected = trained.write_csv(tmp_path / "expected.csv", ["label"], [row[:1] for row in rows])
    convert(model, tmp_path / "out", data=data, target="target", expected=expected)
    assert verify(tmp_path / "out", data=data, target="target").holds


def test_arrays_by_name_will_do(tmp_path: Path, model: Any, data: Path) -> None:  # noqa: ANN401
    _, rows = answers_of(model)
    arrays = {"label": np.array([row[0] for row in rows]), "probabilities": np.array([row[1:] for row in rows])}
    for expected in (arrays, trained.npz_of(tmp_path / "expected.npz", arrays)):
        draft = convert(model, tmp_path / "out", data=data, target="target", expected=expected)
        assert draft.reference == ReferenceOrigin("expected", "scikit-learn")


def test_a_model_that_answers_otherwise_than_expected_is_refused(tmp_path: Path, model: Any, data: Path) -> None:  # noqa: ANN401
    header, rows = answers_of(model)
    swapped = {"benign": "malignant", "malignant": "benign", "other": "other"}
    expected = trained.write_csv(tmp_path / "expected.csv", header, [[swapped[row[0]], *row[1:]] for row in rows])
    with pytest.raises(ConversionError, match=r"the graph does not answer as .* of the labels agree"):
        convert(model, tmp_path / "out", data=data, target="target", expected=expected)


def test_predictions_of_a_regressor_have_their_name(tmp_path: Path) -> None:
    features, target = trained.slopes()
    regressor = LinearRegression().fit(features, target)
    answers = regressor.predict(features)
    expected = trained.write_csv(tmp_path / "expected.csv", ["prediction"], [[answer] for answer in answers])
    draft = convert(regressor, tmp_path / "out", data=features, target=target, expected=expected)
    assert draft.reference == ReferenceOrigin("expected", "scikit-learn")
    with pytest.raises(ConversionError, match="answers differ by up to"):
        convert(regressor, tmp_path / "out", data=features, expected={"prediction": answers + 1})


def test_each_target_has_answers_of_its_own(tmp_path: Path) -> None:
    features, target = trained.blobs(classes=2)
    targets = np.stack([target, (features[:, 1] > 1).astype(int)], axis=1)
    model = MultiOutputClassifier(LogisticRegression()).fit(features, targets)
    stage, grade = model.predict(features).T
    expected = {"label_stage": stage, "label_grade": grade}
    data = {"a": features[:, 0], "b": features[:, 1], "c": features[:, 2], "d": features[:, 3]}
    data |= {"stage": targets[:, 0], "grade": targets[:, 1]}
    draft = convert(model, tmp_path / "out", data=data, target=["stage", "grade"], expected=expected)
    assert draft.evaluations[-1].metrics["label_agreement"] == 1


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"label": ["benign"]}, "expects answers to 1 rows, the data have 120"),
        ({"diagnosis": ["benign"] * 120}, "has no array 'label'"),
        ({"label": ["unheard of"] * 120}, "holds 1 value that no class has, first in row 1; the model knows"),
        (
            {"label": ["benign"] * 120, "benign": np.ones(120)},
            "lacks the probabilities of the classes 'malignant', 'other'",
        ),
        ({"label": ["benign"] * 120, "patient": np.ones(120)}, "holds 'patient', which the model does not answer"),
        (
            {"label": ["benign"] * 120, "probabilities": np.ones((120, 2))},
            r"expects 'probabilities' of the shape \[120, 2\], the model answers \[120, 3\]",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path,
    model: Any,  # noqa: ANN401
    data: Path,
    expected: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        convert(model, tmp_path / "out", data=data, target="target", expected=expected)


def test_answers_need_the_rows_that_they_answer(tmp_path: Path, model: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidInputError, match="expected answers need --data"):
        convert(model, tmp_path / "out", expected={"label": ["benign"]})


def test_parquet_is_read_where_pandas_can(tmp_path: Path, model: Any, data: Path) -> None:  # noqa: ANN401
    header, rows = answers_of(model)
    path = tmp_path / "expected.parquet"
    try:
        import pandas as pd

        pd.DataFrame(rows, columns=header).to_parquet(path)
    except ImportError:
        path.write_bytes(b"PAR1 and what pyarrow would read")
        with pytest.raises(MissingExtraError, match="takes pandas and pyarrow: pip install"):
            convert(model, tmp_path / "out", data=data, target="target", expected=path)
    else:
        draft = convert(model, tmp_path / "out", data=data, target="target", expected=path)
        assert draft.reference == ReferenceOrigin("expected", "scikit-learn")
