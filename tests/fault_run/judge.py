"""What must be true after a fault run. It is read by boto3, onnx and csv: nothing here is read by this package."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from vandals import Vandal

Line = dict[str, Any]


@dataclass(frozen=True)
class Served:
    """An answer to a row over HTTP: the version that it names, what was sent, what came."""

    version: int
    row: tuple[int, int]
    prediction: float


class Judge:
    """Holds a store, and what was served, to what the journals say."""

    def __init__(self, objects: Vandal, journals: Path, served: Iterable[Served]) -> None:
        self._objects = objects
        self._keys = objects.keys()
        self._served = list(served)
        self._lines: dict[str, list[Line]] = defaultdict(list)
        for journal in sorted(journals.iterdir()):
            for text in journal.read_text().splitlines():
                line = json.loads(text)
                self._lines[line["what"]].append(line)
        self._factors = {line["version"]: line["factor"] for line in self._lines["claims"]}

    @property
    def counts(self) -> Counter[str]:
        """How often what was acknowledged."""
        counted = Counter({what: len(lines) for what, lines in self._lines.items()})
        return counted + Counter({"predictions": len(self._served)})

    def complaints(self) -> list[str]:
        """Everything that is not as it must be."""
        return [*self._versions(), *self._moves(), *self._scored(), *self._answers()]

    def _versions(self) -> Iterator[str]:
        """What was published is there with its own graph unless somebody deleted it; what was deleted is not."""
        claimed = Counter(line["version"] for line in self._lines["claims"])
        yield from (f"version {version} was claimed {count} times" for version, count in claimed.items() if count > 1)
        standing = {int(key.split("/")[2]) for key in self._keys if key.endswith("/manifest.json")}
        touched = {line["version"] for line in self._lines["deletes"]}
        for line in self._lines["published"]:
            if line["version"] not in standing | touched:
                yield f"version {line['version']} was published and is gone"
        for line in self._lines["deleted"]:
            if line["version"] in standing:
                yield f"version {line['version']} was deleted and is there"
        for version in standing:
            graph = onnx.load_from_string(self._objects.read(f"models/m/{version}/model.onnx")).graph
            (factor,) = (float(numpy_helper.to_array(each)) for each in graph.initializer if each.name == "factor")
            if factor != self._factors.get(version):
                yield f"version {version} multiplies by {factor}, not by {self._factors.get(version)}"

    def _moves(self) -> Iterator[str]:
        """Every acknowledged move is in the history once, in its place."""
        alias = json.loads(self._objects.read("aliases/m/production.json"))
        archived = [
            json.loads(self._objects.read(key)) for key in self._keys if key.startswith("history/m/production/")
        ]
        entries = {entry["sequence"]: entry for entry in [*archived, alias["entry"]]}
        if sorted(entries) != list(range(1, alias["sequence"] + 1)):
            yield f"the history has {len(entries)} entries, the alias is at {alias['sequence']}"
        reasons = Counter(entry["why"] for entry in entries.values())
        for line in self._lines["moved"]:
            entry = entries.get(line["sequence"], {})
            if entry.get("why") != line["why"] or [route["version"] for route in entry["to"]] != [line["version"]]:
                yield f"move {line['sequence']} is {entry}, not {line}"
            if reasons[line["why"]] != 1:
                yield f"the move {line['why']} is in the history {reasons[line['why']]} times"

    def _scored(self) -> Iterator[str]:
        """Beside each upload stand answers to it, all of one version that was there."""
        for key in self._keys:
            if not key.startswith("batch/in/"):
                continue
            source, name = self._objects.read(key), key.replace("batch/in/", "batch/out/")
            if name + ".book.json" not in self._keys:
                yield f"{key} has no book"
                continue
            book = json.loads(self._objects.read(name + ".book.json"))
            if book["source"]["digest"] != "sha256:" + hashlib.sha256(source).hexdigest():
                yield f"the book of {key} is of another upload"
                continue
            factor = self._factors[book["scorer"]["version"]]
            expected = [(row["id"], _multiply(row["x0"], row["x1"], factor)) for row in _table(source)]
            scored = [(row["id"], float(row["prediction"])) for row in _table(self._objects.read(name))]
            if scored != expected:
                yield f"the answers beside {key} are not those of version {book['scorer']['version']}"

    def _answers(self) -> Iterator[str]:
        """Every answer over HTTP is that of the version that it names."""
        for answer in self._served:
            if answer.prediction != _multiply(*answer.row, self._factors[answer.version]):
                yield f"version {answer.version} answered {answer.prediction} to {answer.row}"


def _table(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode())))


def _multiply(first: float | str, second: float | str, factor: float) -> float:
    """Exact in single precision, as the graphs count: whole numbers below 2^24 times 14 at most."""
    return float(np.float32((float(first) + float(second)) * factor))
