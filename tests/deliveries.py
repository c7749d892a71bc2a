"""What tests of deliveries share: files, and what a scored set must be, read back by Python's own csv and json."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from models import tiny
from onnxlet.batch.book import decode_book
from onnxlet.batch.objects import score_object
from onnxlet.errors import InvalidInputError, ObjectNotFoundError
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import Store
from onnxlet.values.digests import digest

IN = "batch/in/m/ward/rows.csv"
OUT = "batch/out/m/ward/rows.csv"
BROKEN = b"radius\n1\n"
"""A file that lacks a column."""


class KilledError(BaseException):
    """The process is no more."""


def rows(tag: str, count: int = 5, bad: int = 1) -> bytes:
    """A file of `count` rows, the last `bad` of which have no number."""
    lines = [f"{tag}-{number},{'x' if number >= count - bad else number},1" for number in range(count)]
    return "\n".join(["id,radius,texture", *lines, ""]).encode()


def publish(store: Store, folder: Path, bias: float = 0.0) -> None:
    """Publish another version of `m` and promote it; with much bias the answers are others."""
    tiny.publish(store, "m", tiny.classifier_package(folder / f"model{bias}", bias=bias))


def make_predictor(store: Store, folder: Path) -> Predictor:
    return Predictor(store, Settings(store=store.url, cache_dir=str(folder / "cache"), alias_ttl=0))


def deliver(store: Store, predictor: Predictor, key: str = IN) -> None:
    """One delivery; that the file fails is its verdict."""
    try:
        score_object(store, predictor, key)
    except InvalidInputError:
        return


def version_of(store: Store) -> int:
    """The version that the book names."""
    scorer = decode_book(store.get(OUT + ".book.json").data).scorer
    assert scorer is not None
    return scorer.version


def assert_one_set(store: Store, content: bytes, name: str = OUT) -> None:
    """Output, errors and book are those of this content and of no other."""
    book = decode_book(store.get(name + ".book.json").data)
    assert book.source is not None
    assert (book.source.digest, book.source.size) == (digest(content), len(content))
    for written in book.outputs:
        stored = store.get(written.key)
        assert (written.digest, written.size, written.etag) == (digest(stored.data), len(stored.data), stored.etag)
    standing = {entry.key for entry in store.list(name)}
    assert standing == {name + ".book.json", *(written.key for written in book.outputs)}
    table = list(csv.DictReader(io.StringIO(content.decode())))
    good = [row["id"] for row in table if "id" in row and row["radius"] != "x"]
    bad = [number for number, row in enumerate(table, start=1) if row["radius"] == "x"]
    if not good:
        assert book.state == "failed"
        assert _bad_rows(store, name) == bad
        return
    assert book.state == "scored"
    scored = list(csv.DictReader(io.StringIO(store.get(name).data.decode())))
    assert [row["id"] for row in scored] == good
    assert _bad_rows(store, name) == bad
    assert book.rows is not None
    assert (book.rows.read, book.rows.scored, book.rows.errors) == (len(table), len(good), len(bad))


def _bad_rows(store: Store, name: str) -> list[int]:
    try:
        lines = store.get(name + ".errors.jsonl").data.splitlines()
    except ObjectNotFoundError:
        return []
    return [json.loads(line)["row"] for line in lines]
