"""What stands in the data of patients stands in no message, log, traceback, report or version."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

import onnxlet
import trained
from command_line import serving
from onnxlet.cli import cli
from onnxlet.errors import InvalidInputError, OnnxletError
from patients import patients, pipeline
from secrets_in_data import NUMBER, TEXT, assert_no_secret, assert_no_secret_in_files, error_text

pytest.importorskip("sklearn")
pytestmark = pytest.mark.toolchain

Damage = Callable[[pd.DataFrame], pd.DataFrame]
Run = Callable[..., Result]


def lookup(features: pd.DataFrame) -> Any:  # noqa: ANN401 - what scikit-learn takes
    """A transformer of somebody's own, that quotes what it does not know."""
    if (features["age"] == NUMBER).any():
        raise KeyError(NUMBER)
    if features["ward"].eq(TEXT).any():
        raise ValueError(f"no such ward as {TEXT}: ask the office")
    return features


@pytest.fixture(scope="module")
def fitted() -> Any:  # noqa: ANN401
    """A pipeline that reads columns by name."""
    from sklearn.linear_model import LogisticRegression

    rows = patients(300, seed=0)
    return pipeline(LogisticRegression(max_iter=500)).fit(rows.iloc[:, :5], rows["diagnosis"])


@pytest.fixture(scope="module")
def strict() -> Any:  # noqa: ANN401
    """A pipeline that refuses wards which it does not know."""
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    rows = patients(300, seed=0).assign(ward=lambda frame: frame["ward"].fillna("none"))
    encode = make_column_transformer((OneHotEncoder(), ["ward"]), ("passthrough", ["age"]))
    return make_pipeline(encode, LogisticRegression(max_iter=500)).fit(rows[["ward", "age"]], rows["diagnosis"])


@pytest.fixture(scope="module")
def quoting() -> Any:  # noqa: ANN401
    """A pipeline with the transformer of somebody's own."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    rows = patients(300, seed=0)
    numbers = FunctionTransformer(lambda features: features[["age", "smoker"]].astype(float))
    return make_pipeline(FunctionTransformer(lookup), numbers, LogisticRegression()).fit(
        rows[["age", "ward", "smoker"]], rows["diagnosis"]
    )


def with_cell(column: str, value: object) -> Damage:
    """A cell in the middle of the column holds the value."""

    def damage(frame: pd.DataFrame) -> pd.DataFrame:
        cells = frame[column].astype(object)
        cells.iloc[7] = value
        return frame.assign(**{column: cells})

    return damage


def without_header(frame: pd.DataFrame) -> pd.DataFrame:
    """The first row is taken for the names of the columns."""
    rows = with_cell("ward", TEXT)(with_cell("dose", NUMBER)(frame)).iloc[7:].astype(object).fillna("")
    return pd.DataFrame(rows.iloc[1:].to_numpy(), columns=list(map(str, rows.iloc[0])))


DAMAGES: dict[str, Damage] = {
    "a text among numbers": with_cell("age", TEXT),
    "a number among wards": with_cell("ward", NUMBER),
    "an unknown ward": with_cell("ward", TEXT),
    "an unknown number": with_cell("age", NUMBER),
    "a text for true": with_cell("smoker", TEXT),
    "an unknown class": with_cell("diagnosis", TEXT),
    "no header": without_header,
    "a column of names": lambda frame: frame.assign(name=[f"{TEXT} {number}" for number in range(len(frame))]),
    "a name for a ward": lambda frame: frame.assign(ward=[f"{TEXT} {number}" for number in range(len(frame))]),
    "a doubled number": lambda frame: without_header(frame).set_axis([str(NUMBER)] * frame.shape[1], axis=1),
}
COMMAND_CASES = [*(("fitted", damage) for damage in DAMAGES), ("strict", "an unknown ward"), ("strict", "no header")]
PYTHON_CASES = [
    *(("quoting", damage) for damage in ("an unknown ward", "an unknown number", "a text for true")),
    *(("fitted", damage) for damage in ("a text among numbers", "an unknown class", "no header", "a name for a ward")),
    ("strict", "an unknown ward"),
]


@pytest.fixture
def run(directory_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command on a fresh store, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(cli, ["--store", directory_url, *map(str, words)])


def model_and_rows(request: pytest.FixtureRequest, name: str, damage: str) -> tuple[Any, pd.DataFrame]:
    """The model, and rows for it that are damaged."""
    model, rows = request.getfixturevalue(name), patients(80, seed=1)
    damaged = DAMAGES[damage](rows)
    return model, damaged


@pytest.mark.parametrize("case", COMMAND_CASES, ids="-".join)
def test_a_command_says_nothing_of_them_and_neither_does_what_it_writes(
    request: pytest.FixtureRequest, run: Run, tmp_path: Path, case: tuple[str, str]
) -> None:
    model, rows = model_and_rows(request, *case)
    file = tmp_path / "data" / "rows.csv"
    file.parent.mkdir()
    rows.to_csv(file, index=False)
    saved = trained.saved(model, tmp_path)

    for words in (
        ("ship", saved, "m", "--trust", "--data", file, "--target", "diagnosis", "--slice", "ward"),
        ("convert", saved, "--trust", "--data", file, "--target", "diagnosis", "-o", tmp_path / "converted"),
        ("verify", tmp_path / "converted", "--data", file, "--target", "diagnosis", "-o", tmp_path / "report.html"),
    ):
        result = run(*words)
        if result.exit_code != 2:  # there is a model to verify
            assert_no_secret(result.output, result.stderr, error_text(result.exception))
    file.unlink()
    assert_no_secret_in_files(tmp_path, but=["reference.npz"])


@pytest.mark.parametrize("case", PYTHON_CASES, ids="-".join)
def test_nor_does_python_with_the_objects_in_hand(
    request: pytest.FixtureRequest, tmp_path: Path, capfd: pytest.CaptureFixture[str], case: tuple[str, str]
) -> None:
    model, rows = model_and_rows(request, *case)

    try:
        onnxlet.ship(model, "m", data=rows, target="diagnosis", slices=["ward"], store=tmp_path / "store")
    except OnnxletError as error:
        assert_no_secret(error_text(error), repr(error.context))
    assert_no_secret(*capfd.readouterr())
    assert_no_secret_in_files(tmp_path)


@pytest.mark.parametrize(("name", "damage"), [("fitted", "a text among numbers"), ("quoting", "an unknown ward")])
def test_who_asks_for_the_values_gets_them(
    request: pytest.FixtureRequest, tmp_path: Path, name: str, damage: str
) -> None:
    model, rows = model_and_rows(request, name, damage)

    with pytest.raises(InvalidInputError, match="SECRET") as caught:
        onnxlet.convert(model, tmp_path / "m", data=rows, target="diagnosis", show_values=True)
    assert "SECRET" in error_text(caught.value.__cause__) or caught.value.__cause__ is None


def test_the_command_says_how_to_see_them(run: Run, fitted: Any, tmp_path: Path) -> None:  # noqa: ANN401
    file = tmp_path / "rows.csv"
    with_cell("age", TEXT)(patients(80, seed=1)).to_csv(file, index=False)
    words = ("convert", trained.saved(fitted, tmp_path), "--trust", "--data", file, "--target", "diagnosis")

    silent, open_ = run(*words), run(*words, "--show-values")

    assert "row 8 of column 'age' holds a text, which is no number" in silent.stderr
    assert "try: --show-values" in silent.stderr
    assert f"row 8 of column 'age' holds '{TEXT}', which is no number" in open_.stderr
    assert "try:" not in open_.stderr


def test_expected_answers_are_not_quoted_either(run: Run, fitted: Any, tmp_path: Path) -> None:  # noqa: ANN401
    rows, file = patients(80, seed=1), tmp_path / "rows.csv"
    rows.to_csv(file, index=False)
    words = ("convert", trained.saved(fitted, tmp_path), "--trust", "--data", file, "--target", "diagnosis")
    labels = with_cell("diagnosis", TEXT)(rows)["diagnosis"]

    for number, expected in enumerate((labels.rename("label"), labels.rename(TEXT), labels.iloc[:-1].rename(TEXT))):
        answers = tmp_path / f"expected{number}.csv"
        expected.to_csv(answers, index=False)
        result = run(*words, "--expected", answers)
        assert result.exit_code == 1
        assert_no_secret(result.stderr, error_text(result.exception))


@pytest.mark.parametrize(
    "content",
    [
        f"age;ward\n1;{TEXT}\n2;{TEXT}\n".encode(),
        f"age,ward\n1,{TEXT}\n".encode("cp1252"),
        f"age,ward\n1,{TEXT},{NUMBER}\n".encode(),
        f'age,ward\n1,"{TEXT}\n'.encode(),
        f"1,{TEXT},{NUMBER}\n".encode(),
        f"{NUMBER},{TEXT},12\n{NUMBER},{TEXT},{NUMBER}\n".encode(),
    ],
)
def test_files_that_are_no_tables_are_not_quoted(run: Run, fitted: Any, tmp_path: Path, content: bytes) -> None:  # noqa: ANN401
    file = tmp_path / "rows.csv"
    file.write_bytes(content)

    result = run("convert", trained.saved(fitted, tmp_path), "--trust", "--data", file, "--target", "diagnosis")

    assert result.exit_code == 1
    assert_no_secret(result.stderr, error_text(result.exception))


def test_answering_says_nothing_of_them_wherever_it_happens(
    request: pytest.FixtureRequest, run: Run, tmp_path: Path, directory_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    strict = request.getfixturevalue("strict")
    rows = patients(80, seed=1).assign(ward=lambda frame: frame["ward"].fillna("none"))
    onnxlet.ship(strict, "m", data=rows, target="diagnosis", promote=True, store=directory_url)
    data = tmp_path / "data"
    data.mkdir()

    with serving(directory_url, tmp_path) as url:
        loaded, client = onnxlet.load("m", store=directory_url), onnxlet.connect(url)
        for number, damage in enumerate(DAMAGES.values()):
            damaged, file = damage(rows), data / f"{number}.csv"
            damaged.to_csv(file, index=False)
            capfd.readouterr()
            for predict in (loaded.predict, lambda rows: client.predict("m", rows)):
                try:
                    predict(damaged)
                except OnnxletError as error:
                    assert_no_secret(error_text(error))
            for words in (("predict", "m", file), ("predict", "m", file, "--url", url)):
                result = run(*words)
                assert_no_secret(result.output, result.stderr, error_text(result.exception))
            result = run("score", file, "--model", "m", "-o", data / f"{number}.out.csv")
            assert_no_secret(result.output, result.stderr, error_text(result.exception))
            assert_no_secret(*capfd.readouterr())
    for answers in (*data.glob("*.errors.jsonl"), *data.glob("*.book.json"), tmp_path / "server.log"):
        assert_no_secret(answers.read_bytes())


def test_numbers_are_left_out_of_what_a_framework_says_and_positions_stay() -> None:
    from onnxlet.toolchain.workbench.refusals import refused

    rows = {"age": np.array([63.0, 7731.25]), "ward": np.array(["SECRET ward", "icu"], dtype=object)}

    error = refused("it does not take these rows", "value 7731.25 in column 2 of secret is not in [1, 40]", rows)

    assert error.detail == "it does not take these rows: value … in column 2 of … is not in [1, 40]"
