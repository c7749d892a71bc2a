"""One read that comes damaged is made again at once; damage that stays is not served, and costs a line of log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from faults import FragileStore
from models import tiny
from onnxlet.dataplane.dispatch import DataPlane
from onnxlet.dataplane.messages import Request, Response
from onnxlet.registry.registry import Registry
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import Store
from onnxlet.values.aliases import Route, encode
from onnxlet.values.digests import digest
from onnxlet.values.manifest import decode_manifest, encode_manifest
from onnxlet.values.refs import parse_ref

BODY = b'{"instances": [[1, 2, 3]]}'
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[:-7],
    "empty": lambda data: data[:0],
    "flipped": lambda data: bytes([data[0] ^ 1]) + data[1:],
}


class World:
    """A store with one model of two versions, whose reads come damaged as often as is said, and a data plane on it."""

    def __init__(self, store: Store, folder: Path) -> None:
        for number, bias in enumerate((0, 1)):
            tiny.publish(store, "diagnosis", tiny.classifier_package(folder / str(number), bias=bias))
        self.store = FragileStore(store)
        settings = Settings(cache_dir=str(folder / "cache"), alias_ttl=3600)
        self.predictor = Predictor(self.store, settings)
        self.dataplane = DataPlane(self.predictor)

    def damage(self, key: str, how: str, times: int) -> None:
        left = iter(range(times))

        def change(data: bytes) -> bytes:
            return DAMAGES[how](data) if next(left, None) is not None else data

        self.store.changed[key] = change

    def ask(self, path: str = "/v1/models/diagnosis:predict") -> Response:
        return self.dataplane.answer(Request("POST", path, headers={"content-type": "application/json"}, body=BODY))


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return World(store, tmp_path)


@pytest.fixture
def errors(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[logging.LogRecord]]]:
    """The errors that were logged."""
    with caplog.at_level(logging.INFO):
        yield lambda: [record for record in caplog.records if record.levelno >= logging.ERROR]


EVERY_OBJECT = pytest.mark.parametrize(
    "key",
    [
        "aliases/diagnosis/production.json",
        "models/diagnosis/2/manifest.json",
        "models/diagnosis/2/model.onnx",
        "models/diagnosis/2/golden.json",
    ],
)


@EVERY_OBJECT
@pytest.mark.parametrize("how", DAMAGES)
def test_a_read_that_comes_damaged_once_costs_no_request(
    world: World, errors: Callable[[], list[logging.LogRecord]], key: str, how: str
) -> None:
    world.damage(key, how, 1)

    assert world.ask().status == 200
    assert world.store.reads[key] == 2
    assert errors() == []


@pytest.mark.parametrize("key", ["aliases/diagnosis/production.json", "history/diagnosis/production/0000000001.json"])
def test_so_it_is_when_a_version_is_asked_for_by_its_number(world: World, key: str) -> None:
    world.damage(key, "flipped", 1)

    assert world.ask("/v1/models/diagnosis/versions/1:predict").status == 200


def test_and_when_a_published_version_is_loaded_by_the_command_line(world: World) -> None:
    world.damage("models/diagnosis/1/manifest.json", "cut", 1)

    assert world.predictor.load(parse_ref("diagnosis:1")).version == 1


@EVERY_OBJECT
def test_damage_that_stays_is_refused_with_lines_of_log_and_no_traceback(
    world: World, errors: Callable[[], list[logging.LogRecord]], key: str
) -> None:
    world.damage(key, "flipped", 1000)

    assert [world.ask().status for _ in range(3)] == [500] * 3

    assert world.store.reads[key] <= 4
    assert len(errors()) <= 4
    assert not [record for record in errors() if record.exc_info or "\n" in record.getMessage()]


def test_a_store_that_is_down_is_a_line_of_log_for_each_request(
    world: World, errors: Callable[[], list[logging.LogRecord]]
) -> None:
    world.store.down = True

    assert world.ask().status == 503

    (record,) = errors()
    assert (record.exc_info, record.getMessage()) == (None, "Store unavailable: the store is down")
    assert record.__dict__["problem"] == "store-unavailable"


@pytest.mark.parametrize("size", [-1, 0, 1, 2**20, 2**50])
def test_a_manifest_that_is_wrong_about_a_size_is_not_served_though_the_digest_is_right(
    store: Store, tmp_path: Path, size: int
) -> None:
    world = World(store, tmp_path)
    pin_wrong_size(store, size)

    response = world.ask()

    assert response.status == 500
    assert f"bytes, but its manifest promises {size}".encode() in bytes(response.body)  # type: ignore[arg-type]


def pin_wrong_size(store: Store, size: int) -> None:
    """Let `production` pin a manifest that names this size for its graph, as only who may write all of it could."""
    key = "models/diagnosis/2/manifest.json"
    manifest = decode_manifest(store.get(key).data)
    artifacts = (replace(each, size=size) if each.path == "model.onnx" else each for each in manifest.artifacts)
    data = encode_manifest(replace(manifest, artifacts=tuple(artifacts)))
    store.put(key, data)
    alias, _ = Registry(store).alias("diagnosis")
    routes = (Route(2, 1.0, digest(data)),)
    forged = replace(alias, routes=routes, entry=replace(alias.entry, target=routes))
    store.put("aliases/diagnosis/production.json", encode(forged))
