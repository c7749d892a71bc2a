"""The judge of the fault run complains of everything that can be lost, mixed or wrong."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fault_run.judge import Judge, Served
from fault_run.workers import Job, Journal, begin, publisher
from onnxlet.batch.objects import score_object
from onnxlet.registry.registry import Registry
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import open_store
from vandals import FileVandal, edit

pytestmark = pytest.mark.slow

KEYS = [f"batch/in/m/{number}.csv" for number in range(6)]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store in which everything went well, and its journals."""
    folder = tmp_path_factory.mktemp("calm")
    url = (folder / "store").as_uri()
    begin(Job("publisher", 0, 0, 1, url, folder, {}))
    job = Job("promoter", 0, 0, 1, url, folder, {})
    registry, journal = Registry(open_store(url), who="promoter-0"), Journal(job)
    publisher(Job("publisher", 1, 0, 1, url, folder, {}), registry, journal, random.Random(1))()  # noqa: S311
    moved = registry.promote("m", 3, why="a reason")
    journal.write("moved", why="a reason", sequence=moved.sequence, version=3)
    journal.write("deletes", version=2)
    registry.delete("m", 2, days=0)
    journal.write("deleted", version=2)
    predictor = Predictor(registry.store, Settings(store=url, cache_dir=str(folder / "cache")))
    for key in KEYS:
        score_object(registry.store, predictor, key)
    return folder


class Scene:
    """A copy of the calm store, to be spoilt."""

    def __init__(self, folder: Path) -> None:
        self.journals = folder / "journals"
        self.objects = FileVandal(folder / "store")
        self.served = [Served(3, (2, 3), 5 * 1_000_001.0), Served(1, (1, 1), 2.0)]

    def complaints(self) -> list[str]:
        return Judge(self.objects, self.journals, self.served).complaints()

    def note(self, what: str, **facts: object) -> None:
        with (self.journals / "more.jsonl").open("a") as file:
            file.write(json.dumps({"what": what, "who": "more", **facts}) + "\n")


@pytest.fixture
def scene(calm: Path, tmp_path: Path) -> Scene:
    """A copy of the calm store."""
    for name in ("store", "journals"):
        shutil.copytree(calm / name, tmp_path / name)
    return Scene(tmp_path)


def test_a_calm_run_gives_no_complaint(scene: Scene) -> None:
    assert scene.complaints() == []
    counts = Judge(scene.objects, scene.journals, scene.served).counts
    assert (counts["published"], counts["moved"], counts["deleted"], counts["predictions"]) == (3, 1, 1, 2)


def bring_back(scene: Scene) -> None:
    scene.objects.write("models/m/2/model.onnx", scene.objects.read("models/m/1/model.onnx"))
    scene.objects.write("models/m/2/manifest.json", b"{}")


def swap_graphs(scene: Scene) -> None:
    scene.objects.write("models/m/3/model.onnx", scene.objects.read("models/m/1/model.onnx"))


def mix_answers(scene: Scene) -> None:
    header, *others, last = scene.objects.read("batch/out/m/0.csv").splitlines()
    cells = last.split(b",")
    place = header.split(b",").index(b"prediction")
    cells[place] = b"%f" % (float(cells[place]) + 1)
    scene.objects.write("batch/out/m/0.csv", b"\n".join([header, *others, b",".join(cells)]))


SPOILT: dict[str, Callable[[Scene], None]] = {
    "version 1 was published and is gone": lambda scene: scene.objects.remove("models/m/1/manifest.json"),
    "version 2 was deleted and is there": bring_back,
    "version 3 multiplies by 1": swap_graphs,
    "version 3 was claimed 2 times": lambda scene: scene.note("claims", version=3, factor=1_000_001),
    "move 2 is": lambda scene: scene.note("moved", why="lost", sequence=2, version=3),
    "the move lost is in the history 0 times": lambda scene: scene.note("moved", why="lost", sequence=9, version=3),
    "the history has 1 entries": lambda scene: scene.objects.remove("history/m/production/0000000001.json"),
    "batch/in/m/0.csv has no book": lambda scene: scene.objects.remove("batch/out/m/0.csv.book.json"),
    "the book of batch/in/m/0.csv is of another upload": lambda scene: scene.objects.write(
        "batch/in/m/0.csv", scene.objects.read("batch/in/m/1.csv")
    ),
    "the answers beside batch/in/m/0.csv": mix_answers,
    "version 1 answered 3.0": lambda scene: scene.served.append(Served(1, (1, 1), 3.0)),
}


@pytest.mark.parametrize("complaint", SPOILT)
def test_what_is_wrong_is_complained_of(scene: Scene, complaint: str) -> None:
    SPOILT[complaint](scene)
    assert any(each.startswith(complaint) for each in scene.complaints()), scene.complaints()


def test_a_reason_that_was_changed_is_complained_of(scene: Scene) -> None:
    alias = json.loads(scene.objects.read("aliases/m/production.json"))
    edit(scene.objects, "aliases/m/production.json", entry=alias["entry"] | {"why": "another reason"})
    assert scene.complaints()[0].startswith("move 2 is")
