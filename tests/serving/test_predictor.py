"""The predictor: what answers for a ref, and what does when things go wrong."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from faults import FragileStore
from models import tiny
from onnxlet.errors import (
    AliasNotFoundError,
    DeadlineExceededError,
    DigestMismatchError,
    GoldenMismatchError,
    IntegrityError,
    InvalidInputError,
    ModelNotFoundError,
    RejectedModelError,
    StoreUnavailableError,
    VersionNotFoundError,
)
from onnxlet.registry.registry import Registry
from onnxlet.serving.golden import decode_cases, encode_cases
from onnxlet.serving.predictor import Predictor, Served
from onnxlet.serving.routing import choose
from onnxlet.settings import MIB, Settings
from onnxlet.steps import Column, Steps, Tabular
from onnxlet.store import Store, open_store
from onnxlet.values import keys
from onnxlet.values.aliases import Route, decode_alias, encode
from onnxlet.values.digests import digest
from onnxlet.values.manifest import Manifest, decode_manifest, encode_manifest
from onnxlet.values.refs import parse_ref
from onnxlet.values.signature import Signature, TensorSpec

ROWS = np.array([[1.0, 2.0, 3.0], [2.0, 2.0, 1.0]], dtype=np.float32)
TTL = 10.0
"""Seconds of the test's clock, which stands still but for `outlast_ttl`."""


class Clock:
    """Seconds that pass when a test says so, but for a tick at each reading: no two moments are the same."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1e-6
        return self.now


class World:
    """A store that may fail, a registry on it, and a predictor that reads it."""

    def __init__(self, store: Store, folder: Path, **settings: Any) -> None:  # noqa: ANN401 - any setting
        self.store = FragileStore(store)
        self.registry = Registry(store, who="tests")
        self.folder = folder
        self.settings = replace(Settings(cache_dir=str(folder / "cache"), alias_ttl=TTL), **settings)
        self.clock = Clock()
        self.predictor = Predictor(self.store, self.settings, clock=self.clock)
        self._published = 0

    def publish(self, name: str = "diagnosis", *, alias: str | None = "production", **options: Any) -> Manifest:  # noqa: ANN401
        self._published += 1
        folder = self.folder / f"package-{self._published}"
        return tiny.publish(self.registry.store, name, tiny.classifier_package(folder, **options), alias=alias)

    def outlast_ttl(self) -> None:
        """Let the time pass after which nothing that was read is fresh."""
        self.clock.now += TTL * 1.2

    def served(self, ref: str = "diagnosis", routing_key: str | None = None) -> Served:
        return self.predictor.served(parse_ref(ref), routing_key)

    def spoil(self, version: int, path: str, change: Callable[[bytes], bytes], name: str = "diagnosis") -> None:
        """Change an artifact behind the registry's back."""
        key = keys.version_prefix(name, version) + path
        self.store.put(key, change(self.store.get(key).data))

    def publish_with_false_golden_cases(self, **options: Any) -> Manifest:  # noqa: ANN401 - a package's options
        """A version whose golden cases promise answers that its graph does not give."""
        self._published += 1
        draft, files = tiny.classifier_package(self.folder / f"package-{self._published}", **options)
        cases = decode_cases(files["golden.json"].read_bytes())
        for case in cases:
            case.outputs["probabilities"] = case.outputs["probabilities"][:, ::-1]
        files["golden.json"].write_bytes(encode_cases(cases))
        return tiny.publish(self.registry.store, "diagnosis", (draft, files))


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return World(store, tmp_path)


def summary(served: Served) -> tuple[int, str | None, bool, bool]:
    """Which version answers under which alias; whether it is stale, and a fallback."""
    return served.version, served.alias, served.stale, served.fallback


# what a ref means


def test_a_bare_name_means_production_and_predicts(world: World) -> None:
    world.publish()
    served = world.served()
    assert summary(served) == (1, "production", False, False)
    answer = served.model.predict({"input": ROWS})
    assert answer["label"].tolist() == ["benign", "malignant"]
    assert answer["probability"].tolist() == pytest.approx([0.5, 0.95257], abs=1e-4)


def test_refs_name_aliases_and_versions(world: World) -> None:
    world.publish()
    world.publish(alias="candidate", bias=5.0)
    assert summary(world.served("diagnosis@candidate")) == (2, "candidate", False, False)
    assert summary(world.served("diagnosis@production")) == (1, "production", False, False)
    assert summary(world.served("diagnosis:2")) == (2, None, False, False)
    assert world.served("diagnosis:2").model is world.served("diagnosis@candidate").model


def test_the_call_that_loads_says_how_long_it_took(world: World) -> None:
    world.publish()
    timings = world.served().timings
    assert timings is not None
    assert timings.keys() == {"fetch", "load"}
    assert world.served().timings is None
    assert world.served("diagnosis:1").timings is None


def test_unknown_names_are_told_apart(world: World) -> None:
    world.publish(alias="candidate")
    with pytest.raises(ModelNotFoundError, match="no model named 'prognosis'"):
        world.served("prognosis")
    with pytest.raises(ModelNotFoundError):
        world.served("prognosis:1")
    with pytest.raises(AliasNotFoundError, match=r"no alias 'beta': .*VERSION --to beta'"):
        world.served("diagnosis@beta")
    with pytest.raises(
        AliasNotFoundError, match="'production': promote a version with 'onnxlet promote diagnosis:VERSION'"
    ):
        world.served()
    with pytest.raises(VersionNotFoundError, match="serves no version 7"):
        world.served("diagnosis:7")


def test_a_version_that_no_alias_routed_to_is_not_served_but_may_be_loaded(world: World) -> None:
    world.publish(alias=None)
    with pytest.raises(VersionNotFoundError):
        world.served("diagnosis:1")
    assert world.predictor.load(parse_ref("diagnosis:1")).version == 1
    with pytest.raises(VersionNotFoundError):
        world.predictor.load(parse_ref("diagnosis:2"))
    with pytest.raises(ModelNotFoundError):
        world.predictor.load(parse_ref("prognosis:2"))


def test_loading_by_name_takes_the_alias(world: World) -> None:
    world.publish()
    assert summary(world.predictor.load(parse_ref("diagnosis"))) == (1, "production", False, False)


def test_a_version_stays_servable_after_its_alias_left(world: World) -> None:
    world.publish()
    world.publish()
    assert world.served("diagnosis:1").version == 1
    assert [status.version for status in world.predictor.statuses("diagnosis")] == [1, 2]
    assert {status.state for status in world.predictor.statuses("diagnosis")} == {"AVAILABLE"}


def test_statuses_of_an_unknown_model_are_none(world: World) -> None:
    with pytest.raises(ModelNotFoundError):
        world.predictor.statuses("prognosis")
    world.publish(alias=None)
    assert world.predictor.statuses("diagnosis") == []


def test_a_name_that_does_not_exist_is_looked_up_once_for_a_while(world: World) -> None:
    for _ in range(5):
        with pytest.raises(ModelNotFoundError):
            world.served("prognosis")
    assert world.store.reads[keys.alias_key("prognosis", "production")] == 1


# aliases move


def test_a_promotion_is_seen_after_the_ttl_and_not_asked_for_before(world: World) -> None:
    world.publish()
    first = world.served()
    world.publish(bias=9.0)
    world.outlast_ttl()
    second = world.served()
    assert (first.version, second.version) == (1, 2)
    assert second.model.predict({"input": ROWS})["label"].tolist() == ["malignant", "malignant"]
    assert first.model.predict({"input": ROWS})["label"].tolist() == ["benign", "malignant"]


def test_within_the_ttl_nothing_is_read(world: World) -> None:
    world.publish()
    world.served()
    world.publish()
    before = world.store.reads.total()
    assert world.served().version == 1
    assert world.store.reads.total() == before


def test_an_alias_that_did_not_move_keeps_its_model(world: World) -> None:
    world.publish()
    first = world.served()
    world.outlast_ttl()
    before = world.store.reads.total()
    assert world.served().model is first.model
    assert world.store.reads.total() == before + 1


def test_a_rollback_is_seen(world: World) -> None:
    world.publish()
    world.publish()
    assert world.served().version == 2
    world.registry.rollback("diagnosis")
    world.outlast_ttl()
    assert summary(world.served()) == (1, "production", False, False)


def test_an_alias_that_is_removed_is_gone(world: World) -> None:
    world.publish()
    world.served()
    world.store.delete(keys.alias_key("diagnosis", "production"))
    world.outlast_ttl()
    with pytest.raises(AliasNotFoundError):
        world.served()


def test_the_alias_of_another_model_is_refused(world: World) -> None:
    world.publish()
    world.publish("prognosis")
    stolen = world.store.get(keys.alias_key("prognosis", "production")).data
    world.store.put(keys.alias_key("diagnosis", "production"), stolen)
    with pytest.raises(IntegrityError, match="prognosis@production"):
        world.served()


def test_an_alias_whose_routes_alone_were_changed_is_not_followed(world: World) -> None:
    world.publish()
    world.publish(bias=3.0)
    world.served()
    key = keys.alias_key("diagnosis", "production")
    document = json.loads(world.store.get(key).data)
    document["routes"] = document["previous"][0]
    world.store.reads.clear()
    world.store.put(key, json.dumps(document).encode())
    world.outlast_ttl()
    assert summary(world.served()) == (2, "production", True, False)
    assert world.store.reads == {key: 2}  # what is damaged is read once more
    cold = Predictor(world.store, world.settings, clock=world.clock)
    with pytest.raises(IntegrityError, match="'diagnosis@production': the alias does not route where its entry says"):
        cold.served(parse_ref("diagnosis"))
    with pytest.raises(IntegrityError, match=f"'{key}': the alias does not route where its entry says"):
        cold.served(parse_ref("diagnosis:1"))
    world.registry.promote("diagnosis", 2, force=True, why="the alias was changed by hand")
    world.outlast_ttl()
    assert summary(world.served()) == (2, "production", False, False)


# weights


def weigh(world: World, *weights: float) -> None:
    key = keys.alias_key("diagnosis", "production")
    document = decode_alias(world.store.get(key).data)
    digests = [
        digest(world.store.get(keys.manifest_key("diagnosis", version)).data) for version in range(1, len(weights) + 1)
    ]
    routes = tuple(
        Route(version, weight, pinned) for version, (weight, pinned) in enumerate(zip(weights, digests, strict=True), 1)
    )
    world.store.put(key, encode(replace(document, routes=routes, entry=replace(document.entry, target=routes))))


def test_weights_share_the_traffic_and_a_routing_key_keeps_its_version(world: World) -> None:
    world.publish()
    world.publish(bias=3.0)
    weigh(world, 3, 1)
    by_key = {f"patient-{number}": world.served(routing_key=f"patient-{number}").version for number in range(400)}
    assert 250 < Counter(by_key.values())[1] < 350
    assert all(world.served(routing_key=key).version == version for key, version in by_key.items())
    at_random = Counter(world.served().version for _ in range(400))
    assert 240 < at_random[1] < 360


def test_growing_a_share_moves_nobody_back() -> None:
    def chosen(share: float) -> dict[str, int]:
        routes = (Route(1, 1 - share, "a"), Route(2, share, "b"))
        return {str(key): choose(routes, "diagnosis", str(key)).version for key in range(300)}

    ten, half = chosen(0.1), chosen(0.5)
    assert all(half[key] == 2 for key, version in ten.items() if version == 2)


def test_routing_does_not_depend_on_the_process() -> None:
    routes = (Route(1, 1, "a"), Route(2, 1, "b"))
    assert [choose(routes, "diagnosis", key).version for key in "abcdefgh"] == [1, 2, 1, 2, 2, 1, 2, 1]


# the store goes away


def test_while_the_store_is_down_what_is_loaded_goes_on_as_stale(world: World) -> None:
    world.publish()
    world.served()
    world.served("diagnosis:1")
    world.store.down = True
    world.outlast_ttl()
    assert summary(world.served()) == (1, "production", True, False)
    assert summary(world.served("diagnosis:1")) == (1, None, True, False)
    world.store.down = False
    world.publish()
    world.outlast_ttl()
    assert summary(world.served()) == (2, "production", False, False)


def test_a_store_that_is_down_is_not_asked_by_every_request(store: Store, tmp_path: Path) -> None:
    world = World(store, tmp_path)
    world.publish()
    world.served()
    cold = Predictor(world.store, world.settings, clock=world.clock)
    world.store.down = True
    for _ in range(20):
        with pytest.raises(StoreUnavailableError):
            cold.served(parse_ref("diagnosis"))
    world.outlast_ttl()
    before = world.store.reads.total()
    for _ in range(20):
        world.served()
    assert world.store.reads.total() == before + 1
    assert world.store.reads[keys.alias_key("diagnosis", "production")] <= 4


def test_a_version_that_cannot_be_fetched_leaves_the_one_before_in_place(world: World) -> None:
    world.publish()
    world.served()
    world.publish()
    manifest = keys.manifest_key("diagnosis", 2)

    def fail(_: bytes) -> bytes:
        raise StoreUnavailableError("the store went down meanwhile")

    world.store.changed[manifest] = fail
    world.outlast_ttl()
    assert summary(world.served()) == (1, "production", True, False)
    del world.store.changed[manifest]
    world.outlast_ttl()
    assert summary(world.served()) == (2, "production", False, False)


def test_ready_means_that_the_store_answers(world: World) -> None:
    world.predictor.ready()
    world.store.down = True
    with pytest.raises(StoreUnavailableError):
        world.predictor.ready()


# bytes that are not those promised


def flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize("path", ["model.onnx", "golden.json"])
@pytest.mark.parametrize(
    "change", [flip, lambda data: data[:10], lambda _: b""], ids=["tampered", "truncated", "empty"]
)
def test_a_spoiled_artifact_is_never_served(path: str, change: Callable[[bytes], bytes], world: World) -> None:
    manifest = world.publish()
    world.spoil(1, path, change)
    promised = next(artifact.digest for artifact in manifest.artifacts if artifact.path == path)
    world.store.reads.clear()
    for _ in range(2):
        with pytest.raises(DigestMismatchError, match=promised):
            world.served()
    assert world.store.reads[keys.version_prefix("diagnosis", 1) + path] == 2  # twice at once, and then not again


def test_a_spoiled_manifest_is_never_served(world: World) -> None:
    world.publish()
    pinned = digest(world.store.get(keys.manifest_key("diagnosis", 1)).data)
    world.spoil(1, "manifest.json", flip)
    with pytest.raises(DigestMismatchError, match=pinned):
        world.served()


def test_a_spoiled_version_leaves_the_one_in_memory_in_place(world: World) -> None:
    world.publish()
    world.served()
    world.publish()
    world.spoil(2, "model.onnx", flip)
    world.outlast_ttl()
    assert summary(world.served()) == (1, "production", False, True)
    world.spoil(2, "model.onnx", flip)
    world.outlast_ttl()
    assert summary(world.served()) == (2, "production", False, False)


def republish(world: World, change: Callable[[Manifest], Manifest]) -> None:
    """Publish, then let manifest and alias say something else, with digests that fit."""
    world.publish()
    key = keys.manifest_key("diagnosis", 1)
    data = encode_manifest(change(decode_manifest(world.store.get(key).data)))
    world.store.put(key, data)
    alias = keys.alias_key("diagnosis", "production")
    document = decode_alias(world.store.get(alias).data)
    routes = (Route(1, 1.0, digest(data)),)
    world.store.put(alias, encode(replace(document, routes=routes, entry=replace(document.entry, target=routes))))


@pytest.mark.parametrize(
    "graph",
    [
        Signature((TensorSpec("other", "FP32", (-1, 3)),), ()),
        Signature((TensorSpec("input", "FP64", (-1, 3)),), ()),
        Signature((TensorSpec("input", "FP32", (-1, 4)),), ()),
        Signature((TensorSpec("input", "FP32", (-1,)),), ()),
        Signature((), ()),
    ],
    ids=["name", "datatype", "shape", "rank", "count"],
)
def test_a_signature_that_disagrees_with_its_manifest_is_rejected(graph: Signature, world: World) -> None:
    republish(
        world,
        lambda manifest: replace(manifest, graph=Signature(graph.inputs, manifest.graph.outputs), golden=None),
    )
    with pytest.raises(RejectedModelError, match="another signature than its manifest says"):
        world.served()


def test_steps_that_speak_of_what_the_graph_lacks_are_rejected(world: World) -> None:
    republish(
        world,
        lambda manifest: replace(manifest, steps=Steps((Tabular(columns=(), input="nope"),)).documents),
    )
    with pytest.raises(RejectedModelError, match="'nope', 'probability', which the graph lacks"):
        world.served()


def test_a_manifest_of_another_version_is_refused(world: World) -> None:
    republish(world, lambda manifest: replace(manifest, version=2))
    with pytest.raises(IntegrityError, match="'diagnosis:2'"):
        world.served()


def test_golden_cases_that_no_artifact_holds_are_refused(world: World) -> None:
    republish(
        world,
        lambda manifest: replace(
            manifest, artifacts=tuple(artifact for artifact in manifest.artifacts if artifact.path != "golden.json")
        ),
    )
    with pytest.raises(IntegrityError, match=r"golden\.json"):
        world.served()


# golden cases


def test_a_version_that_fails_its_golden_cases_lets_the_previous_one_answer(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.publish()
    world.publish_with_false_golden_cases()
    with caplog.at_level(logging.INFO):
        served = world.served()
    assert summary(served) == (1, "production", False, True)
    assert served.model.predict({"input": ROWS})["label"].tolist() == ["benign", "malignant"]
    assert any(record.levelno == logging.ERROR and "golden case" in record.message for record in caplog.records)


def test_a_refused_version_is_not_tried_again(world: World) -> None:
    world.publish()
    world.publish_with_false_golden_cases()
    for _ in range(3):
        assert summary(world.served()) == (1, "production", False, True)
        world.outlast_ttl()
    assert world.store.reads[keys.version_prefix("diagnosis", 2) + "model.onnx"] == 1


def test_the_newest_previous_version_that_loads_answers(world: World) -> None:
    world.publish()
    world.publish()
    world.publish_with_false_golden_cases()
    world.publish_with_false_golden_cases()
    assert world.served().version == 2


def test_a_previous_version_that_is_gone_is_passed_over(world: World) -> None:
    world.publish()
    world.publish()
    world.publish_with_false_golden_cases()
    world.registry.delete("diagnosis", 2, force=True)
    assert world.served().version == 1


def test_without_a_previous_version_the_failure_is_raised(world: World) -> None:
    world.publish_with_false_golden_cases()
    for _ in range(2):
        with pytest.raises(GoldenMismatchError, match="golden case 1 of 1"):
            world.served()


def test_a_manifest_may_refuse_instead(world: World) -> None:
    world.publish()
    world.served()
    world.publish_with_false_golden_cases(on_golden_failure="refuse")
    world.outlast_ttl()
    with pytest.raises(GoldenMismatchError):
        world.served()


def test_a_refused_version_is_not_served_by_number_either(world: World) -> None:
    world.publish()
    world.publish_with_false_golden_cases()
    with pytest.raises(GoldenMismatchError):
        world.served("diagnosis:2")


# many at once, and many in memory


def test_requests_that_come_together_load_once(world: World) -> None:
    world.publish()
    world.store.slow = 0.02
    with ThreadPoolExecutor(8) as pool:
        served = list(pool.map(lambda _: world.served(), range(16)))
    assert len({id(each.model) for each in served}) == 1
    assert sum(each.timings is not None for each in served) == 1
    assert world.store.reads[keys.version_prefix("diagnosis", 1) + "model.onnx"] == 1


def test_only_one_thread_asks_for_an_alias_again(world: World) -> None:
    world.publish()
    world.served()
    world.outlast_ttl()
    world.store.slow = 0.05
    before = world.store.reads.total()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: world.served(), range(8)))
    assert world.store.reads.total() <= before + 2


def test_waiting_for_another_threads_load_ends_at_the_deadline(store: Store, tmp_path: Path) -> None:
    world = World(store, tmp_path, load_deadline=0.1)
    world.publish()
    world.store.slow = 0.3
    with ThreadPoolExecutor(2) as pool:
        outcomes = [pool.submit(world.predictor.load, parse_ref("diagnosis")) for _ in range(2)]
        errors = [outcome.exception() for outcome in outcomes]
    assert {type(error) for error in errors} <= {DeadlineExceededError, StoreUnavailableError}


def publish_big(world: World, name: str) -> None:
    tiny.publish(world.store, name, tiny.package(tiny.big(4), world.folder / name))


def test_models_in_memory_are_bounded_and_the_least_recently_used_goes(store: Store, tmp_path: Path) -> None:
    world = World(store, tmp_path, session_memory=9 * MIB)
    for name in ("a", "b", "c"):
        publish_big(world, name)
    kept = world.served("a")
    world.served("b")
    world.served("a")
    world.served("c")
    assert world.served("a").timings is None
    assert world.served("c").timings is None
    assert world.served("b").timings is not None
    assert kept.model.predict({"x": np.zeros((1, 1024), np.float32)})["y"].shape == (1, 1024)


def test_a_model_larger_than_the_bound_is_served_all_the_same(store: Store, tmp_path: Path) -> None:
    world = World(store, tmp_path, session_memory=MIB)
    publish_big(world, "a")
    world.served("a")
    assert world.served("a").timings is None


def test_preloading_loads_what_it_can(store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = World(store, tmp_path, preload="prognosis, diagnosis,, di agnosis")
    world.publish()
    world.predictor.preload()
    assert world.served().timings is None
    assert [record.levelno for record in caplog.records].count(logging.ERROR) == 2


def test_s3_serves_the_same(s3_store_url: str, tmp_path: Path) -> None:
    world = World(open_store(s3_store_url), tmp_path)
    world.publish()
    package = tiny.package(
        tiny.big(20), tmp_path / "big", external=True, golden=[{"x": np.zeros((1, 1024), np.float32)}]
    )
    tiny.publish(world.store, "big", package)
    assert summary(world.served()) == (1, "production", False, False)
    assert world.served("big").model.predict({"x": np.zeros((1, 1024), np.float32)})["y"].sum() == 0
    world.outlast_ttl()
    world.publish()
    assert world.served().version == 2


# ways in and out of a model


def test_columns_are_a_signature_of_their_own(world: World) -> None:
    world.publish()
    model = world.served().model
    assert list(model.signatures) == ["serving_default", "columns"]
    assert model.signatures["columns"].inputs == (
        TensorSpec("radius", "FP32", (-1,)),
        TensorSpec("texture", "FP32", (-1,)),
        TensorSpec("area", "FP32", (-1,)),
    )
    answer = model.predict({"radius": np.array([2.0]), "texture": np.array([2.0])}, "columns")
    assert answer["label"].tolist() == ["malignant"]


def test_columns_that_are_graph_inputs_are_the_default_way_in(world: World) -> None:
    columns = Tabular(columns=(Column("age", "INT64"), Column("sex", "BYTES", default="female")))
    tiny.publish(world.store, "age", tiny.package(tiny.column_inputs(), world.folder / "p", steps=Steps((columns,))))
    model = world.served("age").model
    assert model.signatures["serving_default"] == model.signatures["columns"]
    assert model.predict({"age": np.array([41])})["prediction"].tolist() == [[42.0]]


def test_outputs_may_be_chosen(world: World) -> None:
    world.publish()
    model = world.served().model
    assert list(model.predict({"input": ROWS}, outputs=["probability"])) == ["probability"]
    with pytest.raises(InvalidInputError, match="no output 'odds', only 'label', 'probability', 'probabilities'"):
        model.predict({"input": ROWS}, outputs=["odds"])


def test_another_signature_is_the_callers_fault(world: World) -> None:
    world.publish()
    with pytest.raises(InvalidInputError, match="no signature 'rows', only 'serving_default', 'columns'"):
        world.served().model.predict({"input": ROWS}, "rows")
