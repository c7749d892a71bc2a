"""The control plane over HTTP, as its clients see it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from onnxlet.controlplane.app import create_app
from onnxlet.errors import StoreUnavailableError
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.store import Blob, Store, open_store
from onnxlet.store.memory import MemoryStore
from onnxlet.values.digests import digest
from registries import publish

ALIAS = "/registry/models/m/aliases/production"


@pytest.fixture
def registry(store: Store, tmp_path: Path) -> Registry:
    """A registry in memory with two versions of the model `m` and no alias."""
    return stocked(store, tmp_path)


def stocked(store: Store, folder: Path) -> Registry:
    registry = Registry(store, who="ana")
    publish(registry, folder, graph=b"one")
    publish(registry, folder, graph=b"two")
    return registry


@pytest.fixture
def client(registry: Registry) -> Iterator[TestClient]:
    """A client of the control plane."""
    with connect(registry) as client:
        yield client


def connect(registry: Registry) -> TestClient:
    return TestClient(create_app(Settings(), registry), raise_server_exceptions=False)


def put(client: TestClient, version: int, url: str = ALIAS, **headers: str) -> Any:  # noqa: ANN401 - httpx2's response
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.put(url, json={"version": version, "why": "better"}, headers=named)


def test_models_versions_and_aliases_are_listed(client: TestClient, registry: Registry) -> None:
    assert client.get("/registry/models").json() == {"models": ["m"]}
    registry.promote("m", 2)
    overview = client.get("/registry/models/m").json()
    assert [(line["version"], line["state"], line["aliases"]) for line in overview["versions"]] == [
        (1, "published", []),
        (2, "published", ["production"]),
    ]
    assert overview["aliases"]["production"]["routes"][0]["version"] == 2
    assert client.get("/registry/models/m/versions").json() == {"model": "m", "versions": overview["versions"]}
    assert client.get("/registry/models/m/aliases").json() == {"model": "m", "aliases": overview["aliases"]}


def test_a_manifest_is_answered_as_stored_with_its_digest_as_etag(client: TestClient, registry: Registry) -> None:
    answer = client.get("/registry/models/m/versions/2")
    assert answer.content == registry.store.get("models/m/2/manifest.json").data
    assert answer.headers["etag"] == f'"{digest(answer.content)}"'
    again = client.get("/registry/models/m/versions/2", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_an_alias_that_has_not_changed_is_not_sent_again(client: TestClient, registry: Registry) -> None:
    registry.promote("m", 1)
    etag = client.get(ALIAS).headers["etag"]
    assert etag.startswith('"')
    assert client.get(ALIAS, headers={"If-None-Match": f'"other", W/{etag}'}).status_code == 304
    registry.promote("m", 2)
    assert client.get(ALIAS, headers={"If-None-Match": etag}).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"If_None_Match": "*"}])
def test_an_alias_is_created_by_put(client: TestClient, headers: dict[str, str]) -> None:
    answer = put(client, 1, **headers)
    assert answer.status_code == 201
    assert answer.json()["entry"] | {"when": ""} == {
        "schema": 1,
        "model": "m",
        "alias": "production",
        "sequence": 1,
        "action": "promote",
        "who": "ana",
        "when": "",
        "why": "better",
        "from": [],
        "to": answer.json()["routes"],
        "gates": {"accuracy-contract": "none"},
        "predecessor": None,
    }
    assert answer.headers["etag"] == client.get(ALIAS).headers["etag"]


@pytest.mark.parametrize("where", ["directory_url", "s3_store_url"])
def test_etags_of_every_store_go_out_and_come_back(where: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    url: str = request.getfixturevalue(where)
    with connect(stocked(open_store(url), tmp_path)) as client:
        etag = put(client, 1).headers["etag"]
        assert client.get(ALIAS, headers={"If-None-Match": etag}).status_code == 304
        assert put(client, 2, If_Match=etag).status_code == 200
        assert put(client, 1, If_Match=etag).status_code == 412


def test_an_alias_is_moved_by_whoever_knows_its_state(client: TestClient) -> None:
    etag = put(client, 1).headers["etag"]
    moved = put(client, 2, If_Match=f'"other", {etag}')
    assert moved.status_code == 200
    assert moved.json()["routes"][0]["version"] == 2
    assert put(client, 1, If_Match=moved.headers["etag"]).status_code == 200
    assert put(client, 1, If_Match="*").status_code == 200


def test_an_alias_that_routes_there_already_is_answered_as_it_is(client: TestClient) -> None:
    created = put(client, 1)

    again = put(client, 1, If_Match=created.headers["etag"])

    assert again.status_code == 200
    assert (again.json(), again.headers["etag"]) == (created.json(), created.headers["etag"])
    assert len(client.get("/registry/models/m/history").json()["entries"]) == 1


def test_an_alias_that_exists_is_not_moved_without_a_condition(client: TestClient) -> None:
    put(client, 1)
    answer = put(client, 2)
    assert answer.status_code == 428
    assert answer.json()["type"] == "/problems/precondition-required"
    assert "If-Match" in answer.json()["detail"]


def test_a_lost_condition_changes_nothing(client: TestClient) -> None:
    etag = put(client, 1).headers["etag"]
    put(client, 2, If_Match=etag)
    for headers in ({"If_Match": etag}, {"If_Match": f"W/{etag}"}, {"If_None_Match": "*"}):
        answer = put(client, 1, **headers)
        assert answer.status_code == 412
        assert answer.json()["type"] == "/problems/precondition-failed"
    assert client.get(ALIAS).json()["sequence"] == 2


def test_an_alias_that_does_not_exist_matches_nothing(client: TestClient) -> None:
    assert put(client, 1, If_Match="*").status_code == 412
    assert client.get(ALIAS).status_code == 404


@pytest.mark.parametrize("first", [False, True])
def test_of_concurrent_moves_of_one_state_exactly_one_wins(client: TestClient, first: bool) -> None:
    headers = {"If_None_Match": "*"} if first else {"If_Match": put(client, 1).headers["etag"]}
    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(lambda _: put(client, 2, **headers).status_code, range(8)))
    assert sorted(statuses) == [201 if first else 200] + [412] * 7
    assert len(client.get("/registry/models/m/history").json()["entries"]) == (1 if first else 2)


def test_a_retired_alias_is_created_anew(client: TestClient) -> None:
    put(client, 1)
    assert client.delete("/registry/models/m/versions/1?force=true").status_code == 204
    assert client.get(ALIAS).status_code == 404
    assert put(client, 2).json()["routes"][0]["version"] == 2


def test_rollback_needs_no_body(client: TestClient) -> None:
    etag = put(client, 1).headers["etag"]
    put(client, 2, If_Match=etag)
    rolled = client.post("/registry/models/m:rollback")
    assert (rolled.status_code, rolled.json()["routes"][0]["version"]) == (200, 1)


def test_a_path_with_a_slash_too_many_is_not_found(client: TestClient) -> None:
    assert client.get("/registry/models/", follow_redirects=False).status_code == 404


def test_reasons_with_control_characters_are_refused(client: TestClient) -> None:
    etag = put(client, 1).headers["etag"]
    for refused in (
        client.put(ALIAS, json={"version": 2, "why": "fine\nand more"}, headers={"If-Match": etag}),
        client.post("/registry/models/m:rollback", json={"why": "\u001b[2K"}),
    ):
        assert refused.status_code == 400
        assert "write it in one line" in refused.json()["detail"]


def test_an_alias_that_was_changed_by_hand_is_moved_by_force_alone(client: TestClient, store: Store) -> None:
    put(client, 1)
    key = "aliases/m/production.json"
    store.put(key, json.dumps(json.loads(store.get(key).data) | {"routes": []}).encode())
    assert client.get(ALIAS).status_code == 500
    plain = put(client, 2, If_Match="*")
    assert (plain.status_code, plain.json()["type"]) == (500, "/problems/history-broken")
    assert "force the move with a reason" in plain.json()["detail"]
    assert client.post("/registry/models/m:rollback").status_code == 500
    forced = client.put(ALIAS, json={"version": 2, "force": True, "why": "edited"}, headers={"If-Match": "*"})
    assert forced.status_code == 200
    assert forced.json()["entry"]["gates"]["history"].startswith("forced: ")
    assert client.get("/registry/models/m/history", params={"verify": True}).json()["verified"] == 2


def test_rollback_walks_back_under_a_condition_if_one_is_stated(client: TestClient) -> None:
    etag = put(client, 1).headers["etag"]
    put(client, 2, If_Match=etag)
    lost = client.post("/registry/models/m:rollback", json={"why": "worse"}, headers={"If-Match": etag})
    assert lost.status_code == 412
    rolled = client.post("/registry/models/m:rollback", json={"alias": "production", "why": "worse"})
    assert (rolled.status_code, rolled.json()["routes"][0]["version"]) == (200, 1)
    assert rolled.headers["etag"] == client.get(ALIAS).headers["etag"]
    nothing = client.post("/registry/models/m:rollback", json={}, headers={"If-Match": rolled.headers["etag"]})
    assert (nothing.status_code, nothing.json()["type"]) == (409, "/problems/nothing-to-roll-back")


def test_history_is_shown_and_proven(client: TestClient, registry: Registry) -> None:
    registry.promote("m", 1, why="first")
    registry.promote("m", 2, why="second")
    history = client.get("/registry/models/m/history").json()
    assert [entry["why"] for entry in history["entries"]] == ["first", "second"]
    assert (history["alias"], history["verified"]) == ("production", None)
    assert client.get("/registry/models/m/history?alias=production&verify=true").json()["verified"] == 2


def test_a_broken_history_is_told(client: TestClient, registry: Registry) -> None:
    registry.promote("m", 1)
    registry.promote("m", 2)
    entry = next(iter(registry.store.list("history/m/production/")))
    registry.store.put(entry.key, registry.store.get(entry.key).data.replace(b'"ana"', b'"eve"'))
    answer = client.get("/registry/models/m/history?verify=true")
    assert (answer.status_code, answer.json()["type"]) == (500, "/problems/history-broken")


def test_a_version_in_use_is_deleted_only_by_force(client: TestClient, registry: Registry) -> None:
    registry.promote("m", 2)
    assert client.delete("/registry/models/m/versions/1").status_code == 204
    refused = client.delete("/registry/models/m/versions/2")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/version-in-use")
    assert client.delete("/registry/models/m/versions/2?force=true").status_code == 204
    assert client.get("/registry/models").json() == {"models": []}


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/registry/models/x", "model-not-found"),
        ("/registry/models/x/versions", "model-not-found"),
        ("/registry/models/x/aliases", "model-not-found"),
        ("/registry/models/x/history", "model-not-found"),
        ("/registry/models/m/versions/3", "version-not-found"),
        ("/registry/models/m/aliases/production", "alias-not-found"),
        ("/registry/models/m/history?alias=candidate", "alias-not-found"),
        ("/registry/models/m/nothing", "route-not-found"),
        ("/", "route-not-found"),
        ("/problems/no-such", "not-found"),
    ],
)
def test_what_does_not_exist_is_404(client: TestClient, path: str, kind: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()["type"]) == (404, f"/problems/{kind}")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path",
    [
        "/registry/models/..m",
        "/registry/models/%C3%A9",
        "/registry/models/m/versions/0",
        "/registry/models/m/versions/1.0",
        "/registry/models/m/versions/9223372036854775808",
        "/registry/models/m/aliases/a.b",
        "/registry/models/m/history?alias=..%2Fx",
    ],
)
def test_a_name_that_cannot_be_one_is_400(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-name")


@pytest.mark.parametrize(
    ("body", "at"),
    [
        (b'{"version": "1"}', "body.version"),
        (b'{"version": 1.0}', "body.version"),
        (b'{"version": true}', "body.version"),
        (b'{"version": 0}', "body.version"),
        (b'{"version": 9223372036854775808}', "body.version"),
        (b'{"version": 1, "who": "eve"}', "body.who"),
        (b'{"why": "no version"}', "body.version"),
        (b"[]", "body"),
        (b'{"version": ', "body.12"),
        (b"", "body"),
        (b"\xff", "body"),
    ],
)
def test_a_body_that_does_not_fit_is_400_and_says_where(client: TestClient, body: bytes, at: str) -> None:
    answer = client.put(ALIAS, content=body, headers={"Content-Type": "application/json"})
    problem = answer.json()
    assert (answer.status_code, problem["error"]) == (400, problem["detail"])
    if "faults" in problem:
        assert problem["faults"][0]["at"] == at


def test_a_body_of_many_faults_names_the_first_ones(client: TestClient) -> None:
    body = {f"x{number}": 1 for number in range(1000)}
    answer = client.post("/registry/models/m:rollback", json=body)
    assert answer.status_code == 400
    assert answer.json()["detail"].endswith("; and 990 more")
    assert len(answer.json()["faults"]) == 10


@pytest.mark.parametrize("path", ["/registry/models/m:rollback", "/registry/models/m/aliases/production"])
def test_a_body_that_no_registry_needs_is_not_read(client: TestClient, path: str) -> None:
    method = "PUT" if path == ALIAS else "POST"
    answer = client.request(method, path, json={f"key {number}": number for number in range(50_000)})
    assert answer.status_code == 413
    assert "the registry reads at most 65,536" in answer.json()["detail"]


def test_a_body_nested_too_deeply_is_a_problem_of_its_own_kind(client: TestClient) -> None:
    deep = b"[" * 30_000 + b"]" * 30_000
    answer = client.post("/registry/models/m:rollback", content=deep, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-input")


def test_a_body_that_does_not_say_it_is_json_is_told_to(client: TestClient) -> None:
    answer = client.put(ALIAS, content=b'{"version": 1}', headers={"Content-Type": "text/plain"})
    assert answer.status_code == 400
    assert "Content-Type: application/json" in answer.json()["detail"]


def test_a_bad_entity_tag_is_400(client: TestClient) -> None:
    assert put(client, 1, If_Match="not-quoted").status_code in (400, 412)
    put(client, 1)
    assert put(client, 2, If_Match="not-quoted").status_code == 400


def test_another_method_is_405_and_told_which_do(client: TestClient) -> None:
    answer = client.post(ALIAS, json={})
    assert (answer.status_code, answer.json()["type"]) == (405, "/problems/method-not-allowed")
    assert "GET" in answer.headers["allow"]


def test_problems_explain_themselves(client: TestClient) -> None:
    kinds = client.get("/problems").json()["problems"]
    shown = client.get("/problems/version-in-use").json()
    assert shown in kinds
    assert shown["status"] == 409
    assert shown["meaning"].startswith("The version is servable")


def failing(error: Exception) -> MemoryStore:
    """A store in which nothing can be read."""

    class Failing(MemoryStore):
        def get(self, key: str) -> Blob:  # noqa: ARG002 - none of them
            raise error

    return Failing("memory://failing")


def test_a_store_that_does_not_answer_is_503_with_retry_after(caplog: pytest.LogCaptureFixture) -> None:
    down = failing(StoreUnavailableError("the store does not answer", bucket="secret"))
    answer = connect(Registry(down)).get(ALIAS)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "secret" not in answer.text
    assert "the store does not answer" in caplog.text
    assert "Traceback" not in caplog.text


def test_a_bug_is_500_and_says_nothing_internal() -> None:
    answer = connect(Registry(failing(RuntimeError("internal matter")))).get(ALIAS)
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "internal matter" not in answer.text
    assert answer.json()["error"] == answer.json()["detail"]
