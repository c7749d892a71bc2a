"""Tables with other separators, and without a header: what is written is what pandas reads there."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from models import tiny
from onnxlet.batch.local_files import score_path
from onnxlet.batch.scoring import Options
from onnxlet.errors import InvalidInputError
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import Store
from onnxlet.values.refs import parse_ref

Score = Callable[..., str]
ROWS = [
    ["p1", "1.5", "2", 'a, b; c | d\te "f"'],
    ["p2", "-1", "2e0", "plain"],
    ["p,3;", "0.25", "1", "two\nlines"],
    ["p4", "1", "", "gap"],
    ["p5", "1,5", "2", "bad"],
]


@pytest.fixture
def score(store: Store, tmp_path: Path) -> Score:
    tiny.publish(store, "m", tiny.classifier_package(tmp_path / "model", labels=("a,b;c|d", "x\ty")))
    predictor = Predictor(store, Settings(store=store.url, cache_dir=str(tmp_path / "cache")))

    def run(text: str, options: Options | None = None) -> str:
        (tmp_path / "in.csv").write_bytes(text.encode())
        score_path(predictor, parse_ref("m"), tmp_path / "in.csv", tmp_path / "out.csv", options=options or Options())
        return (tmp_path / "out.csv").read_bytes().decode()

    return run


def _write(rows: list[list[str]], separator: str) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, lineterminator="\n").writerows(rows)
    return text.getvalue()


HEADER = ["id", "radius", "texture", "note; or, \t remark |"]


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_a_table_is_scored_and_written_with_its_own_separator(score: Score, separator: str) -> None:
    rows = [HEADER, *ROWS[:4]]
    commas = pd.read_csv(io.StringIO(score(_write(rows, ","))), dtype=str)
    scored = score(_write(rows, separator))
    table = pd.read_csv(io.StringIO(scored), sep=separator, dtype=str)
    pd.testing.assert_frame_equal(table, commas)
    assert list(table)[:4] == HEADER
    assert table[HEADER].to_numpy().tolist() == ROWS[:3]
    assert set(table["label"]) == {"x\ty", "a,b;c|d"}
    assert scored.count(_write([["p1", *ROWS[0][1:]]], separator).strip()) == 1


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_decimal_commas_are_refused_and_named(score: Score, separator: str) -> None:
    with pytest.raises(InvalidInputError, match="decimal commas, in column 'radius': write them with decimal points"):
        score(_write([HEADER, *ROWS], separator))


def test_columns_that_no_separator_makes_are_named_as_the_likeliest_one_makes_them(score: Score) -> None:
    with pytest.raises(InvalidInputError, match="no column 'texture' that the model needs"):
        score("id;radius\n1;2\n")
    with pytest.raises(InvalidInputError, match="no columns 'radius', 'texture' that the model needs"):
        score("id,size\n1,2\n")


def test_control_characters_of_a_table_with_tabs_are_refused(score: Score) -> None:
    with pytest.raises(InvalidInputError, match="control characters"):
        score("radius\ttexture\n1\t2\x01\n")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_without_a_header_has_the_columns_that_are_declared(score: Score, separator: str) -> None:
    names = ("id", "radius", "texture", "note")
    scored = score("\ufeff" + _write(ROWS[:4], separator), Options(columns=names))
    table = pd.read_csv(io.StringIO(scored), sep=separator, dtype=str)
    assert table[list(names)].to_numpy().tolist() == ROWS[:3]
    assert table["row"].tolist() == ["1", "2", "3"]


def test_columns_that_are_declared_must_be_those_of_the_file(score: Score) -> None:
    with pytest.raises(InvalidInputError, match="row 1: has 2 cells where the header has 3"):
        score("1,2\n3,4\n", Options(columns=("id", "radius", "texture")))
    with pytest.raises(InvalidInputError, match="no column 'texture'"):
        score("1,2\n", Options(columns=("id", "radius")))
