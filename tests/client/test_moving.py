"""Promotions and rollbacks over HTTP: done once or not at all, whatever happens on the way."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import onnxlet
from models import tiny
from onnxlet.client import Client
from onnxlet.errors import (
    AliasNotFoundError,
    ContractMissingError,
    DeadlineExceededError,
    InvalidInputError,
    InvalidNameError,
    ModelNotFoundError,
    NothingToRollBackError,
    PreconditionFailedError,
    UnavailableError,
    VersionNotFoundError,
)
from onnxlet.registry.reading.requirements import Requirements
from onnxlet.registry.registry import Registry
from onnxlet.store import open_store
from registries import publish, routed
from scripted import PassOn, Received, Reply, Reset, Scripted, Server, between, serving

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`onnxlet serve` over an empty store."""
    folder = tmp_path_factory.mktemp("moving")
    with serving((folder / "store").as_uri(), folder / "cache") as server:
        yield server


@pytest.fixture
def model(server: Server, tmp_path: Path) -> str:
    """A fresh model of three versions, the first of them in production."""
    name = f"m-{uuid.uuid4().hex}"
    registry = Registry(open_store(server.store), who="tests")
    for _ in range(3):
        publish(registry, tmp_path, name)
    registry.promote(name, 1)
    return name


class Once:
    """Does something else with the first request that would move an alias."""

    def __init__(self, trouble: Callable[[PassOn], Reply | Reset]) -> None:
        self._trouble = trouble
        self._left = 1

    def __call__(self, request: Received, pass_on: PassOn) -> Reply | Reset:
        if request.method == "GET" or not self._left:
            return pass_on()
        self._left -= 1
        return self._trouble(pass_on)


def done_and_cut_off(pass_on: PassOn) -> Reset:
    pass_on()
    return Reset()


def done_and_then_busy(pass_on: PassOn) -> Reply:
    pass_on()
    return Reply(503)


def cut_off(_: PassOn) -> Reset:
    return Reset()


def busy(_: PassOn) -> Reply:
    return Reply(429)


def client_of(server: Server | Scripted) -> Client:
    return onnxlet.connect(server.url, timeout=20)


def test_a_promotion_and_a_rollback_are_seen_in_the_history(server: Server, model: str) -> None:
    client = client_of(server)
    assert routed(client.promote(model, 2, why="recall 0.98")) == [2]
    assert routed(client.promote(model, 3, alias="candidate")) == [3]
    assert routed(client.rollback(model, why="drift")) == [1]
    aliases = client.aliases(model)
    assert {name: routed(alias) for name, alias in aliases.items()} == {"production": [1], "candidate": [3]}
    moves = [(entry.action, entry.why) for entry in client.history(model)]
    assert moves == [("promote", ""), ("promote", "recall 0.98"), ("rollback", "drift")]
    assert [entry.sequence for entry in client.history(model, "candidate")] == [1]


def test_models_and_versions_are_listed(server: Server, model: str) -> None:
    client = client_of(server)
    assert model in client.models()
    versions = client.versions(model)
    assert [(version.version, version.state, version.aliases) for version in versions] == [
        (1, "published", ("production",)),
        (2, "published", ()),
        (3, "published", ()),
    ]
    assert versions[0].size == len(b"graph")
    assert client.ready()


@pytest.mark.parametrize("trouble", [done_and_cut_off, done_and_then_busy, cut_off, busy])
def test_a_promotion_is_made_once_whatever_happens_to_its_answer(
    server: Server, model: str, trouble: Callable[[PassOn], Reply | Reset]
) -> None:
    with between(server.url, Once(trouble)) as proxy:
        assert routed(client_of(proxy).promote(model, 2, why="better")) == [2]
    assert [entry.why for entry in client_of(server).history(model)] == ["", "better"]


@pytest.mark.parametrize("trouble", [done_and_cut_off, done_and_then_busy, cut_off, busy])
def test_a_rollback_is_made_once_and_never_goes_further_back(
    server: Server, model: str, trouble: Callable[[PassOn], Reply | Reset]
) -> None:
    client = client_of(server)
    client.promote(model, 2)
    client.promote(model, 3)
    with between(server.url, Once(trouble)) as proxy:
        assert routed(client_of(proxy).rollback(model)) == [2]
    assert [entry.action for entry in client.history(model)] == 3 * ["promote"] + ["rollback"]


@pytest.mark.parametrize("trouble", [done_and_cut_off, cut_off])
def test_a_new_alias_is_made_once(server: Server, model: str, trouble: Callable[[PassOn], Reply | Reset]) -> None:
    with between(server.url, Once(trouble)) as proxy:
        assert routed(client_of(proxy).promote(model, 2, alias="canary")) == [2]
    assert len(client_of(server).history(model, "canary")) == 1


def test_a_server_that_stays_cut_off_is_given_up_and_nothing_was_done(server: Server, model: str) -> None:
    def never(request: Received, pass_on: PassOn) -> Reply | Reset:
        return pass_on() if request.method == "GET" else Reset()

    with between(server.url, never) as proxy, pytest.raises(UnavailableError, match="no server answers"):
        onnxlet.connect(proxy.url, retries=1).promote(model, 2)
    assert proxy.asked.count(f"PUT /registry/models/{model}/aliases/production") == 2
    assert len(client_of(server).history(model)) == 1


def test_a_server_that_is_gone_after_the_request_leaves_a_question_which_is_told(server: Server, model: str) -> None:
    gone = threading.Event()

    def goes(request: Received, pass_on: PassOn) -> Reply | Reset:
        if request.method != "GET":
            gone.set()
            pass_on()
        return Reset() if gone.is_set() else pass_on()

    with between(server.url, goes) as proxy, pytest.raises(UnavailableError, match=r"is not known .*look at it once"):
        onnxlet.connect(proxy.url, retries=1).promote(model, 2)
    assert routed(client_of(server).aliases(model)["production"]) == [2]


def test_a_slow_server_is_not_asked_twice(server: Server, model: str) -> None:
    with between(server.url, Once(lambda _: Reply(after=20))) as proxy, pytest.raises(DeadlineExceededError):
        onnxlet.connect(proxy.url, timeout=2).promote(model, 2)
    assert sum(not asked.startswith("GET") for asked in proxy.asked) == 1


def test_a_wait_that_is_too_long_is_not_waited_for(server: Server, model: str) -> None:
    with (
        between(server.url, Once(lambda _: Reply(503, headers={"Retry-After": "3600"}))) as proxy,
        pytest.raises(UnavailableError) as raised,
    ):
        client_of(proxy).promote(model, 2)
    assert raised.value.context["retry_after"] == 3600


@pytest.mark.parametrize("trouble", ["before", "after"])
def test_an_alias_that_somebody_else_moved_meanwhile_is_left_to_them(server: Server, model: str, trouble: str) -> None:
    def somebody_else(pass_on: PassOn) -> Reply | Reset:
        client_of(server).promote(model, 3, why="mine")
        return pass_on() if trouble == "before" else Reset()

    with (
        between(server.url, Once(somebody_else)) as proxy,
        pytest.raises(PreconditionFailedError, match="moved by somebody else meanwhile: look and decide anew"),
    ):
        client_of(proxy).promote(model, 2, why="ours")
    assert [entry.why for entry in client_of(server).history(model)] == ["", "mine"]


def test_what_the_registry_refuses_is_raised_as_what_it_is(server: Server, model: str) -> None:
    client = client_of(server)
    for call, kind in (
        (lambda: client.promote(model, 9), VersionNotFoundError),
        (lambda: client.promote("nobody", 1), ModelNotFoundError),
        (lambda: client.promote(model, 0), InvalidInputError),
        (lambda: client.promote("../m", 1), InvalidNameError),
        (lambda: client.promote(model, 1, alias="a/b"), InvalidNameError),
        (lambda: client.rollback(model), NothingToRollBackError),
        (lambda: client.rollback(model, alias="canary"), AliasNotFoundError),
        (lambda: client.versions("nobody"), ModelNotFoundError),
        (lambda: client.aliases("nobody"), ModelNotFoundError),
        (lambda: client.history(model, "canary"), AliasNotFoundError),
        (lambda: client.history("a?b"), InvalidNameError),
    ):
        with pytest.raises(kind):
            call()


def test_a_contract_that_is_asked_for_can_be_forced_past_with_a_reason(tmp_path: Path) -> None:
    store = open_store((tmp_path / "store").as_uri())
    registry = Registry(store, who="tests")
    tiny.publish(store, "m", tiny.classifier_package(tmp_path / "one"), alias=None)
    registry.require(Requirements(require_contract=True))
    with serving(store.url, tmp_path / "cache") as server:
        client = client_of(server)
        with pytest.raises(ContractMissingError):
            client.promote("m", 1)
        assert routed(client.promote("m", 1, force=True, why="an emergency")) == [1]
