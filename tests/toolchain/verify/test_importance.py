"""What answers hang on, as a report tells it: means over rows, never one row's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.verify import verify
from onnxlet.toolchain.verify.importance import errors_of
from onnxlet.toolchain.workbench.task import ClassificationTarget, Task

pytest.importorskip("sklearn")
pytestmark = pytest.mark.toolchain


def report_of(folder: Path, estimator: Any, rows: pd.DataFrame, target: Any) -> str:  # noqa: ANN401
    """The page of a verified conversion."""
    convert(estimator, folder / "out", data=rows, target=target)
    verify(folder / "out", data=rows, target=target)
    return (folder / "out" / "report.html").read_text()


def test_the_report_says_which_columns_count_most(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(0)
    rows = pd.DataFrame(random.normal(size=(300, 4)), columns=["little", "<much>", "nothing", "some"])
    target = (5 * rows["<much>"] + 3 * rows["some"] + 1.5 * rows["little"] + random.normal(size=300) > 0).astype(int)
    page = report_of(tmp_path, LogisticRegression().fit(rows, target), rows, target)
    section = page.split("What answers hang on")[1].split("<h2>")[0]
    assert "probability of probabilities" in section
    assert "the 20 worst" in section
    assert "<much>" not in section
    places = [section.index(name) for name in ("&lt;much&gt;: ", "some: ", "little: ", "nothing: ")]
    assert places == sorted(places)


def test_models_of_texts_and_numbers_have_it_too(tmp_path: Path) -> None:
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    random = np.random.default_rng(0)
    rows = pd.DataFrame({"ward": random.choice(["A", "B"], 200), "age": random.normal(60, 9, 200)})
    target = rows["age"] / 10 + (rows["ward"] == "A")
    encode = make_column_transformer((OneHotEncoder(), ["ward"]), ("passthrough", ["age"]))
    page = report_of(tmp_path, make_pipeline(encode, Ridge()).fit(rows, target), rows, target)
    section = page.split("What answers hang on")[1].split("<h2>")[0]
    assert section.index("age: ") < section.index("ward: ")


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame, Any]:
    """A conversion of a model that answers two rows far off, 7 and 30."""
    from sklearn.linear_model import LinearRegression

    random = np.random.default_rng(0)
    rows = pd.DataFrame({"age": random.normal(60, 9, 200), "dose": random.normal(5, 1, 200)})
    target = rows["age"] - 3 * rows["dose"] + random.normal(0, 0.1, 200)
    model = LinearRegression().fit(rows, target)
    target[7] += 90
    target[30] -= 50
    folder = tmp_path_factory.mktemp("hard") / "out"
    convert(model, folder, data=rows, target=target)
    return folder, rows, target


def test_the_worst_rows_are_explained_one_by_one_where_that_is_asked_for(
    hard: tuple[Path, pd.DataFrame, Any],
) -> None:
    folder, rows, target = hard
    contract = verify(folder, data=rows, target=target, explain_rows=2)
    page = (folder / "report.html").read_text()
    section = page.split("The worst 2 rows")[1].split("<h2>")[0]
    numbers = [cell.split("<")[0] for cell in section.split('<tr><td class="n">')[1:]]
    assert numbers == ["7", "30"]
    assert any("explains 2 rows of the data one by one" in note for note in contract.notes)

    contract = verify(folder, data=rows, target=target)
    page = (folder / "report.html").read_text()
    assert "The worst 2 rows" not in page
    assert not any("one by one" in note for note in contract.notes)


def test_attributions_of_a_row_are_those_of_a_linear_model(hard: tuple[Path, pd.DataFrame, Any]) -> None:
    folder, rows, target = hard
    verify(folder, data=rows, target=target, explain_rows=1)
    section = (folder / "report.html").read_text().split("The worst 1 rows")[1]
    told = {name: float(value) for name, value in re.findall(r"(age|dose) ([+-][\d.]+)", section)}
    assert told["age"] == pytest.approx(rows["age"][7] - 60, abs=3)
    assert told["dose"] == pytest.approx(-3 * (rows["dose"][7] - 5), abs=1)


@pytest.mark.long
def test_a_report_says_why_answers_are_not_explained(tmp_path: Path) -> None:
    from sklearn.linear_model import Ridge

    random = np.random.default_rng(0)
    wide = random.normal(size=(60, 1100)).astype(np.float32)
    convert(Ridge().fit(wide, wide[:, 0]), tmp_path / "out", data=wide, target=wide[:, 0])
    verify(tmp_path / "out", data=wide, target=wide[:, 0])
    page = (tmp_path / "out" / "report.html").read_text()
    section = page.split("What answers hang on")[1].split("<h2>")[0]
    assert "Not known: " in section
    assert "1,000" in section or "background" in section


def test_rows_are_worst_by_their_truth_or_by_how_far_they_moved() -> None:
    shares = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    answers = {"label": np.array([0, 1, 0]), "probabilities": shares}
    task = Task("classification", (ClassificationTarget((0, 1)),))
    np.testing.assert_allclose(errors_of(answers, answers, np.array([0, 0, 1]), task), [0.1, 0.8, 0.6])
    moved = {"prediction": np.array([1.0, 2.0, np.nan])}
    np.testing.assert_allclose(
        errors_of({"prediction": np.array([1.0, 5.0, 1.0])}, moved, None, Task("regression")), [0, 3, 0]
    )
    np.testing.assert_allclose(errors_of(moved, moved, np.array([2.0, 2.0, 2.0]), Task("regression")), [1, 0, 0])
    texts = {"label": np.array(["a", "b"], dtype=object)}
    assert errors_of(texts, texts, None, task).tolist() == [0, 0]
