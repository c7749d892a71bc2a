"""Batch: local files in, scored files out; every row is accounted for."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from onnx import TensorProto

from drafts import classification_of, tabular_of
from models import tiny
from onnxlet.batch.book import Book, decode_book
from onnxlet.batch.local_files import score_path
from onnxlet.batch.scoring import Options
from onnxlet.errors import InvalidInputError, ModelNotFoundError, OnnxletError
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.steps import Steps
from onnxlet.store import Store
from onnxlet.values.digests import digest
from onnxlet.values.manifest import encode_manifest
from onnxlet.values.refs import parse_ref

Score = Callable[..., Book]


@pytest.fixture
def predictor(store: Store, tmp_path: Path) -> Predictor:
    return Predictor(store, Settings(store=store.url, cache_dir=str(tmp_path / "cache")))


@pytest.fixture
def score(store: Store, predictor: Predictor, tmp_path: Path) -> Score:
    """Score text with a package published as `m`, or as the model published before."""

    def run(name: str, text: str | bytes, contents: tiny.Package | None = None, ref: str = "m") -> Book:
        if contents is not None:
            tiny.publish(store, "m", contents)
        source = tmp_path / name
        source.write_bytes(text.encode() if isinstance(text, str) else text)
        return score_path(predictor, parse_ref(ref), source, tmp_path / f"scored-{name}")

    return run


def _csv(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def _lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _errors(path: Path) -> list[Any]:
    """Bad rows, without where they begin."""
    return [{name: value for name, value in line.items() if name != "byte"} for line in _lines(path)]


def _counts(report: Book) -> tuple[int, int, int]:
    assert report.rows is not None
    assert report.rows.read == report.rows.scored + report.rows.errors
    return report.rows.read, report.rows.scored, report.rows.errors


EVERY_KIND = [
    "patient,radius,texture,area,note",
    'p1,1,2,3,"carried, with a comma"',
    "p2,,2,3,empty",
    "p3,1,nan,3,nan",
    "p4,secret-value,2,3,text",
    "p5,1e39,2,3,beyond",
    "p6,inf,2,3,infinite",
    "p7,1,2",
    "p8,1,2,3,x,one too many",
    "",
    'p9,1,"2"x,3,quoting',
    "p10,4,5,,default",
    "p\udcff11,1,2,3,not utf-8",
    "p12,2,2,1,Jürgen",
]


def test_every_kind_of_bad_row_is_set_aside_alone_and_counts_add_up(score: Score, tmp_path: Path) -> None:
    text = b"\xef\xbb\xbf" + "\n".join(EVERY_KIND).encode("utf-8", "surrogateescape")
    report = score("in.csv", text, tiny.classifier_package(tmp_path / "model"))
    assert _counts(report) == (12, 3, 9)
    rows = _csv(tmp_path / "scored-in.csv")
    assert list(rows[0]) == [
        *("patient", "radius", "texture", "area", "note", "row", "label", "probability"),
        *("probability_benign", "probability_malignant", "model_version"),
    ]
    assert {row["model_version"] for row in rows} == {"1"}
    assert [(row["row"], row["patient"], row["note"], row["label"]) for row in rows] == [
        ("1", "p1", "carried, with a comma", "benign"),
        ("10", "p10", "default", "malignant"),
        ("12", "p12", "Jürgen", "malignant"),
    ]
    assert float(rows[1]["probability"]) == float(rows[1]["probability_malignant"]) > 0.99
    errors = _errors(tmp_path / "scored-in.csv.errors.jsonl")
    assert errors == [
        {"row": 2, "error": "missing value", "column": "radius"},
        {"row": 3, "error": "missing value", "column": "texture"},
        {"row": 4, "error": "not a number", "column": "radius"},
        {"row": 5, "error": "out of range for FP32", "column": "radius"},
        {"row": 6, "error": "not a finite number", "column": "radius"},
        {"row": 7, "error": "has 3 cells where the header has 5"},
        {"row": 8, "error": "has 6 cells where the header has 5"},
        {"row": 9, "error": errors[7]["error"]},
        {"row": 11, "error": "not UTF-8"},
    ]
    assert errors[7]["error"].startswith("not CSV")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_bad_rows_say_where_they_begin(score: Score, tmp_path: Path, end: str) -> None:
    text = "\ufeff" + end.join([*EVERY_KIND, ""] * 3)
    for name in ("in.csv", "in.csv.gz"):
        data = text.encode("utf-8", "surrogateescape")
        content = gzip.compress(data) if name.endswith("gz") else data
        score(name, content, tiny.classifier_package(tmp_path / f"model-{name}"))
        begins = [row.encode("utf-8", "surrogateescape") for row in EVERY_KIND]
        for line in _lines(tmp_path / f"scored-{name}.errors.jsonl"):
            assert data[line["byte"] - 1 : line["byte"]] == b"\n"
            assert any(data[line["byte"] :].startswith(row + end.encode()) for row in begins if row)


def test_empty_cells_are_missing_values_to_a_model_that_can_do_with_them(score: Score, tmp_path: Path) -> None:
    draft, files = tiny.classifier_package(tmp_path / "model")
    tabular = tabular_of(draft)
    columns = tuple(replace(column, missing=True) for column in tabular.columns)
    steps = Steps((replace(tabular, columns=columns), classification_of(draft))).documents
    report = score("in.csv", b"radius,texture,area\n1,2,3\n,2,3\n", (replace(draft, steps=steps), files))
    assert _counts(report) == (2, 2, 0)
    assert _csv(tmp_path / "scored-in.csv")[1]["probability"] == "nan"


def test_null_is_a_missing_value_and_a_misspelt_column_is_not(score: Score, tmp_path: Path) -> None:
    draft, files = tiny.classifier_package(tmp_path / "model")
    tabular = tabular_of(draft)
    columns = tuple(replace(column, missing=True) for column in tabular.columns)
    steps = Steps((replace(tabular, columns=columns), classification_of(draft))).documents
    text = """{"radius": null, "texture": 2, "area": 3}
{"Radius": 1, "texture": 2, "area": 3}
{"radius": 1, "texture": 2}
"""
    assert _counts(score("in.jsonl", text, (replace(draft, steps=steps), files))) == (3, 2, 1)
    assert [line["row"] for line in _lines(tmp_path / "scored-in.jsonl")] == [1, 3]
    assert _errors(tmp_path / "scored-in.jsonl.errors.jsonl") == [
        {"row": 2, "error": "the column is not there; null is a missing value", "column": "radius"}
    ]


def test_the_manifest_names_who_scored_what_into_what(
    score: Score, store: Store, predictor: Predictor, tmp_path: Path
) -> None:
    report = score("in.csv", "radius,texture\n1,2\n,2\n", tiny.classifier_package(tmp_path / "model"))
    target = tmp_path / "scored-in.csv"
    assert decode_book(Path(f"{target}.book.json").read_bytes()) == report
    manifest = predictor.load(parse_ref("m")).model.manifest
    assert report.scorer is not None
    assert (report.state, report.scorer.model, report.scorer.version, report.scorer.alias) == (
        *("scored", "m", 1, "production"),
    )
    assert report.scorer.digest == digest(encode_manifest(manifest))
    assert report.scorer.digest == digest(store.get("models/m/1/manifest.json").data)
    assert report.source is not None
    assert report.source.digest == digest((tmp_path / "in.csv").read_bytes())
    for written, path, rows in zip(report.outputs, (target, Path(f"{target}.errors.jsonl")), (1, 1), strict=True):
        assert (written.key, written.digest, written.size, written.rows) == (
            *(str(path), digest(path.read_bytes()), path.stat().st_size, rows),
        )
    assert sorted(path.name for path in tmp_path.glob("*in.csv*")) == sorted(
        ["in.csv", target.name, f"{target.name}.errors.jsonl", f"{target.name}.book.json"]
    )


def test_scoring_again_writes_the_same_bytes(score: Score, tmp_path: Path) -> None:
    text = gzip.compress(b'{"radius": 1, "texture": 2, "id": "a"}\n{"radius": 1}\n')
    first = score("in.jsonl.gz", text, tiny.classifier_package(tmp_path / "model"))
    again = score("in.jsonl.gz", text)
    assert again.outputs == first.outputs
    assert _counts(again) == (2, 1, 1)
    written = gzip.decompress((tmp_path / "scored-in.jsonl.gz").read_bytes())
    assert json.loads(written)["id"] == "a"


def test_a_file_longer_than_a_chunk_keeps_its_order(score: Score, tmp_path: Path) -> None:
    rows = [f"{number},{number % 7},{'x' if number % 500 == 3 else 1}" for number in range(2500)]
    report = score("in.csv", "\n".join(["id,radius,texture", *rows]), tiny.classifier_package(tmp_path / "model"))
    assert _counts(report) == (2500, 2495, 5)
    scored = _csv(tmp_path / "scored-in.csv")
    assert [row["id"] for row in scored] == [str(number) for number in range(2500) if number % 500 != 3]
    assert all(int(row["row"]) == int(row["id"]) + 1 for row in scored)


def test_progress_counts_the_bytes_of_the_file_as_it_lies_there(
    store: Store, predictor: Predictor, tmp_path: Path
) -> None:
    tiny.publish(store, "m", tiny.classifier_package(tmp_path / "model"))
    source = tmp_path / "in.csv.gz"
    source.write_bytes(gzip.compress(b"radius,texture\n" + b"1,2\n" * 5000))
    steps: list[tuple[int, int]] = []
    target = tmp_path / "scored.csv"
    score_path(predictor, parse_ref("m"), source, target, on_progress=lambda *step: steps.append(step))
    assert steps == sorted(steps)
    assert steps[-1] == (source.stat().st_size, source.stat().st_size)
    assert len(_csv(target)) == 5000


def test_input_columns_named_like_outputs_are_carried_over_under_another_name(score: Score, tmp_path: Path) -> None:
    score("in.csv", "label,row,radius,texture\nM,r1,1,2\n", tiny.classifier_package(tmp_path / "model"))
    (row,) = _csv(tmp_path / "scored-in.csv")
    assert (row["row"], row["input_label"], row["input_row"]) == ("1", "M", "r1")
    score("in.jsonl", '{"label": "M", "radius": 1, "texture": 2}\n')
    (line,) = _lines(tmp_path / "scored-in.jsonl")
    assert (line["input_label"], line["label"], line["radius"]) == ("M", "malignant", 1)


def test_rows_are_written_as_their_bytes_were(score: Score, tmp_path: Path) -> None:
    contents = tiny.classifier_package(tmp_path / "model")
    rows = [b"1.50,+2,007", b' 1e0,2.,"a ""b"", c"', b'"1",2,"two\r\nlines"', "1,2,ünï".encode()]
    score("in.csv", b"\xef\xbb\xbfradius,texture, note \r\n" + b"\r\n".join(rows), contents)
    header, _, text = (tmp_path / "scored-in.csv").read_bytes().partition(b"\n")
    assert header.startswith(b"radius,texture,note,row,label,")
    for number, row in enumerate(rows, start=1):
        assert text.startswith(row + b",%d,malignant," % number)
        text = text[text.index(b",1\n", len(row)) + 3 :]
    assert not text
    lines = [
        b'{"radius":1.50,"texture" : 2}',
        b'{ "texture":2e0, "radius":1, "id":"\\u00e4" }',
        b'{"radius":1,"radius":3,"texture":1}',
    ]
    score("in.jsonl", b"\r\n".join(lines))
    for number, (line, written) in enumerate(
        zip(lines, (tmp_path / "scored-in.jsonl").read_bytes().splitlines(), strict=True), start=1
    ):
        assert written.startswith(b"{" + line[1:-1].strip() + b',"row":%d,"label":"malignant",' % number)
        assert written.endswith(b',"model_version":1}')


@pytest.mark.parametrize("keep", [(), ("id",), ("note", "id"), ("label", "texture")])
def test_columns_to_keep_are_written_and_no_others(
    store: Store, predictor: Predictor, tmp_path: Path, keep: tuple[str, ...]
) -> None:
    tiny.publish(store, "m", tiny.classifier_package(tmp_path / "model"))
    (tmp_path / "in.csv").write_text('id,radius,texture,label,note\n007,1,2,M,"a, ""b"""\n008,3,4,B,\n')
    rows = [
        {"id": "007", "radius": 1, "texture": 2, "label": "M", "note": 'a, "b"'},
        {"id": "008", "radius": 3, "texture": 4},
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)))
    kept = {"input_label" if name == "label" else name for name in keep}
    for name in ("in.csv", "in.jsonl"):
        book = score_path(predictor, parse_ref("m"), tmp_path / name, tmp_path / f"out-{name}", options=Options(keep))
        assert _counts(book) == (2, 2, 0)
    written = _csv(tmp_path / "out-in.csv")
    assert set(written[0]) == kept | {
        *("row", "label", "probability", "probability_benign", "probability_malignant", "model_version")
    }
    line = _lines(tmp_path / "out-in.jsonl")[0]
    assert set(line) == kept | {"row", "label", "probability", "probabilities", "model_version"}
    for name in kept:
        assert str(line[name]) == written[0][name] == str(rows[0][name.removeprefix("input_")])


def test_a_column_to_keep_that_a_table_has_not_is_named(store: Store, predictor: Predictor, tmp_path: Path) -> None:
    tiny.publish(store, "m", tiny.classifier_package(tmp_path / "model"))
    (tmp_path / "in.csv").write_text("id,radius,texture\n1,1,2\n")
    with pytest.raises(InvalidInputError, match="no column 'ids' to keep"):
        score_path(predictor, parse_ref("m"), tmp_path / "in.csv", tmp_path / "out.csv", options=Options(("ids",)))


@pytest.mark.parametrize(("share", "fails"), [(0.0, True), (0.2, True), (0.25, False), (1.0, False)])
def test_a_file_with_a_larger_share_of_bad_rows_than_may_be_has_failed(
    store: Store, predictor: Predictor, tmp_path: Path, share: float, *, fails: bool
) -> None:
    tiny.publish(store, "m", tiny.classifier_package(tmp_path / "model"))
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("radius,texture\n1,2\nhigh,2\n3,4\n5,6\n")
    options = Options(max_bad=share)
    if not fails:
        assert _counts(score_path(predictor, parse_ref("m"), source, target, options=options)) == (4, 3, 1)
        return
    wanted = "1 of the 4 rows of .* could not be scored, more than .* may be bad: row 2, column 'radius': not a number"
    with pytest.raises(InvalidInputError, match=wanted):
        score_path(predictor, parse_ref("m"), source, target, options=options)
    book = decode_book((tmp_path / "out.csv.book.json").read_bytes())
    assert (book.state, _counts(book)) == ("failed", (4, 3, 1))
    assert [Path(written.key).name for written in book.outputs] == ["out.csv.errors.jsonl"]
    assert not target.exists()


def test_answers_that_are_no_numbers_are_words_in_csv_and_null_in_json(score: Score, tmp_path: Path) -> None:
    contents = tiny.package(tiny.regressor(3e38), tmp_path / "model")
    assert _counts(score("in.csv", "a,b\n1,0\n1,1\n-2,0\n0.1,0\n", contents)) == (4, 4, 0)
    assert [row["prediction"] for row in _csv(tmp_path / "scored-in.csv")] == ["3e+38", "inf", "-inf", "3e+37"]
    score("in.jsonl", "[1,0]\n[1,1]\n")
    assert [line["prediction"] for line in _lines(tmp_path / "scored-in.jsonl")] == [3e38, None]


def test_json_lines_of_columns_set_bad_rows_aside(score: Score, tmp_path: Path) -> None:
    text = """{"radius": 1, "texture": 2, "area": null, "id": 7}
{"radius": "1", "texture": 2}
{"radius": 1, "texture":
[1, 2, 3]

{"texture": 2}
{"radius": NaN, "texture": 2}
"""
    report = score("in.ndjson", text, tiny.classifier_package(tmp_path / "model"))
    assert _counts(report) == (6, 1, 5)
    (line,) = _lines(tmp_path / "scored-in.ndjson")
    assert (line["row"], line["id"], line["label"]) == (1, 7, "malignant")
    assert len(line["probabilities"]) == 2
    assert _errors(tmp_path / "scored-in.ndjson.errors.jsonl") == [
        {"row": 2, "error": "not a number", "column": "radius"},
        {"row": 3, "error": "not JSON in UTF-8"},
        {"row": 4, "error": "not an object of the model's columns"},
        {"row": 5, "error": "the column is not there", "column": "radius"},
        {"row": 6, "error": "not JSON in UTF-8"},
    ]


def test_csv_of_a_model_without_columns_gives_them_in_order(score: Score, tmp_path: Path) -> None:
    score("in.csv", "b,a\n1,2\n3,4\n", tiny.package(tiny.regressor(), tmp_path / "model"))
    assert (tmp_path / "scored-in.csv").read_text() == "b,a,row,prediction,model_version\n1,2,1,6.0,1\n3,4,2,14.0,1\n"


def test_csv_of_a_model_with_one_input_per_column(score: Score, tmp_path: Path) -> None:
    score("in.csv", "sex,id,age\nmale,x,40\n,y,50\n", tiny.package(tiny.column_inputs(), tmp_path / "model"))
    written = (tmp_path / "scored-in.csv").read_text()
    assert written == "sex,id,age,row,prediction,model_version\nmale,x,40,1,42.0,1\n"


def test_instances_of_several_shapes_come_back_in_order(score: Score, tmp_path: Path) -> None:
    text = "[0]\n[1, 2]\n[3]\n[[1]]\n[4, 9]\n[1.5]\n[]\n"
    report = score("in.jsonl", text, tiny.package(tiny.embedder(), tmp_path / "model"))
    assert _counts(report) == (7, 4, 3)
    assert _lines(tmp_path / "scored-in.jsonl") == [
        {"row": 1, "vectors": [[0.0, 1.0]], "model_version": 1},
        {"row": 2, "vectors": [[2.0, 3.0], [4.0, 5.0]], "model_version": 1},
        {"row": 3, "vectors": [[6.0, 7.0]], "model_version": 1},
        {"row": 7, "vectors": [], "model_version": 1},
    ]
    # the id 9 is beyond the vocabulary: ONNX Runtime's message would quote it
    assert _errors(tmp_path / "scored-in.jsonl.errors.jsonl") == [
        {"row": 4, "error": "has shape [1, 1] where the model takes [-1]", "column": "ids"},
        {"row": 5, "error": "the model failed on this row"},
        {"row": 6, "error": "not an integer", "column": "ids"},
    ]


def test_ragged_and_wrongly_nested_instances_are_bad(score: Score, tmp_path: Path) -> None:
    text = '[[1, 2], [3, 4]]\n[[1, 2], [3]]\n[[1, 2], [3, [4]]]\n[[1, 2], 3]\n{"x": [[5, 6]], "id": 1}\n'
    contents = tiny.package(tiny.identity(TensorProto.FLOAT, ("N", "A", "B")), tmp_path / "model")
    assert _counts(score("in.jsonl", text, contents)) == (5, 2, 3)
    whole = {"x": [[5, 6]], "id": 1, "row": 5, "y": [[5.0, 6.0]], "model_version": 1}
    assert _lines(tmp_path / "scored-in.jsonl")[1] == whole


@pytest.mark.parametrize("integer", [TensorProto.INT8, TensorProto.INT32, TensorProto.INT64, TensorProto.UINT64])
@pytest.mark.parametrize(("shape", "written"), [(("N",), "3"), (("N", "A"), "[3, 4]")], ids=["single", "rows of"])
def test_integers_come_back_as_they_are(
    score: Score, tmp_path: Path, integer: int, shape: tuple[str, ...], written: str
) -> None:
    score("in.jsonl", written, tiny.package(tiny.identity(integer, shape), tmp_path / "model"))
    assert _lines(tmp_path / "scored-in.jsonl") == [{"row": 1, "y": json.loads(written), "model_version": 1}]


def test_several_inputs_come_as_objects(score: Score, tmp_path: Path) -> None:
    text = '{"left": [1, 2], "right": [3, 4]}\n[1, 2]\n{"left": [1, 2]}\n'
    report = score("in.jsonl", text, tiny.package(tiny.two_inputs(), tmp_path / "model"))
    assert _counts(report) == (3, 1, 2)
    with pytest.raises(InvalidInputError, match="score JSON Lines"):
        score("in.csv", "left,right\n1,2\n")


def test_a_model_of_one_row_at_a_time_scores_row_by_row(score: Score, tmp_path: Path) -> None:
    contents = tiny.package(tiny.identity(TensorProto.FLOAT, (1, 2)), tmp_path / "model")
    assert _counts(score("in.csv", "a,b\n1,2\n3,4\n", contents)) == (2, 2, 0)
    assert (
        tmp_path / "scored-in.csv"
    ).read_text() == "a,b,row,y.0,y.1,model_version\n1,2,1,1.0,2.0,1\n3,4,2,3.0,4.0,1\n"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("in.csv", "radius,other\n1,2\n", "no column 'texture' that the model needs"),
        (
            "in.csv",
            "radius;texture\n1,5;2\n",
            "numbers have decimal commas, in column .radius.: write them with decimal points",
        ),
        ("in.csv", "", "the file is empty"),
        ("in.csv", "radius,texture,radius\n1,2,3\n", "columns 1 and 3 have the same name"),
        ("in.csv", "radius,texture\n".encode("utf-16"), "no CSV header in UTF-8"),
        ("in.csv.gz", b"no gzip at all", "gzip compression is broken"),
        (
            "in.jsonl.gz",
            gzip.compress(b'{"radius": 1, "texture": 2}\n' * 99, mtime=0)[:-12],
            "gzip compression is broken",
        ),
        ("in.parquet", b"PAR1", "the file is no Parquet, or breaks off"),
        ("in.orc", b"ORC", "cannot be scored: use .csv"),
        ("in", b"", "cannot be scored: use .csv"),
    ],
)
def test_a_file_that_cannot_be_scored_says_so_in_its_manifest(
    score: Score, tmp_path: Path, name: str, text: str | bytes, message: str
) -> None:
    contents = tiny.classifier_package(tmp_path / "model")
    if not name.endswith((".csv", ".gz", ".parquet")):
        with pytest.raises(InvalidInputError, match=message):
            score(name, text, contents)
        return
    with pytest.raises(InvalidInputError, match=message) as error:
        score(name, text, contents)
    report = decode_book((tmp_path / f"scored-{name}.book.json").read_bytes())
    assert (report.state, report.outputs, report.rows) == ("failed", (), None)
    assert report.failure is not None
    assert (report.failure.type, report.failure.detail) == ("InvalidInputError", error.value.detail)
    assert not (tmp_path / f"scored-{name}").exists()


def test_a_file_of_no_rows_gets_a_header_and_counts_of_zero(score: Score, tmp_path: Path) -> None:
    assert _counts(score("in.csv", "id,radius,texture\n", tiny.classifier_package(tmp_path / "m"))) == (0, 0, 0)
    header = (tmp_path / "scored-in.csv").read_text()
    added = "row,label,probability,probability_benign,probability_malignant,model_version"
    assert header == f"id,radius,texture,{added}\n"
    assert _counts(score("in.jsonl", "")) == (0, 0, 0)


def test_an_unknown_model_fails_the_file(score: Score) -> None:
    with pytest.raises(ModelNotFoundError):
        score("in.csv", "radius,texture\n1,2\n")


def test_a_published_version_scores_though_nothing_serves_it(score: Score, store: Store, tmp_path: Path) -> None:
    tiny.publish(store, "m", tiny.classifier_package(tmp_path / "model"), alias=None)
    report = score("in.csv", "radius,texture\n1,2\n", ref="m:1")
    assert report.scorer is not None
    assert (report.scorer.version, report.scorer.alias) == (1, None)


def test_the_output_may_not_replace_the_input_nor_be_of_another_format(predictor: Predictor, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("radius,texture\n1,2\n")
    for target in (source, tmp_path / "out.jsonl"):
        with pytest.raises(OnnxletError):
            score_path(predictor, parse_ref("m"), source, target)
    assert source.read_text() == "radius,texture\n1,2\n"


def test_objects_whose_members_fill_no_input_fail_the_file_and_say_what_a_line_holds(
    score: Score, tmp_path: Path
) -> None:
    contents = tiny.package(tiny.regressor(), tmp_path / "model")
    text = '{"radius": 1, "texture": 2}\n{"radius": 3, "texture": 4}\n'
    wanted = r"none of the 2 rows of '.*in\.jsonl' could be scored: row 1, column 'input': no member .* of shape \[2\]"
    with pytest.raises(InvalidInputError, match=wanted):
        score("in.jsonl", text, contents)
    assert _counts(score("in.jsonl", text + '[1, 2]\n{"input": [3, 4]}\n{"input": null}\n')) == (5, 2, 3)
    assert [line["prediction"] for line in _lines(tmp_path / "scored-in.jsonl")] == [6.0, 14.0]
    assert [line["error"].partition(",")[0] for line in _errors(tmp_path / "scored-in.jsonl.errors.jsonl")] == [
        *("no member of this name", "no member of this name", "missing value")
    ]


def test_named_members_fill_named_columns_of_a_matrix(score: Score, tmp_path: Path) -> None:
    score("in.jsonl", '{"area": 0, "texture": 2, "radius": 1}\n', tiny.classifier_package(tmp_path / "model"))
    score("in.csv", "area,texture,radius\n0,2,1\n")
    (line,), (row,) = _lines(tmp_path / "scored-in.jsonl"), _csv(tmp_path / "scored-in.csv")
    assert line["probability"] == pytest.approx(float(row["probability"]))


@pytest.mark.parametrize(
    ("name", "bad"), [("in.csv", "radius,texture\nsecret,2\n,2\n"), ("in.jsonl", '{"texture": 2}\nno JSON\n')]
)
def test_a_file_of_bad_rows_alone_has_failed_and_nothing_of_the_run_before_stays(
    score: Score, tmp_path: Path, name: str, bad: str
) -> None:
    good = "radius,texture\n1,2\n" if name.endswith("csv") else '{"radius": 1, "texture": 2}\n'
    score(name, good, tiny.classifier_package(tmp_path / "model"))
    target = tmp_path / f"scored-{name}"
    assert target.exists()
    with pytest.raises(InvalidInputError, match="none of the 2 rows") as error:
        score(name, bad)
    assert "secret" not in error.value.detail
    report = decode_book(Path(f"{target}.book.json").read_bytes())
    assert (report.state, _counts(report), len(report.outputs)) == ("failed", (2, 0, 2), 1)
    assert not target.exists()
    assert [line["row"] for line in _errors(Path(f"{target}.errors.jsonl"))] == [1, 2]
    score(name, good)
    assert decode_book(Path(f"{target}.book.json").read_bytes()).state == "scored"


def test_a_clean_run_leaves_no_file_of_errors_and_takes_away_that_of_the_run_before(
    score: Score, tmp_path: Path
) -> None:
    errors = tmp_path / "scored-in.csv.errors.jsonl"
    score("in.csv", "radius,texture\n1,2\nx,2\n", tiny.classifier_package(tmp_path / "model"))
    assert errors.exists()

    report = score("in.csv", "radius,texture\n1,2\n")

    assert not errors.exists()
    assert [Path(written.key).name for written in report.outputs] == ["scored-in.csv"]


def test_a_failure_removes_no_file_that_no_book_names(score: Score, tmp_path: Path) -> None:
    precious = tmp_path / "scored-in.csv"
    precious.write_text("not scored by us")
    with pytest.raises(InvalidInputError):
        score("in.csv", "radius\n1\n", tiny.classifier_package(tmp_path / "model"))
    assert precious.read_text() == "not scored by us"


def test_a_local_file_that_is_written_to_while_it_is_scored_has_no_verdict(
    store: Store, predictor: Predictor, tmp_path: Path
) -> None:
    tiny.publish(store, "m", tiny.classifier_package(tmp_path / "model"))
    source = tmp_path / "in.csv"
    source.write_text("radius,texture\n" + "1,2\n" * 5000)

    def append(_read: int, _size: int) -> None:
        with source.open("a") as file:
            file.write("3,4\n")

    with pytest.raises(InvalidInputError, match=r"in\.csv' was written to while it was scored: score it again"):
        score_path(predictor, parse_ref("m"), source, tmp_path / "out.csv", on_progress=append)
    assert list(tmp_path.glob("out.csv*")) == []


def test_a_local_file_that_another_takes_the_place_of_is_scored_as_it_was(
    store: Store, predictor: Predictor, tmp_path: Path
) -> None:
    tiny.publish(store, "m", tiny.classifier_package(tmp_path / "model"))
    source, other = tmp_path / "in.csv", tmp_path / "other.csv"
    content = "radius,texture\n" + "1,2\n" * 5000
    source.write_text(content)

    def replace_by_another(_read: int, _size: int) -> None:
        other.write_text("radius,texture\n9,9\n")
        other.replace(source)

    book = score_path(predictor, parse_ref("m"), source, tmp_path / "out.csv", on_progress=replace_by_another)
    assert book.source is not None
    assert book.source.digest == digest(content.encode())
    assert (_counts(book), len(_csv(tmp_path / "out.csv"))) == ((5000, 5000, 0), 5000)
