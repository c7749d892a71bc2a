"""Pictures scored in batch: a list that names files, and a folder."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from doors import Shop
from onnxlet.batch.local_files import score_folder, score_path
from onnxlet.errors import InvalidInputError
from onnxlet.store import open_store
from onnxlet.values.refs import parse_ref
from pictures import BRIGHT, DARK, publish_films, written
from pictures import picture as a_picture

FILMS = parse_ref("films")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(open_store((tmp_path / "store").as_uri()), tmp_path / "shop")
    publish_films(shop)
    return shop


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A folder of pictures, one of them below it, one broken, and what is none."""
    folder = tmp_path / "films"
    (folder / "more").mkdir(parents=True)
    (folder / "a, b.jpg").write_bytes(DARK)
    (folder / "more" / "c.JPG").write_bytes(BRIGHT)
    (folder / "d.png").write_bytes(BRIGHT[:300])
    (folder / "notes.txt").write_text("none")
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def reasons(path: Path) -> dict[int, str]:
    return {row["row"]: row["error"] for row in map(json.loads, path.read_text().splitlines())}


def test_a_folder_is_scored_in_the_order_of_its_names(shop: Shop, films: Path, tmp_path: Path) -> None:
    book = score_folder(shop.predictor, FILMS, films, tmp_path / "scored.csv")

    scored = rows(tmp_path / "scored.csv")
    assert [(row["image"], row["label"], row["row"]) for row in scored] == [
        ("a, b.jpg", "dark", "1"),
        ("more/c.JPG", "bright", "3"),
    ]
    assert float(scored[1]["probability"]) > 0.5
    assert reasons(tmp_path / "scored.csv.errors.jsonl") == {
        2: "the picture is broken or cut off: it cannot be decoded as JPEG"
    }
    assert book.source is not None
    assert book.source.key == str(tmp_path / "scored.csv.list.csv")
    assert [row["image"] for row in rows(Path(book.source.key))] == ["a, b.jpg", "d.png", "more/c.JPG"]


def test_a_list_keeps_its_other_columns_and_names_files_from_its_own_folder(
    shop: Shop, films: Path, tmp_path: Path
) -> None:
    lines = [f"{number},more/c.JPG" for number in range(9)]
    (films / "list.csv").write_text("\n".join(["patient,image", *lines, "9,missing.jpg", "10,", "11,a\0b", "12,more"]))

    score_path(shop.predictor, FILMS, films / "list.csv", tmp_path / "scored.csv")

    assert [(row["patient"], row["label"]) for row in rows(tmp_path / "scored.csv")] == [
        (str(number), "bright") for number in range(9)
    ]
    said = reasons(tmp_path / "scored.csv.errors.jsonl")
    assert said[10] == "the picture's file cannot be read: No such file or directory"
    assert said.keys() == {10, 11, 12, 13}
    assert "missing.jpg" not in str(said)


def test_json_lines_name_files_too(shop: Shop, films: Path, tmp_path: Path) -> None:
    (films / "list.jsonl").write_text('{"image": "a, b.jpg"}\n{"image": "more/c.JPG"}\n')
    score_path(shop.predictor, FILMS, films / "list.jsonl", tmp_path / "scored.jsonl")
    assert [json.loads(line)["label"] for line in (tmp_path / "scored.jsonl").read_text().splitlines()] == [
        "dark",
        "bright",
    ]


def test_answers_are_those_of_a_prediction(shop: Shop, films: Path, tmp_path: Path) -> None:
    sizes = [(40, 30), (31, 44), (200, 17), (12, 12), (90, 91)]
    for number, size in enumerate(sizes):
        (films / "more" / f"{number}.png").write_bytes(written(a_picture(*size, seed=number)))
    score_folder(shop.predictor, FILMS, films / "more", tmp_path / "scored.csv")
    for row in rows(tmp_path / "scored.csv"):
        kind = "image/jpeg" if row["image"].endswith("JPG") else "image/png"
        answer = shop.predict("films", (films / "more" / row["image"]).read_bytes(), content_type=kind)
        (told,) = json.loads(answer.body)["predictions"]
        assert row["label"] == told["label"]
        assert float(row["probability"]) == pytest.approx(told["probability"], abs=1e-6)


def test_what_cannot_be_scored_as_a_whole_is_refused(shop: Shop, films: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInputError, match="there is no picture in the folder"):
        score_folder(shop.predictor, FILMS, tmp_path / "empty", tmp_path / "scored.csv")
    with pytest.raises(InvalidInputError, match="must be a CSV file"):
        score_folder(shop.predictor, FILMS, films, tmp_path / "scored.jsonl")
    (films / "list.csv").write_text("file\na.jpg\n")
    with pytest.raises(InvalidInputError, match="image"):
        score_path(shop.predictor, FILMS, films / "list.csv", tmp_path / "scored.csv")
